"""Chapter 8: the conditional networks, the algorithm and its variants, and both programs."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import (
    FEWER_BITS,
    REPOSITORY,
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

from chapter08_cgan import cgan, generate, networks, train
from chapter08_cgan.acgan import ACGAN
from chapter08_cgan.cgan import CGAN, loss_fake, loss_real
from chapter08_cgan.variants import RegularizedCGAN
from common import images
from common.batch_norm import fuse, unfuse

TRAIN = REPOSITORY / "chapter08_cgan" / "train.py"
SMOKE = ["--preset", "smoke"]


def small_gan(
    kind=CGAN,
    condition="embedding",
    batch_norm=True,
    optimizer=keras.optimizers.Adam,
    seed=3,
    variant=None,
    **compile_arguments,
):
    """With `variant`, the further arguments of RegularizedCGAN and of ACGAN."""
    discriminator = (
        networks.build_acgan_discriminator(batch_norm)
        if kind is ACGAN
        else networks.build_discriminator(condition, batch_norm)
    )
    gan = kind(
        fuse(networks.build_generator(condition=condition)),
        fuse(discriminator),
        seed=seed,
        **(variant or {}),
    )
    gan.compile(optimizer(), optimizer(), **compile_arguments)
    return gan


def batches(n, batch_size=8):
    """n batches: images and their labels."""
    random = np.random.default_rng(0)
    pictures = random.uniform(-1, 1, (n, batch_size, 28, 28, 1)).astype("float32")
    return pictures, random.integers(0, 10, (n, batch_size)).astype("int32")


def first(stacked):
    return tuple(tf.constant(x[0]) for x in stacked)


def test_networks_are_the_books():
    assert networks.build_generator().count_params() == 1_638_121
    english, korean = (networks.build_discriminator(batch_norm=b) for b in (True, False))
    assert english.count_params() == 114_817 + 7_840
    assert korean.count_params() == 114_049 + 7_840
    # Ten more numbers for each unit of the first dense layer; ten planes instead of one.
    one_hot = networks.build_generator(condition="one-hot")
    assert one_hot.count_params() == 1_637_121 + 10 * 7 * 7 * 256
    one_hot = networks.build_discriminator("one-hot")
    assert one_hot.count_params() == 114_817 + 9 * 3 * 3 * 64
    # An image without a plane; ten logits more.
    acgan = networks.build_acgan_discriminator()
    assert acgan.count_params() == 114_817 - 3 * 3 * 64 + 10 * 2049
    assert [output.shape for output in acgan.outputs] == [(None, 1), (None, 10)]


def test_unknown_conditions_are_refused():
    for build in (networks.build_generator, networks.build_discriminator):
        with pytest.raises(ValueError, match="condition must be one of"):
            build(condition="onehot")


@pytest.mark.parametrize("condition", networks.CONDITIONS)
def test_the_label_reaches_both_networks(condition):
    generator = networks.build_generator(condition=condition)
    discriminator = networks.build_discriminator(condition)
    noise = np.ones((10, 100), "float32")
    pictures = generator([noise, np.arange(10)]).numpy()
    assert pictures.shape == (10, 28, 28, 1)
    logits = discriminator([pictures[:1].repeat(10, axis=0), np.arange(10)]).numpy()
    assert len(np.unique(logits)) == 10
    assert len(np.unique(pictures.reshape(10, -1), axis=0)) == 10


def test_embedding_is_multiplied_with_the_noise_and_laid_over_the_image():
    generator, discriminator = networks.build_generator(), networks.build_discriminator()
    vectors = generator.get_layer(index=2).get_weights()[0]
    product = keras.Model(generator.inputs, generator.get_layer(index=3).output)
    noise = np.random.default_rng(0).normal(size=(3, 100)).astype("float32")
    np.testing.assert_allclose(product([noise, np.array([4, 0, 9])]), noise * vectors[[4, 0, 9]])
    joined = next(x for x in discriminator.layers if isinstance(x, keras.layers.Concatenate))
    stacked = keras.Model(discriminator.inputs, joined.output)
    plane = next(x for x in discriminator.layers if isinstance(x, keras.layers.Embedding))
    page = stacked([np.zeros((1, 28, 28, 1)), np.array([7])]).numpy()
    np.testing.assert_array_equal(page[0, :, :, 1], plane.get_weights()[0][7].reshape(28, 28))


def test_one_hot_planes_are_one_for_the_label_alone():
    discriminator = networks.build_discriminator("one-hot")
    joined = next(x for x in discriminator.layers if isinstance(x, keras.layers.Concatenate))
    stacked = keras.Model(discriminator.inputs, joined.output)
    page = stacked([np.zeros((2, 28, 28, 1)), np.array([0, 7])]).numpy()
    assert page.shape == (2, 28, 28, 11)
    for planes, label in zip(page, (0, 7), strict=True):
        assert np.all(planes[:, :, 1:] == np.eye(10)[label])


def test_random_labels_are_even_and_others_for_each_iteration_and_seed():
    gan = small_gan()
    labels = gan.random_labels(0, 5000).numpy()
    assert np.all(np.abs(np.bincount(labels, minlength=10) - 500) < 100)
    assert np.array_equal(labels, gan.random_labels(0, 5000))
    for other in (gan.random_labels(1, 5000), small_gan(seed=4).random_labels(0, 5000)):
        assert abs(np.mean(labels == other.numpy()) - 0.1) < 0.03


@pytest.mark.parametrize(
    "kind, shared_fakes",
    [
        (CGAN, False),
        (RegularizedCGAN, False),
        (RegularizedCGAN, True),
        (ACGAN, False),
        (ACGAN, True),
    ],
)
def test_logged_numbers_are_those_of_the_three_updates(kind, shared_fakes):
    """With a learning rate of 0 the networks stay as they are, and each can be computed apart."""
    gan = small_gan(
        kind,
        optimizer=lambda: keras.optimizers.SGD(0.0),
        variant=None if kind is CGAN else {"shared_fakes": shared_fakes, "r1": 1.0},
    )
    pictures, labels = first(batches(1, 64))
    noise_for_d, noise_for_g = gan.noise(0, 64)
    labels_for_g = labels if shared_fakes else gan.random_labels(0, 64)
    weights = gan.generator.get_weights()
    fakes = gan.generator([noise_for_d, labels], training=shared_fakes)
    fakes_for_g = (
        fakes if shared_fakes else gan.generator([noise_for_g, labels_for_g], training=True)
    )

    class_losses, class_accuracies = [], []

    def logits_and_loss(pictures, labels, sign):
        """Logits, and the mean loss for "real" (1) or "fake" (-1)."""
        if kind is not ACGAN:
            logits = gan.discriminator([pictures, labels], training=True).numpy().astype(float)
            return logits, np.mean(np.log1p(np.exp(-sign * logits)))
        logits, classes = gan.discriminator(pictures, training=True)
        probabilities = keras.ops.softmax(classes).numpy().astype(float)
        class_loss = -np.mean(np.log(probabilities[np.arange(64), labels]))
        class_losses.append(class_loss)
        class_accuracies.append(np.mean(np.argmax(probabilities, axis=1) == labels))
        logits = logits.numpy().astype(float)
        return logits, np.mean(np.log1p(np.exp(-sign * logits))) + class_loss

    real, loss_on_real = logits_and_loss(pictures, labels, 1)
    fake, loss_on_fake = logits_and_loss(fakes, labels, -1)
    _, g_loss = logits_and_loss(fakes_for_g, labels_for_g, 1)
    gan.generator.set_weights(weights)  # the running statistics have moved
    logs = gan.train_step((pictures, labels))
    expected = {
        "d_loss": (loss_on_real + loss_on_fake) / 2,
        "d_accuracy": (np.mean(real > 0) + np.mean(fake <= 0)) / 2,
        "d_accuracy_real": np.mean(real > 0),
        "d_accuracy_fake": np.mean(fake <= 0),
        "g_loss": g_loss,
    }
    if kind is ACGAN:
        expected["c_loss"] = np.mean(class_losses)
        expected["c_accuracy"] = np.mean(class_accuracies)
    assert {k: float(v) for k, v in logs.items()} == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("kind", [RegularizedCGAN, ACGAN])
def test_gradient_penalty_is_in_the_update_on_real_images_alone(kind, monkeypatch):
    gan = small_gan(kind, variant={"r1": 0.5, "shared_fakes": True})
    updates = []

    def train_discriminator(pictures, labels, loss_function):
        updates.append(loss_function)
        return kind.train_discriminator(gan, pictures, labels, loss_function)

    def train_discriminator_with_penalty(pictures, labels):
        updates.append("penalty")
        return kind.train_discriminator_with_penalty(gan, pictures, labels)

    monkeypatch.setattr(gan, "train_discriminator", train_discriminator)
    monkeypatch.setattr(gan, "train_discriminator_with_penalty", train_discriminator_with_penalty)
    gan.train_step(first(batches(1)))
    assert updates == ["penalty", loss_fake]

    gan = small_gan(
        kind,
        batch_norm=False,
        optimizer=lambda: keras.optimizers.SGD(0.1),
        variant={"r1": 0.5},
    )
    pictures, labels = first(batches(1))
    variables = gan.discriminator.trainable_variables
    with tf.GradientTape() as tape:
        with tf.GradientTape() as inner:
            inner.watch(pictures)
            loss, logits = gan.loss_and_logits(pictures, labels, loss_real)
        slopes = inner.gradient(logits, pictures)
        penalized = loss + 0.5 / 2 * tf.reduce_mean(tf.reduce_sum(slopes**2, axis=(1, 2, 3)))
    gradients = tape.gradient(penalized, variables)
    expected = [
        (v - 0.1 * tf.convert_to_tensor(g)).numpy()
        for v, g in zip(variables, gradients, strict=True)
    ]
    reported, _ = gan.train_discriminator_with_penalty(pictures, labels)
    assert float(reported) == pytest.approx(float(loss), rel=1e-5)  # without the penalty
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
    ],
)
def test_iteration_equals_the_books(iterations, optimizer, batch_norm, shared_fakes):
    """The book's loop in plain Keras: train_on_batch on separately compiled models."""
    gan = small_gan(
        RegularizedCGAN if shared_fakes else CGAN,
        variant={"shared_fakes": True} if shared_fakes else None,
        batch_norm=batch_norm,
        optimizer=optimizer,
        steps_per_execution=iterations,
        run_eagerly=iterations == 1,  # several are compiled
    )
    start = [unfuse(network).get_weights() for network in networks_of(gan)]
    generator, core = unfuse(gan.generator), unfuse(gan.discriminator)
    image, label = core.inputs
    probability = keras.layers.Activation("sigmoid")
    discriminator = keras.Model([image, label], probability(core([image, label])))
    discriminator.compile(loss="binary_crossentropy", optimizer=optimizer(), run_eagerly=True)
    noise, label = generator.inputs
    combined = keras.Model([noise, label], probability(core([generator([noise, label]), label])))
    combined.compile(loss="binary_crossentropy", optimizer=optimizer(), run_eagerly=True)
    variables = core.trainable_variables
    pictures, labels = stacked = batches(iterations)

    ones, zeros = np.ones((8, 1)), np.zeros((8, 1))
    for k in range(iterations):
        noise_for_d, noise_for_g = gan.noise(k, 8).numpy()
        labels_for_g = gan.random_labels(k, 8).numpy()
        fakes = in_the_books_keras(generator, k)([noise_for_d, labels[k]], training=False).numpy()
        if shared_fakes:
            noise_for_g, labels_for_g = noise_for_d, labels[k]
            fakes = unfuse(generator)([noise_for_d, labels[k]], training=True).numpy()
        discriminator.train_on_batch([pictures[k], labels[k]], ones)
        discriminator.train_on_batch([fakes, labels[k]], zeros)
        for variable in variables:
            variable.trainable = False
        combined.train_on_batch([noise_for_g, labels_for_g], ones)
        for variable in variables:
            variable.trainable = True
    gan.fit(
        tf.data.Dataset.from_tensor_slices(stacked),
        steps_per_epoch=iterations,
        shuffle=False,
        verbose=0,
    )

    generator = in_the_books_keras(generator, iterations)
    core = in_the_books_keras(core, 3 * iterations)
    for ours, books, weights in zip(networks_of(gan), (generator, core), start, strict=True):
        assert_same_way(unfuse(ours), books, weights, gan.g_optimizer)
    noise, ten = gan.noise(99, 10)[0].numpy(), np.arange(10)
    assert_same_outputs(
        gan.generator([noise, ten], training=True), generator([noise, ten], training=True)
    )
    inputs = [pictures[0], labels[0]]
    assert_same_outputs(gan.discriminator(inputs, training=True), core(inputs, training=True))


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    kept = {folder.with_name("killed"): SECOND_CHECKPOINT}
    with run_eagerly(), kept_as_killed(folder, kept):
        train.main([*SMOKE, "--output-dir", str(folder)])
    return folder


def test_smoke_run_leaves_what_the_readme_promises(finished_run):
    results = json.loads((finished_run / "results.json").read_text())
    assert results["iterations"] == 4 and results["fid_generated_images"] == 200
    generator = keras.models.load_model(finished_run / "generator.keras")
    noise = tf.random.stateless_normal((5, 100), (0, -1), alg="philox").numpy()
    rows = [generator([noise, np.full(5, label)]) for label in range(10)]  # the same noise in each
    page = images.grid(np.concatenate(rows), columns=5)
    last = images.read(finished_run / "samples" / "000004.png")
    np.testing.assert_allclose(last.astype(int), page.astype(int), atol=1)
    discriminator = keras.models.load_model(finished_run / "discriminator.keras")
    assert discriminator.count_params() == 114_817 + 7_840
    assert frames_of(finished_run / "progress.gif") == 3


@pytest.mark.usefixtures("eagerly")
def test_label_accuracy_is_of_the_labels_that_were_asked_for(tmp_path, monkeypatch):
    """With a generator that draws the training images, the classifier finds the labels."""
    from common import data

    dataset = data.load("sample")

    def draw_training_images(network, inputs):
        assert network.name == "generator"
        _, labels = inputs
        of_class = {label: np.flatnonzero(dataset.y_train == label) for label in range(10)}
        chosen = [of_class[label][i % 300] for i, label in enumerate(labels)]
        return dataset.x_train[chosen] / np.float32(127.5) - 1

    monkeypatch.setattr(cgan, "predict", draw_training_images)
    flags = [*SMOKE, "--condition", "one-hot", "--fid"]  # so each way is trained once
    results = train.main([*flags, "--output-dir", str(tmp_path / "run")])
    assert results["label_accuracy"] > 0.97
    last = (tmp_path / "run" / "history.csv").read_text().splitlines()[-1]
    assert str(results["label_accuracy"]) in last.split(",")


QUICK = ["--precision", FEWER_BITS, "--r1", "1", "--shared-fakes"]
QUICK += ["--no-discriminator-batch-norm", "--learning-rate-decay", "--beta-1", "0"]


@pytest.mark.usefixtures("eagerly")
def test_killed_and_resumed_run_ends_in_the_same_bits(finished_run):
    check_resumed(train, ["--resume", finished_run.with_name("killed")], finished_run)


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_killed_and_resumed_acgan_ends_in_the_same_bits(tmp_path):
    flags = [*SMOKE, *QUICK, "--model", "acgan"]
    check_killed_and_resumed(train, flags, tmp_path / "whole", tmp_path / "run")


def test_settings_reach_the_networks_and_optimisers(monkeypatch):
    book = train.PRESETS["book"]
    assert (book.iterations, book.batch_size, book.sample_interval) == (12000, 32, 1000)
    assert book.generator_learning_rate == book.discriminator_learning_rate == 1e-3
    assert (book.model, book.condition, book.dataset) == ("cgan", "embedding", "mnist")
    assert (book.latent_dim, book.beta_1, book.slope, book.precision) == (100, 0.9, 0.01, "float32")
    assert book.discriminator_batch_norm and not book.learning_rate_decay
    assert not book.r1 and not book.shared_fakes
    seen = {}

    class Stop(Exception):
        pass

    def compile_and_stop(self, d_optimizer, g_optimizer, **kwargs):
        seen.update(gan=self, d=d_optimizer, g=g_optimizer)
        raise Stop

    monkeypatch.setattr(CGAN, "compile", compile_and_stop)
    flags = ["--no-discriminator-batch-norm", "--slope", "0.25", "--r1", "0.125"]
    flags += ["--generator-learning-rate", "0.5", "--discriminator-learning-rate", "0.25"]
    flags += ["--learning-rate-decay", "--beta-1", "0.75", "--shared-fakes"]
    with pytest.raises(Stop):
        train.main([*SMOKE, *flags])
    gan = seen["gan"]
    assert type(gan) is RegularizedCGAN and gan.discriminator.count_params() == 114_049 + 7_840
    assert gan.r1 == 0.125 and gan.shared_fakes
    slopes = {
        layer.negative_slope
        for network in (gan.generator, gan.discriminator)
        for layer in network.layers
        if isinstance(layer, keras.layers.LeakyReLU)
    }
    assert slopes == {0.25}
    for optimizer, updates, rate in ((seen["d"], 8, 0.25), (seen["g"], 4, 0.5)):
        assert optimizer.beta_1 == 0.75
        rates = [float(optimizer._learning_rate(step)) for step in (0, updates // 2, updates)]
        assert rates == [rate, rate / 2, 0.0]
    with pytest.raises(Stop):
        train.main(SMOKE)
    assert type(seen["gan"]) is CGAN  # the book's, where no variant is set
    with pytest.raises(Stop):
        train.main([*SMOKE, "--model", "acgan", "--condition", "one-hot"])
    assert type(seen["gan"]) is ACGAN and len(seen["gan"].discriminator.outputs) == 2
    assert unfuse(seen["gan"].generator).count_params() == 1_637_121 + 10 * 7 * 7 * 256


def test_noise_of_one_handwriting_is_correlated():
    noise = generate.correlated_noise(5000, 100, 0.4, seed=1)
    assert np.array_equal(noise, generate.correlated_noise(5000, 100, 0.4, seed=1))
    first_alone = generate.correlated_noise(1, 100, 0.0, seed=1)
    assert np.all(generate.correlated_noise(3, 100, 0.0, seed=1) == first_alone)
    correlation = np.corrcoef(noise[0], noise[1])[0, 1]
    assert abs(correlation - (1 - 0.4**2)) < 0.1
    others = np.stack([generate.correlated_noise(1, 100, 0.4, seed)[0] for seed in range(300)])
    assert abs(others.mean()) < 0.02 and abs(others.std() - 1) < 0.02  # as the noise in training


def test_digits_are_drawn_in_their_order(finished_run, monkeypatch):
    """With a generator that paints each label as a shade."""
    monkeypatch.setattr(
        keras.Model,
        "predict",
        lambda self, inputs, **_: np.ones((1, 28, 28, 1)) * inputs[1].reshape(-1, 1, 1, 1) / 9,
    )
    page = images.read(generate.main([str(finished_run), "--digits", "20261121"]))
    assert page.shape == (84, 8 * 84)
    shades = np.round((page[42, 42::84] / 127.5 - 1) * 9).astype(int)
    assert shades.tolist() == [2, 0, 2, 6, 1, 1, 2, 1]


def test_generated_pictures_depend_on_the_seed_alone(finished_run):
    first, again, other = (
        images.read(generate.main([str(finished_run), "--digits", "42", "--seed", seed]))
        for seed in ("1", "1", "2")
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    path = generate.main([str(finished_run), "--class", "7", "--count", "12"])
    assert path == finished_run / "generated" / "7-seed0-12.png"
    assert images.read(path).shape == (2 * 86 + 2, 10 * 86 + 2)


def test_generate_loads_what_plain_keras_would(finished_run):
    """The picture is the saved network's, from the documented noise."""
    page = images.read(generate.main([str(finished_run), "--digits", "90", "--variation", "0"]))
    network = keras.models.load_model(finished_run / "generator.keras")
    noise = np.random.default_rng(0).normal(size=100).astype("float32")[None].repeat(2, axis=0)
    pictures = images.grid(network([noise, np.array([9, 0])]).numpy(), columns=2, gap=0)
    np.testing.assert_allclose(page.astype(int), pictures.astype(int), atol=1)


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--digits", "12a"], "--digits 12a: should be 1 to 100 digits"),
        (["--class", "sneaker"], "has learned 0, 1, 2"),
        (["--digits", "1", "--class", "1"], "--digits and --class exclude each other"),
        (["--digits", "1", "--count", "2"], "--count belongs to --class"),
        (["--class", "1", "--variation", "0"], "--variation belongs to --digits"),
        (["--class", ""], "has learned 0, 1, 2"),
        (["--digits", "1", "--variation", "1"], "--variation 1: should be less than 1"),
        ([], "--digits or --class must be given"),
    ],
)
def test_mistakes_of_generate_are_one_line(finished_run, capsys, flags, words):
    assert words in error_of(generate.main, [str(finished_run), *flags], capsys)


def test_clothes_are_asked_for_by_name(finished_run, tmp_path, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("config.json", "results.json", "generator.keras"):
        (folder / name).write_bytes((finished_run / name).read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config["settings"]["dataset"] = "fashion_sample"
    (folder / "config.json").write_text(json.dumps(config))
    assert generate.main([str(folder), "--class", "ankle-boot"]).name == "ankle-boot-seed0-10.png"
    error = error_of(generate.main, [str(folder), "--digits", "1"], capsys)
    assert "has learned no digits, but t-shirt, trouser" in error


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--model", "gan"], "--model"),
        (["--condition", "label"], "--condition"),
        (["--r1", "-1"], "--r1 -1: should be greater than"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(tmp_path, monkeypatch, capsys, flags, words):
    monkeypatch.chdir(tmp_path)
    assert words in error_of(train.main, [*SMOKE, *flags], capsys)
    assert list(tmp_path.iterdir()) == []
