"""Chapter 6: the networks that grow, their training, and what a run leaves."""

import contextlib
import csv
import json
import shutil
import zipfile

import imageio.v3 as imageio
import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import (
    FEWER_BITS,
    assert_same_run,
    check_killed_and_resumed,
    error_of,
    frames_of,
    listen,
    needs_16_bits,
)

from chapter06_progan import progan, report, train, training_images
from chapter06_progan.export import export
from chapter06_progan.layers import (
    double,
    halve,
)
from chapter06_progan.levels import filters_of, level_of, size_of
from chapter06_progan.networks import Discriminator, Generator
from chapter06_progan.progan import ProGAN
from chapter06_progan.schedule import phases
from common import data, device
from common.model import normal_noise
from common.penalties import gradient_penalty
from common.photos import StreamedPhotos

SMOKE = ["--preset", "smoke"]


class Stopped(BaseException):
    """Ends a run in this process, as a kill does: nothing of ours catches it."""


def pictures(n, size, channels=1, seed=0):
    images = np.random.default_rng(seed).uniform(-1, 1, (n, size, size, channels))
    return images.astype("float32")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


# The networks

FEW = {"total_filters": 64, "most_filters": 8}  # 8, 8 and 4 features
LATENT = 6
PHASES = phases(3, 80, 80, 4)  # 4×4; 8×8, fading in; 8×8; 16×16, fading in; 16×16
NUMBERS = range(len(PHASES))


def small_generator(**settings):
    return Generator(3, LATENT, 1, **FEW, **settings)


def small_discriminator(**settings):
    return Discriminator(3, 1, **FEW, **settings)


def test_filters_are_halved_at_twice_the_size_but_no_more_than_the_most():
    paper = [filters_of(level, 16_384, 512) for level in range(9)]
    assert paper == [512, 512, 512, 512, 256, 128, 64, 32, 16]  # table 2
    assert [filters_of(level, 512, 64) for level in range(4)] == [64, 64, 32, 16]


def test_levels_are_of_sizes_from_4_on():
    sizes = [4, 8, 16, 32, 64, 128, 256, 512, 1024]
    assert [level_of(size) for size in sizes] == list(range(9))
    assert [size_of(level) for level in range(9)] == sizes


def test_networks_have_the_papers_numbers_of_parameters():
    """As the authors' code prints them, but for the bias after the first dense layer.

    Theirs has a number for each of 512 features, ours one for each output.
    """
    assert Discriminator(9).count_params() == 23_087_249
    assert Generator(9).count_params() == 23_079_115 + (16 - 1) * 512


@pytest.mark.parametrize("level", range(3))
def test_shapes_of_each_level(level):
    size = size_of(level)
    for fade in (None, 0.3) if level else (None,):
        images = small_generator()(normal(5, LATENT), level=level, fade=fade)
        assert images.shape == (5, size, size, 1)
        assert small_discriminator()(images[:4], level=level, fade=fade).shape == (4, 1)


def test_images_are_linear_and_noise_is_normalized():
    generator, noise = small_generator(), normal(2, LATENT)
    images = generator(noise, level=2)
    np.testing.assert_allclose(generator(noise * 3, level=2), images, rtol=1e-4, atol=1e-5)
    generator.to_images[2].bias.assign([7.0])
    np.testing.assert_allclose(generator(noise, level=2), images + 7, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("level", [1, 2])
def test_at_fade_0_a_level_makes_and_judges_what_the_one_below_does(level):
    generator, noise = small_generator(), normal(4, LATENT)
    below = double(generator(noise, level=level - 1))
    assert np.array_equal(generator(noise, level=level, fade=0.0), below)
    discriminator, images = small_discriminator(), pictures(4, size_of(level))
    below = discriminator(halve(images), level=level - 1)
    assert np.array_equal(discriminator(images, level=level, fade=0.0), below)


@pytest.mark.parametrize("level", [1, 2])
def test_at_fade_1_a_level_is_as_after_the_fading(level):
    generator, noise = small_generator(), normal(4, LATENT)
    whole = generator(noise, level=level)
    assert np.array_equal(generator(noise, level=level, fade=1.0), whole)
    discriminator, images = small_discriminator(), pictures(4, size_of(level))
    whole = discriminator(images, level=level)
    assert np.array_equal(discriminator(images, level=level, fade=1.0), whole)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("make", [small_generator, small_discriminator])
def test_variables_of_a_phase_are_those_that_get_a_gradient(make, number):
    phase, network = PHASES[number], make()
    given = normal(4, LATENT) if make is small_generator else pictures(4, size_of(phase.level))
    fade = 0.5 if phase.fading else None
    with tf.GradientTape() as tape:
        made = tf.reduce_sum(network(given, level=phase.level, fade=fade))
    variables = network.trainable_variables
    gradients = tape.gradient(made, [variable.value for variable in variables])
    used = {v.path for v, g in zip(variables, gradients, strict=True) if g is not None}
    named = [variable.path for variable in network.variables_of(phase.level, phase.fading)]
    assert len(named) == len(set(named)) and set(named) == used
    assert len({variable.path for variable in variables}) == len(variables)


def test_without_its_ideas_a_network_has_none_of_their_layers():
    generator = small_generator(equalized=False, normalized=False)
    discriminator = small_discriminator(equalized=False, deviation=False)
    kinds = {
        type(layer).__name__
        for network in (generator, discriminator)
        for block in network.blocks
        for layer in block.layers
    }
    assert not kinds & {"PixelNorm", "MinibatchDeviation"}
    assert generator.blocks[1].layers[0].scale == discriminator.blocks[0].layers[0].scale == 1
    one, others = pictures(1, 4), pictures(3, 4, seed=1)  # no image has a part in another's score
    together = discriminator(np.concatenate([one, others]), level=0)
    np.testing.assert_allclose(together[:1], discriminator(one, level=0), rtol=1e-4, atol=1e-6)
    assert set(kinds) | {"PixelNorm", "MinibatchDeviation"} == {
        type(layer).__name__
        for network in (small_generator(), small_discriminator())
        for block in network.blocks
        for layer in block.layers
    }


@needs_16_bits
def test_in_mixed_precision_images_and_scores_are_float32_and_fades_exact():
    device.setup(seed=0, precision="mixed_bfloat16")
    generator, discriminator = small_generator(), small_discriminator()
    images = generator(normal(4, LATENT), level=1, fade=tf.constant(0.0))
    scores = discriminator(images, level=1, fade=tf.constant(0.0))
    assert images.dtype == scores.dtype == tf.float32
    assert np.array_equal(images, double(generator(normal(4, LATENT), level=0)))


# The training


def sgd(rate):
    return keras.optimizers.SGD(rate)


def adam(rate):
    return keras.optimizers.Adam(rate, 0.0, 0.99, epsilon=1e-8)


def small_gan(optimizer=sgd, rates=(0.5, 0.5), decay=0.0, seed=3, **settings):
    gan = ProGAN(small_generator(), small_discriminator(), small_generator(), seed=seed, **settings)
    gan.compile(*map(optimizer, rates), decay=decay, total=PHASES[-1].end, run_eagerly=True)
    return gan


def begin(gan, phase, images=40):
    """Within a phase, after some of its images; 40 of 80 are half."""
    gan.images_seen.assign(phase.begin + images)
    gan.begin(phase)


def step(gan, seed=0):
    return gan.train_step(tf.constant(pictures(4, size_of(gan.phase.level), seed=seed)))


def networks_of(gan):
    return {name: getattr(gan, name) for name in ("generator", "discriminator", "averaged")}


@pytest.mark.parametrize("number", [0, 2, 3])
def test_a_step_moves_exactly_the_variables_of_its_phase(number):
    gan, phase = small_gan(average=0.9), PHASES[number]
    begin(gan, phase)
    before = {name: network.get_weights() for name, network in networks_of(gan).items()}
    step(gan)
    for name, network in networks_of(gan).items():
        weights = zip(network.variables, before[name], strict=True)
        moved = {variable.path for variable, old in weights if not np.array_equal(variable, old)}
        assert moved == {v.path for v in network.variables_of(phase.level, phase.fading)}


@pytest.mark.usefixtures("eagerly")
def test_networks_are_told_whether_they_train(monkeypatch):
    modes = listen(monkeypatch)
    gan = small_gan()
    begin(gan, PHASES[1])  # 8×8, fading in
    step(gan)
    assert set(modes) == {True}
    modes.clear()
    gan.generate(2)
    assert set(modes) == {False}


def test_averages_follow_the_generators_weights():
    gan = small_gan(average=0.9)
    start = gan.generator.get_weights()
    for average, weight in zip(gan.averaged.get_weights(), start, strict=True):
        assert np.array_equal(average, weight)
    begin(gan, PHASES[1])
    expected = start
    for seed in range(2):
        step(gan, seed)
        weights = zip(expected, gan.generator.get_weights(), strict=True)
        expected = [0.9 * average + 0.1 * weight for average, weight in weights]
    for average, wanted in zip(gan.averaged.get_weights(), expected, strict=True):
        np.testing.assert_allclose(average, wanted, rtol=1e-4, atol=1e-6)


def test_images_seen_grow_by_the_batch():
    gan = small_gan()
    begin(gan, PHASES[0], 0)
    step(gan)
    gan.train_step(tf.constant(pictures(8, 4)))
    assert int(gan.images_seen) == int(gan.iterations) == 12


def state_of(gan):
    return [v.numpy() for o in (gan.d_optimizer, gan.g_optimizer) for v in o.variables]


def test_optimisers_are_reset_when_a_phase_begins_and_at_no_other_time():
    gan = small_gan(adam, rates=(0.25, 0.5))
    begin(gan, PHASES[0])
    step(gan)
    assert any(np.any(variable) for variable in state_of(gan))
    begin(gan, PHASES[1], 0)
    assert not any(np.any(variable) for variable in state_of(gan))
    step(gan)
    assert float(gan.d_optimizer.learning_rate) == 0.25
    assert float(gan.g_optimizer.learning_rate) == 0.5
    assert int(gan.d_optimizer.iterations) == int(gan.g_optimizer.iterations) == 1
    kept = state_of(gan)
    begin(gan, PHASES[1], 40)  # as a run that is resumed within the fading
    for before, after in zip(kept, state_of(gan), strict=True):
        assert np.array_equal(before, after)
    begin(gan, PHASES[2], 0)  # the same level as it is
    assert not any(np.any(variable) for variable in state_of(gan))


def given_to(monkeypatch, gan):
    """What the discriminator's training is given, instead of a step."""
    seen = []

    def look(*given):
        seen.extend(given)
        raise Stopped

    monkeypatch.setattr(gan, "train_discriminator", look)
    with pytest.raises(Stopped):
        step(gan)
    return seen


def test_learning_rates_are_the_schedules(monkeypatch):
    """Half of 400 images at the whole rate, then a line to 0."""
    gan = small_gan(rates=(0.5, 0.25), decay=0.5)
    for number, images, share in ((0, 0, 1), (2, 40, 1), (3, 60, 0.5), (4, 40, 0.2)):
        begin(gan, PHASES[number], images)
        given_to(monkeypatch, gan)
        assert float(gan.d_optimizer.learning_rate) == pytest.approx(0.5 * share, rel=1e-5)
        assert float(gan.g_optimizer.learning_rate) == pytest.approx(0.25 * share, rel=1e-5)


@pytest.mark.parametrize("number", NUMBERS)
def test_real_images_are_faded_in_too(monkeypatch, number):
    gan, phase = small_gan(), PHASES[number]
    begin(gan, phase, 20)
    real_images = given_to(monkeypatch, gan)[0].numpy()
    images = pictures(4, size_of(phase.level))
    if not phase.fading:
        assert np.array_equal(real_images, images)
        return
    half = size_of(phase.level) // 2
    means = images.reshape(4, half, 2, half, 2, 1).mean(axis=(2, 4))
    coarse = means.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(real_images, 0.75 * coarse + 0.25 * images, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("number", [0, 3])
def test_discriminators_update_is_the_gradient_of_loss_penalty_and_drift(monkeypatch, number):
    gan, phase, seen = small_gan(rates=(0.5, 0.0), drift=0.25), PHASES[number], {}

    def look(score, real, fake, alpha):
        seen.update(real=real, fake=fake, alpha=alpha)
        return gradient_penalty(score, real, fake, alpha)

    monkeypatch.setattr(progan, "gradient_penalty", look)
    begin(gan, phase)
    before = gan.discriminator.get_weights()
    logs = step(gan)
    after = gan.discriminator.get_weights()

    gan.discriminator.set_weights(before)
    real, fake, alpha = seen["real"], seen["fake"], seen["alpha"]

    def score(images):
        fade = 0.5 if phase.fading else None
        return gan.discriminator(images, level=phase.level, fade=fade)

    variables = gan.discriminator.variables_of(phase.level, phase.fading)
    with tf.GradientTape() as tape:
        between = real + alpha * (fake - real)
        with tf.GradientTape() as inner:
            inner.watch(between)
            scores = score(between)
        slopes = tf.sqrt(tf.reduce_sum(inner.gradient(scores, between) ** 2, axis=(1, 2, 3)))
        loss = tf.reduce_mean(score(fake)) - tf.reduce_mean(score(real))
        penalty = 10 * tf.reduce_mean((slopes - 1) ** 2)
        drift = 0.25 * tf.reduce_mean(score(real) ** 2)
        whole = loss + penalty + drift
    for variable, gradient in zip(variables, tape.gradient(whole, variables), strict=True):
        variable.assign(variable - 0.5 * gradient)
    for ours, expected in zip(after, gan.discriminator.get_weights(), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-5)
    assert float(logs["d_loss"]) == pytest.approx(float(loss), rel=1e-3, abs=1e-5)
    assert float(logs["penalty"]) == pytest.approx(float(penalty + drift), rel=1e-3)


def test_each_pair_of_images_has_its_own_place_between_them(monkeypatch):
    gan, seen = small_gan(), []

    def look(score, real, fake, alpha):
        seen.append(alpha.numpy())
        raise Stopped

    monkeypatch.setattr(progan, "gradient_penalty", look)
    for images in (0, 4, 0):
        begin(gan, PHASES[0], images)
        with pytest.raises(Stopped):
            gan.train_step(tf.constant(pictures(400, 4)))
    first, second, again = seen
    assert first.shape == (400, 1, 1, 1) and 0 <= first.min() and first.max() < 1
    assert np.histogram(first, 4, (0, 1))[0].min() > 70
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.2
    assert np.array_equal(first, again)


def test_generators_update_raises_the_score_of_what_it_makes():
    gan, phase = small_gan(rates=(0.0, 0.5)), PHASES[3]
    begin(gan, phase)
    noise = normal_noise((2, 4, LATENT), 3, phase.begin + 40)[1]
    before = gan.generator.get_weights()
    logs = step(gan)
    after = gan.generator.get_weights()

    gan.generator.set_weights(before)
    variables = gan.generator.variables_of(level=2, fading=True)
    with tf.GradientTape() as tape:
        made = gan.generator(noise, level=2, fade=0.5)
        loss = -tf.reduce_mean(gan.discriminator(made, level=2, fade=0.5))
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        variable.assign(variable - 0.5 * gradient)
    for ours, expected in zip(after, gan.generator.get_weights(), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-5)
    assert float(logs["g_loss"]) == pytest.approx(float(loss), rel=1e-3, abs=1e-5)


def test_two_steps_from_the_same_state_and_seed_give_the_same_bits():
    def trained(seed):
        keras.utils.set_random_seed(1)
        gan = small_gan(adam, rates=(0.01, 0.01), seed=seed)
        begin(gan, PHASES[1])
        for number in range(2):
            step(gan, number)
        weights = (w.ravel() for n in networks_of(gan).values() for w in n.get_weights())
        return np.concatenate(list(weights))

    first = trained(seed=3)
    assert np.array_equal(trained(seed=3), first)
    assert not np.array_equal(trained(seed=4), first)


@pytest.mark.parametrize("number", [0, 3])
def test_pictures_are_made_by_the_averages_as_far_as_they_have_grown(number):
    gan, phase = small_gan(), PHASES[number]
    for variable in gan.generator.trainable_variables:  # which has no part in it
        variable.assign(variable + 1)
    begin(gan, phase)
    noise = normal_noise((5, LATENT), 3, -1)
    expected = gan.averaged(noise, level=phase.level, fade=0.5 if phase.fading else None)
    np.testing.assert_allclose(gan.generate(5), expected, rtol=1e-4, atol=1e-5)
    assert gan.generate(201).shape == (201, *expected.shape[1:])


def test_sample_pages_have_one_size_at_all_levels():
    gan = small_gan()
    pages = []
    for phase in (PHASES[0], PHASES[3], PHASES[4]):
        begin(gan, phase)
        pages.append(report.sample_grid(gan, 16))
    assert {page.shape for page in pages} == {(4 * 98 + 2, 4 * 98 + 2)}
    first = pages[0][2:98, 2:98].reshape(4, 24, 4, 24)  # of 4×4 pixels, each 24×24 large
    assert np.all(first == first[:, :1, :, :1])
    assert [report.name_of(phase) for phase in PHASES[:2]] == ["4×4", "8×8, fading in"]


# What is saved


@pytest.mark.parametrize("settings", [{}, {"equalized": False, "normalized": False}])
def test_exported_generator_makes_the_same_images_and_is_read_without_our_code(tmp_path, settings):
    generator, noise = small_generator(**settings), normal(5, LATENT)
    for number, variable in enumerate(generator.trainable_variables):  # biases, too
        variable.assign(variable + 0.1 * normal(*variable.shape, seed=number))
    expected = generator(noise, level=2).numpy()
    assert np.std(expected) > 0.1
    path = tmp_path / "generator.keras"
    export(generator).save(path)
    loaded = keras.models.load_model(path)
    np.testing.assert_allclose(loaded(noise), expected, rtol=1e-4, atol=1e-5)
    assert (loaded.input_shape, loaded.output_shape) == ((None, LATENT), (None, 16, 16, 1))
    with zipfile.ZipFile(path) as archive:
        assert b"chapter06" not in archive.read("config.json")
    assert all(type(layer).__module__.startswith("keras.") for layer in loaded.layers)


@needs_16_bits
def test_generator_trained_in_mixed_precision_is_exported_in_float32():
    device.setup(seed=0, precision="mixed_bfloat16")
    mixed, noise = small_generator(), normal(5, LATENT)
    exported = export(mixed)
    device.setup(seed=0)
    exact = small_generator()
    exact.set_weights(mixed.get_weights())
    np.testing.assert_allclose(exported(noise), exact(noise, level=2), rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chapter06") / "run"
    return folder, train.main([*SMOKE, "--output-dir", str(folder)])


def test_what_a_run_leaves(finished):
    folder, results = finished
    assert results == json.loads((folder / "results.json").read_text())
    assert results["images"] == 96 and results["seconds_per_image"] > 0
    assert results["fid_generated_images"] == 200 and results["fid"] > 10
    history = list(csv.DictReader((folder / "history.csv").read_text().splitlines()))
    assert list(history[0]) == ["image", *sorted(ProGAN.METRICS)]
    intervals = [f"{images}" for images in range(16, 97, 16)]
    assert [row["image"] for row in history] == intervals
    assert results["d_loss"] == float(history[-1]["d_loss"])
    paths = sorted((folder / "samples").iterdir())
    assert [path.name for path in paths] == [f"{images:06d}.png" for images in range(0, 97, 16)]
    assert {imageio.imread(path).shape for path in paths} == {(4 * 98 + 2, 4 * 98 + 2)}
    assert frames_of(folder / "progress.gif") == 7
    assert imageio.imread(folder / "history.png").shape[1] == 2 * 600
    config = json.loads((folder / "config.json").read_text())
    assert config["data"]["training_images"] == 4000

    # The last picture is what the saved network makes.
    generator = keras.models.load_model(folder / "generator.keras")
    made = generator(normal_noise((16, 8), 0, -1)).numpy()
    assert made.shape == (16, 8, 8, 1)
    cell = imageio.imread(paths[-1])[2:98:12, 2:98:12].astype(int)
    np.testing.assert_allclose(cell, (np.clip(made[0, ..., 0], -1, 1) + 1) * 127.5, atol=1)


def test_a_run_whose_training_was_done_ends_as_it_would_have(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    for name in ("results.json", "generator.keras", "progress.gif"):
        (run / name).unlink()
    train.main(["--resume", str(run)])
    assert_same_run(run, finished[0])


def test_a_run_is_not_resumed_at_another_size(finished, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    (run / "results.json").unlink()
    line = error_of(train.main, ["--resume", str(run), "--size", "16"], capsys)
    assert f"--size 16 contradicts the run in {run}, which has 8" in line


@pytest.mark.usefixtures("eagerly")
def test_a_run_without_growing_and_without_the_other_ideas(tmp_path):
    flags = ["--no-grow", "--no-equalized", "--no-minibatch-deviation", "--no-pixel-norm"]
    flags += ["--phase-images", "8", "--last-images", "8", "--sample-images", "8"]
    results = train.main([*SMOKE, *flags, "--output-dir", str(tmp_path / "run")])
    assert results["images"] == 3 * 8
    for path in (tmp_path / "run" / "samples").iterdir():  # of 8×8 pixels from the beginning
        cell = imageio.imread(path)[2:98, 2:98].reshape(4, 24, 4, 24)
        assert not np.all(cell == cell[:, :1, :, :1])


def test_settings_reach_the_networks_and_optimisers(monkeypatch):
    seen = {}

    class Stop(Exception):
        pass

    def compile_and_stop(self, d_optimizer, g_optimizer, **settings):
        seen.update(gan=self, optimizers=(d_optimizer, g_optimizer), settings=settings)
        raise Stop

    monkeypatch.setattr(ProGAN, "compile", compile_and_stop)
    flags = ["--learning-rate", "0.25", "--decay", "0.5", "--average", "0.75", "--drift", "0.125"]
    flags += ["--gradient-penalty", "2", "--latent-dim", "5", "--size", "16", "--seed", "9"]
    with pytest.raises(Stop):
        train.main([*SMOKE, *flags])
    gan, (d_adam, g_adam) = seen["gan"], seen["optimizers"]
    assert d_adam is not g_adam
    for optimizer in (d_adam, g_adam):
        assert float(optimizer.learning_rate) == 0.25
        assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon) == (0, 0.99, 1e-8)
    assert seen["settings"] == {"decay": 0.5, "total": 5 * 32, "jit_compile": False}
    assert (gan.gradient_penalty, gan.drift, gan.average, gan.seed) == (2, 0.125, 0.75, 9)
    for generator in (gan.generator, gan.averaged):
        expected = Generator(3, 5, 1, **FEW)
        assert generator.count_params() == expected.count_params() and generator.latent_dim == 5
    assert gan.discriminator.count_params() == Discriminator(3, 1, **FEW).count_params()


# The training images


def test_shrink_is_the_rounded_mean():
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    small = training_images.shrink(images, 4)
    assert small.shape == (3, 2, 2, 3) and small.dtype == np.uint8
    means = images.reshape(3, 2, 4, 2, 4, 3).mean(axis=(2, 4))
    assert np.max(np.abs(small - means)) <= 0.5
    assert training_images.shrink(images, 1) is images


def test_digits_are_padded_to_32_and_shrunk_from_there():
    digits = data.load("sample").x_train
    found = training_images.load("sample", 32)
    assert (found.size, found.channels, found.images.shape) == (32, 1, (4000, 32, 32, 1))
    assert np.array_equal(found.images[:, 2:-2, 2:-2], digits)
    assert found.images.sum() == digits.sum()  # nothing else but background
    assert np.array_equal(found.at_level(3), found.images)
    assert np.array_equal(found.at_level(1), training_images.shrink(found.images, 4))
    small = training_images.load("sample", 8)
    assert np.array_equal(small.images, found.at_level(1))
    assert small.at_level(0).shape == (4000, 4, 4, 1)
    assert small.describe()["sha256"] == found.describe()["sha256"]
    held_out = training_images.load("sample", 8, validation_images=100)
    assert len(held_out.images) == 3900 and len(held_out.dataset.x_test) == 100


def test_as_digits_cuts_the_border_off_and_enlarges_what_is_small():
    images = pictures(2, 32)
    assert np.array_equal(training_images.as_digits(images), images[:, 2:30, 2:30])
    small = pictures(2, 8)
    digits = training_images.as_digits(small)
    assert digits.shape == (2, 28, 28, 1)
    for row, column in ((0, 0), (13, 5), (27, 27)):
        pixel = small[:, (row + 2) // 4, (column + 2) // 4]
        assert np.array_equal(digits[:, row, column], pixel)
    assert np.max(np.abs(training_images.as_digits(small * 9))) == 1


def make_photos(folder, count=6):
    """Small photos, in folders, and a file that is none."""
    random = np.random.default_rng(0)
    for i in range(count):
        photo = random.integers(0, 256, (20 + i, 30, 3), dtype=np.uint8)
        (folder / f"{i % 2}").mkdir(parents=True, exist_ok=True)
        imageio.imwrite(folder / f"{i % 2}" / f"{i}.png", photo)
    (folder / "notes.txt").write_text("no photo")
    return folder


def zip_of(folder):
    return shutil.make_archive(str(folder), "zip", folder)


def test_photos_from_disk_or_a_zip_are_those_kept_in_memory(tmp_path):
    folder = make_photos(tmp_path / "photos")
    kept = training_images.load(str(folder), 16)
    read = training_images.load(str(folder), 16, memory=0)
    zipped = training_images.load(zip_of(folder), 16)
    zipped_and_read = training_images.load(zip_of(folder), 16, memory=0)
    assert isinstance(kept.images, np.ndarray) and isinstance(read.images, StreamedPhotos)
    assert (kept.images.shape, kept.size, kept.channels) == ((6, 16, 16, 3), 16, 3)
    order = np.array([[3, 0], [5, 1]])
    for other in (read, zipped, zipped_and_read):
        assert other.sha256 == kept.sha256 and other.dataset is None
        for level in range(3):
            whole, found = kept.at_level(level), other.at_level(level)
            assert whole.shape == found.shape and len(whole) == len(found)
            assert np.array_equal(found[order], whole[order])
    assert kept.describe()["training_images"] == 6


@pytest.mark.usefixtures("eagerly")
def test_a_photo_that_goes_missing_in_training_is_named(tmp_path, monkeypatch, capsys):
    make_photos(tmp_path / "photos")
    monkeypatch.setattr(training_images.load, "__defaults__", (None, 0, 0))
    describe = training_images.TrainingImages.describe

    def remove(self):
        for path in (tmp_path / "photos").rglob("*.png"):
            path.unlink()
        return describe(self)

    monkeypatch.setattr(training_images.TrainingImages, "describe", remove)
    flags = ["--dataset", str(tmp_path / "photos"), "--batch-size", "4", "--sample-images", "8"]
    line = error_of(train.main, [*SMOKE, *flags, "--output-dir", str(tmp_path / "run")], capsys)
    assert ".png: cannot be read" in line


@pytest.mark.usefixtures("eagerly")
def test_run_stopped_within_a_fade_and_resumed_with_less_memory_ends_in_the_same_bits(
    tmp_path, monkeypatch
):
    """It is stopped twice: at 4×4, and when half of 8×8 is faded in.

    The resumed run reads its photos as they are needed, from a folder whose name it was given
    relative to another.
    """
    make_photos(tmp_path / "photos", count=9)  # two batches of 4, and one that is left out
    monkeypatch.chdir(tmp_path)
    flags = [*SMOKE, "--dataset", "photos", "--batch-size", "4", "--sample-images", "4"]
    flags += ["--phase-images", "8", "--last-images", "8", "--decay", "0.5", "--average", "0.5"]
    whole, run, sample_grid = tmp_path / "whole", tmp_path / "run", report.sample_grid

    def stop_at_image_16(gan, size):
        if int(gan.images_seen) == 16:
            raise Stopped
        return sample_grid(gan, size)

    def between():
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        with monkeypatch.context() as patch, contextlib.suppress(Stopped):
            patch.setattr(report, "sample_grid", stop_at_image_16)
            train.main(["--resume", str(run)])
        found = json.loads((run / "checkpoint" / "digests.json").read_text())["digests"][0]
        fading = phases(2, 8, 8, 4)[1]
        assert fading.fading and fading.fade(found["iteration"]) == 0.5
        monkeypatch.setattr(training_images.load, "__defaults__", (None, 0, 0))  # no memory
        moved = str((tmp_path / "photos").rename(tmp_path / "moved"))
        assert isinstance(training_images.load(moved, 8).images, StreamedPhotos)
        return ["--data-dir", moved]

    check_killed_and_resumed(train, [*flags, "--precision", FEWER_BITS], whole, run, between)
    results = json.loads((run / "results.json").read_text())
    assert results["images"] == 3 * 8 and "fid" not in results
    assert keras.models.load_model(run / "generator.keras").output_shape == (None, 8, 8, 3)
    assert imageio.imread(run / "samples" / "000024.png").shape == (394, 394, 3)


LARGE = ["--size", "64", "--total-filters", "256"]


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--dataset", "mnist", *LARGE], "--size 64: mnist's images have 28×28 pixels"),
        (
            ["--dataset", "photos", *LARGE],
            "photos/0/0.png: has 30×20 pixels, fewer than --size 64; 5 more are too small, too",
        ),
        (["--dataset", "empty"], "empty: holds no images"),
        (["--dataset", "nowhere"], "nowhere: is no folder, no zip, and none of mnist"),
        (["--dataset", "text.zip"], "text.zip: is neither a folder nor a whole zip"),
        (["--dataset", "broken"], "broken/one.png: cannot be read as an image"),
        (["--dataset", "photos"], "--batch-size 8 is more than the 6 training images"),
        (["--dataset", "photos", "--data-dir", "empty"], "empty: holds no images"),
        (["--dataset", "photos", "--data-dir", "gone"], "gone: is no folder and no zip"),
        (
            ["--dataset", "photos", "--validation-images", "2"],
            "--validation-images has no part in --dataset",
        ),
        (["--data-dir", "empty"], "--data-dir has no part in --dataset sample, which is bundled"),
    ],
)
def test_data_that_does_not_do_is_one_line(tmp_path, monkeypatch, capsys, flags, words):
    monkeypatch.chdir(tmp_path)
    make_photos(tmp_path / "photos")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "one.png").write_bytes(b"no photo")
    (tmp_path / "text.zip").write_text("no zip")
    assert words in error_of(train.main, [*SMOKE, *flags, "--output-dir", "run"], capsys)
    assert not (tmp_path / "run").exists()
