"""Chapter 4: the networks, the algorithm with batch normalisation, and the program."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import (
    FEWER_BITS,
    SECOND_CHECKPOINT,
    assert_same_outputs,
    assert_same_way,
    check_killed_and_resumed,
    check_resumed,
    error_of,
    frames_of,
    in_the_books_keras,
    kept_as_killed,
    networks_of,
    run_eagerly,
)
from keras import layers

from chapter04_dcgan import train
from chapter04_dcgan.dcgan import DCGAN, loss_fake, loss_real
from chapter04_dcgan.networks import build_discriminator, build_generator
from chapter04_dcgan.variants import RegularizedDCGAN
from common import images
from common.batch_norm import fuse, unfuse

SMOKE = ["--preset", "smoke"]


def small_gan(
    batch_norm=True, optimizer=keras.optimizers.Adam, seed=3, variant=None, **compile_arguments
):
    """The book's DCGAN; or, given the arguments of a `variant`, a RegularizedDCGAN."""
    model, arguments = (DCGAN, {}) if variant is None else (RegularizedDCGAN, variant)
    gan = model(
        fuse(build_generator()), fuse(build_discriminator(batch_norm)), seed=seed, **arguments
    )
    gan.compile(optimizer(), optimizer(), **compile_arguments)
    return gan


def real_images(n, batch_size=8):
    return np.random.default_rng(0).uniform(-1, 1, (n, batch_size, 28, 28, 1)).astype("float32")


def trainable_count(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


def test_networks_are_the_books():
    generator, english, korean = (
        build_generator(),
        build_discriminator(),
        build_discriminator(batch_norm=False),
    )
    assert (generator.count_params(), trainable_count(generator)) == (1_637_121, 1_636_737)
    assert (english.count_params(), trainable_count(english)) == (95_489, 95_105)
    assert korean.count_params() == 94_721
    shapes = [layer.output.shape[1:] for layer in generator.layers]
    assert shapes[1:3] == [(7, 7, 256), (14, 14, 128)] and shapes[-1] == (28, 28, 1)
    assert english(generator(tf.random.normal((5, 100)))).shape == (5, 1)


def test_losses_are_the_books():
    logits = np.array([[-1.0], [0.5], [2.0]], "float32")
    p = 1 / (1 + np.exp(-logits))
    assert float(loss_real(logits)) == pytest.approx(-np.mean(np.log(p)), rel=1e-5)
    assert float(loss_fake(logits)) == pytest.approx(-np.mean(np.log(1 - p)), rel=1e-5)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_gradient_penalty_is_the_squared_slope_at_real_images(batch_norm):
    """Against small steps along the gradients; and training with it makes the slope smaller."""
    gan = small_gan(batch_norm, variant={"r1": 1000.0})
    (batch,) = real_images(1)
    images = tf.constant(batch)
    logits, squared = gan.squared_gradient(images)
    np.testing.assert_allclose(logits, gan.discriminator(images, training=True), rtol=1e-5)
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = tf.reduce_sum(gan.discriminator(images, training=True))
    slopes = tape.gradient(outputs, images)
    assert float(squared) == pytest.approx(np.mean(np.sum(slopes**2, axis=(1, 2, 3))), rel=1e-4)
    if not batch_norm:  # which makes an image's logit depend on the others
        step = 1e-3 * slopes / tf.norm(tf.reshape(slopes, (8, -1)), axis=1)[:, None, None, None]
        rise = (gan.discriminator(images + step) - gan.discriminator(images - step)) / 2e-3
        assert float(squared) == pytest.approx(np.mean(np.square(rise)), rel=0.05)
    without = small_gan(batch_norm, variant={})
    without.discriminator.set_weights(gan.discriminator.get_weights())
    for _ in range(5):
        without.train_discriminator(images, loss_real)
        gan.train_discriminator_with_penalty(images)
    assert gan.squared_gradient(images)[1] < without.squared_gradient(images)[1] / 2


def test_noise_is_normal_and_another_for_each_half_iteration_and_seed():
    gan = small_gan()
    noise = gan.noise(0, 500).numpy()
    assert noise.shape == (2, 500, 100)
    assert abs(noise.mean()) < 0.02 and abs(noise.std() - 1) < 0.02
    others = [noise[1], gan.noise(1, 500)[0], small_gan(seed=4).noise(0, 500)[0]]
    for other in others:
        assert abs(np.mean(noise[0] * other)) < 0.05
    np.testing.assert_array_equal(noise, gan.noise(0, 500))


@pytest.mark.parametrize("variant", [None, {"r1": 1.0}, {"r1": 1.0, "shared_fakes": True}])
def test_logged_numbers_are_those_of_the_three_updates(variant):
    """With a learning rate of 0 the networks stay as they are, and each can be computed apart."""
    gan = small_gan(optimizer=lambda: keras.optimizers.SGD(0.0), variant=variant)
    shared_fakes = bool(variant) and "shared_fakes" in variant
    (batch,) = real_images(1, 64)
    noise_for_d, noise_for_g = gan.noise(0, 64)
    weights = gan.generator.get_weights()
    fakes = gan.generator(noise_for_d, training=shared_fakes)
    fakes_for_g = fakes if shared_fakes else gan.generator(noise_for_g, training=True)
    real, fake, fake_for_g = (
        gan.discriminator(x, training=True).numpy().astype(float)
        for x in (batch, fakes, fakes_for_g)
    )
    gan.generator.set_weights(weights)  # the running statistics have moved
    logs = gan.train_step(tf.constant(batch))
    losses = np.mean(np.log1p(np.exp(-real))), np.mean(np.log1p(np.exp(fake)))
    expected = {
        "d_loss": np.mean(losses),
        "d_accuracy": (np.mean(real > 0) + np.mean(fake <= 0)) / 2,
        "d_accuracy_real": np.mean(real > 0),
        "d_accuracy_fake": np.mean(fake <= 0),
        "g_loss": np.mean(np.log1p(np.exp(-fake_for_g))),
    }
    assert {k: float(v) for k, v in logs.items()} == pytest.approx(expected, rel=1e-3)


def test_the_variant_without_penalty_and_shared_fakes_is_the_books():
    gan, variant = small_gan(), small_gan(variant={})
    (batch,) = real_images(1)
    for ours, same in zip(networks_of(gan), networks_of(variant), strict=True):
        same.set_weights(ours.get_weights())
    for model in (gan, variant):
        model.train_step(tf.constant(batch))
    for ours, same in zip(networks_of(gan), networks_of(variant), strict=True):
        for a, b in zip(ours.get_weights(), same.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shared_fakes", [False, True])
def test_gradient_penalty_is_in_the_update_on_real_images_alone(monkeypatch, shared_fakes):
    gan = small_gan(variant={"shared_fakes": shared_fakes, "r1": 0.5})
    updates = []

    def note(name):
        update = getattr(gan, name)

        def noted(images, *loss_function):
            updates.append((name, *loss_function))
            return update(images, *loss_function)

        monkeypatch.setattr(gan, name, noted)

    note("train_discriminator_with_penalty")
    note("train_discriminator")
    gan.train_step(tf.constant(real_images(1)[0]))
    assert updates == [("train_discriminator_with_penalty",), ("train_discriminator", loss_fake)]


def test_update_with_penalty_follows_the_gradient_of_loss_and_penalty():
    gan = small_gan(False, lambda: keras.optimizers.SGD(0.1), variant={"r1": 0.5})
    batch = tf.constant(real_images(1)[0])
    variables = gan.discriminator.trainable_variables
    with tf.GradientTape() as tape:
        logits, squared = gan.squared_gradient(batch)
        loss = tf.reduce_mean(tf.nn.softplus(-logits)) + 0.5 / 2 * squared
    expected = [v - 0.1 * g for v, g in zip(variables, tape.gradient(loss, variables), strict=True)]
    gan.train_discriminator_with_penalty(batch)
    for a, b in zip(variables, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def small_steps():
    """Over several iterations, rounding errors grow with the steps."""
    return keras.optimizers.SGD(1e-3)


@pytest.mark.parametrize(
    "iterations, optimizer, batch_norm, shared_fakes",
    [
        (1, keras.optimizers.Adam, False, False),
        (1, keras.optimizers.Adam, False, True),
        (3, small_steps, True, False),
        (3, small_steps, True, True),
    ],
)
def test_iteration_equals_the_books(iterations, optimizer, batch_norm, shared_fakes):
    """The book's loop in plain Keras: train_on_batch on separately compiled models.

    With batch normalisation, `trainable = False` would also put the frozen discriminator in
    inference mode, which TensorFlow 1 did not, so there its variables are frozen one by one.
    Adam's first steps are ± the learning rate, and a gradient that rounds to the other sign moves
    its weight the other way; over several iterations only SGD keeps rounding errors small.
    """
    gan = small_gan(
        batch_norm,
        optimizer,
        variant={"shared_fakes": True} if shared_fakes else None,
        steps_per_execution=iterations,
        run_eagerly=iterations == 1,  # several are compiled
    )
    start = [unfuse(network).get_weights() for network in networks_of(gan)]
    generator = unfuse(gan.generator)
    core = unfuse(gan.discriminator)
    discriminator = keras.Sequential([core, layers.Activation("sigmoid")])
    discriminator.compile(loss="binary_crossentropy", optimizer=optimizer(), run_eagerly=True)
    combined = keras.Sequential([generator, discriminator])
    combined.compile(loss="binary_crossentropy", optimizer=optimizer(), run_eagerly=True)
    variables = core.trainable_variables
    batches = real_images(iterations)

    for k, batch in enumerate(batches):
        noise_for_d, noise_for_g = gan.noise(k, len(batch))
        fakes = in_the_books_keras(generator, k)(noise_for_d, training=False)
        if (
            shared_fakes
        ):  # as a copy of the generator makes them, which leaves the original's statistics alone
            noise_for_g = noise_for_d
            fakes = unfuse(generator)(noise_for_d, training=True)
        discriminator.train_on_batch(batch, np.ones((len(batch), 1)))
        discriminator.train_on_batch(fakes, np.zeros((len(batch), 1)))
        for variable in variables:
            variable.trainable = False
        combined.train_on_batch(noise_for_g, np.ones((len(batch), 1)))
        for variable in variables:
            variable.trainable = True
    gan.fit(
        tf.data.Dataset.from_tensor_slices(batches),
        steps_per_epoch=iterations,
        shuffle=False,
        verbose=0,
    )

    generator = in_the_books_keras(generator, iterations)
    core = in_the_books_keras(core, 3 * iterations)
    for ours, books, weights in zip(networks_of(gan), (generator, core), start, strict=True):
        assert_same_way(unfuse(ours), books, weights, gan.g_optimizer)
    noise = gan.noise(99, 8)[0]
    assert_same_outputs(gan.generator(noise, training=True), generator(noise, training=True))
    assert_same_outputs(
        gan.discriminator(batches[0], training=True), core(batches[0], training=True)
    )


def test_batch_normalisation_sees_each_kind_of_image_alone():
    """Running means after one step, from the three batches that the discriminator has seen."""
    gan, once = small_gan(), small_gan()
    for ours, same in zip(networks_of(gan), networks_of(once), strict=True):
        same.set_weights(ours.get_weights())
    (batch,) = real_images(1)
    noise_for_d, noise_for_g = gan.noise(0, 8)
    first = keras.Model(gan.discriminator.inputs[0], gan.discriminator.layers[2].output)
    norm = gan.discriminator.layers[3]
    assert isinstance(norm, layers.BatchNormalization)
    seen = []

    def see(pictures):
        seen.append(np.mean(first(pictures), axis=(0, 1, 2)))

    see(batch)
    gan.train_discriminator(batch, loss_real)
    fakes = gan.generator(noise_for_d, training=False)
    see(fakes)
    gan.train_discriminator(fakes, loss_fake)
    see(gan.generator(noise_for_g, training=True))
    once.train_step(batch)
    expected = np.average(seen, axis=0, weights=[0.99**2, 0.99, 1])
    norm = once.discriminator.layers[3]
    np.testing.assert_allclose(norm.moving_mean, expected, rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chapter04") / "run"
    kept = {folder.with_name("killed"): SECOND_CHECKPOINT}
    with run_eagerly(), kept_as_killed(folder, kept):
        train.main([*SMOKE, "--output-dir", str(folder)])
    return folder


def test_smoke_run_leaves_what_the_readme_promises(finished_run):
    folder = finished_run
    results = json.loads((folder / "results.json").read_text())
    assert results["iterations"] == 4 and results["fid"] > 10
    generator = keras.models.load_model(folder / "generator.keras")
    noise = tf.random.stateless_normal((16, 100), (0, -1), alg="philox")
    last = images.read(folder / "samples" / "000004.png")
    page = images.grid(generator(noise).numpy(), columns=4)
    np.testing.assert_allclose(last.astype(int), page.astype(int), atol=1)
    discriminator = keras.models.load_model(folder / "discriminator.keras")
    assert discriminator.count_params() == 95_489
    assert frames_of(folder / "progress.gif") == 3


QUICK = ["--precision", FEWER_BITS, "--r1", "1", "--shared-fakes"]
QUICK += ["--no-discriminator-batch-norm", "--learning-rate-decay", "--beta-1", "0"]


@pytest.mark.usefixtures("eagerly")
def test_killed_and_resumed_run_ends_in_the_same_bits(finished_run):
    check_resumed(train, ["--resume", finished_run.with_name("killed")], finished_run)


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_killed_and_resumed_run_of_quicks_kind_ends_in_the_same_bits(tmp_path):
    check_killed_and_resumed(train, [*SMOKE, *QUICK], tmp_path / "whole", tmp_path / "run")


class Stop(Exception):
    pass


@pytest.fixture
def compiled(monkeypatch):
    """Runs train.py up to `compile`; gives the model and its two optimisers."""

    def run(*flags):
        seen = {}

        def compile_and_stop(self, d_optimizer, g_optimizer, **kwargs):
            seen.update(gan=self, d=d_optimizer, g=g_optimizer)
            raise Stop

        monkeypatch.setattr(DCGAN, "compile", compile_and_stop)
        with pytest.raises(Stop):
            train.main([*SMOKE, *flags])
        return seen["gan"], seen["d"], seen["g"]

    return run


@pytest.mark.parametrize(
    "flags, model",
    [
        ([], DCGAN),
        (["--r1", "0.5"], RegularizedDCGAN),
        (["--shared-fakes"], RegularizedDCGAN),
    ],
)
def test_the_books_algorithm_runs_unless_a_variant_is_asked_for(compiled, flags, model):
    assert type(compiled(*flags)[0]) is model


def test_book_is_the_books():
    book = train.PRESETS["book"]
    assert (book.iterations, book.batch_size, book.sample_interval) == (20_000, 128, 1_000)
    assert book.generator_learning_rate == book.discriminator_learning_rate == 1e-3
    assert (book.beta_1, book.slope, book.r1) == (0.9, 0.01, 0)
    assert not book.learning_rate_decay and not book.shared_fakes
    assert book.discriminator_batch_norm


def test_settings_reach_the_networks_and_optimisers(compiled):
    flags = ["--no-discriminator-batch-norm", "--slope", "0.25", "--r1", "0.125"]
    flags += ["--generator-learning-rate", "0.5", "--discriminator-learning-rate", "0.25"]
    flags += ["--learning-rate-decay", "--beta-1", "0.75", "--shared-fakes"]
    gan, d_optimizer, g_optimizer = compiled(*flags)
    assert gan.discriminator.count_params() == 94_721
    assert gan.r1 == 0.125 and gan.shared_fakes
    slopes = {
        layer.negative_slope
        for network in networks_of(gan)
        for layer in network.layers
        if isinstance(layer, layers.LeakyReLU)
    }
    assert slopes == {0.25}
    for optimizer, updates, rate in ((d_optimizer, 8, 0.25), (g_optimizer, 4, 0.5)):
        assert optimizer.beta_1 == 0.75
        rates = [float(optimizer._learning_rate(step)) for step in (0, updates // 2, updates)]
        assert rates == [rate, rate / 2, 0.0]


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--slope", "1"], "--slope 1: should be less than 1"),
        (
            ["--r1", "-0.1"],
            "--r1 -0.1: should be greater than or equal",
        ),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(tmp_path, monkeypatch, capsys, flags, words):
    monkeypatch.chdir(tmp_path)
    assert words in error_of(train.main, [*SMOKE, *flags], capsys)
    assert list(tmp_path.iterdir()) == []
