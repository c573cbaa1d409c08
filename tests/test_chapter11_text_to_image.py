"""Chapter 11, text to image: what reads the images, the losses, the two stages, and the program."""

import csv
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import (
    REPOSITORY,
    assert_goes_down,
    assert_same_run,
    check_resumed,
    error_of,
    frames_of,
    kept_as_killed,
    run_eagerly,
)

from chapter11_applications import (
    captions,
    reading,
    scenes,
    stackgan,
    text_losses,
    text_networks,
    text_report,
    text_to_image,
)
from chapter11_applications.composition import redraw
from common import data, images

SMOKE = ["--preset", "smoke"]


@pytest.fixture(scope="module")
def digits():
    """Digits that are redrawn, clear or not."""
    dataset = data.load("sample")
    return scenes.Digits(redraw(dataset.x_train[:300]), dataset.y_train[:300])


@pytest.fixture(scope="module")
def some_scenes(digits):
    return scenes.draw_scenes(digits, 400, np.random.default_rng(0))


def small_gan(optimizer=lambda: keras.optimizers.SGD(0.0), **settings):
    keras.utils.set_random_seed(1)
    config = text_to_image.PRESETS["smoke"].replace(latent_dim=4, condition_dim=8, **settings)
    gan = text_to_image.build_model(config)
    gan.compile([optimizer(), optimizer()], [optimizer(), optimizer()], run_eagerly=True)
    return gan


def batch(some_scenes, stage, n=6):
    pictures = some_scenes.images if stage else scenes.halve(some_scenes.images)
    return tf.constant(data.scale(pictures[:n])), tf.constant(some_scenes.labels[:n])


def test_what_is_measured_is_what_was_composed(some_scenes):
    """The layout, sizes and strokes of real images. (The digits' classifier is untrained here.)"""
    found = reading.read(some_scenes.images, reading.build_classifier())
    shares = reading.shares_right(found, some_scenes.facts)
    for name in captions.FACTS:
        if not name.endswith("digit"):
            assert shares[name] >= 0.98, name


def test_digits_are_cut_out_around_their_middle():
    picture = np.full((1, 32, 32, 1), -1.0, np.float32)
    picture[0, 3:13, 5:9] = 1.0  # above
    picture[0, 20:30, 14:20] = 0.5
    stacked, patches = reading.split(picture)
    assert stacked.tolist() == [True]
    expected = np.zeros((2, 16, 16), np.float32)
    expected[0, 3:13, 6:10] = 1.0
    expected[1, 3:13, 5:11] = 0.75
    np.testing.assert_array_equal(patches[0], expected)
    assert reading.extents(patches).tolist() == [[10, 10]]
    nothing = reading.split(np.full((1, 32, 32, 1), -1.0))[1]
    assert not nothing.any() and reading.stroke_widths(nothing).tolist() == [[0.0, 0.0]]


def test_stroke_width_of_a_bar_is_its_width():
    bar = np.zeros((1, 16, 16))
    bar[0, 2:14, 5:8] = 1  # 12 long: two long edges, and the two ends
    assert reading.stroke_widths(bar)[0] == pytest.approx(2 * 36 / (2 * 12 + 2 * 3), rel=0.05)


def test_shares_are_of_what_is_said():
    said = np.array([[0, 0, -1, 3, -1, -1, 7], [1, -1, -1, 3, 1, 1, 7]])
    found = np.array([[0, 0, 1, 3, 0, 0, 7], [1, 0, 0, 3, 1, 0, 8]])
    shares = reading.shares_right(found, said)
    assert shares == {
        "all": 0.5,
        "stacked": 1.0,
        "first_size": 1.0,
        "first_stroke": pytest.approx(np.nan, nan_ok=True),
        "first_digit": 1.0,
        "second_size": 1.0,
        "second_stroke": 0.0,
        "second_digit": 0.5,
    }


def test_halved_images():
    picture = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)
    small = scenes.halve(picture)
    assert small[0, :, :, 0].tolist() == [[2, 4], [10, 12]]  # of 2.5, 4.5, …: rounded to even


def test_facts_loss_is_the_cross_entropy_of_what_is_said():
    random = np.random.default_rng(0)
    logits = random.normal(size=(5, sum(captions.FACTS.values()))).astype(np.float32)
    facts = captions.facts_of(captions.draw(5, random))
    expected, start = 0.0, 0
    for number, count in enumerate(captions.FACTS.values()):
        for row, fact in zip(logits[:, start : start + count].astype(float), facts, strict=True):
            if fact[number] != captions.UNSAID:
                expected -= np.log(np.exp(row[fact[number]]) / np.exp(row).sum()) / 5
        start += count
    assert float(text_losses.facts_loss(tf.constant(logits), facts)) == pytest.approx(expected)


def test_kl_loss_is_that_of_two_normal_distributions():
    mean, log_var = np.array([[0.5, 0.0]]), np.log(np.array([[1.0, 4.0]]))
    expected = (0.5 * 0.5**2 + 0.5 * (4 - 1 - np.log(4))) / 2
    assert float(text_losses.kl_loss(mean, log_var)) == pytest.approx(expected)


def test_several_captions_have_the_logits_that_each_has_alone(some_scenes):
    discriminator = text_networks.build_discriminator(16)
    pictures, labels = batch(some_scenes, 0)
    words = tf.stack([labels[:, 0], tf.roll(labels[:, 0], 1, axis=0)], axis=1)
    both, facts = discriminator([pictures, words])
    assert both.shape == (6, 2) and facts.shape == (6, 30)
    for number in (0, 1):
        alone, _ = discriminator([pictures, words[:, number : number + 1]])
        np.testing.assert_allclose(both[:, number : number + 1], alone, rtol=1e-4, atol=1e-5)
    assert np.all(np.abs(both[:, 0] - both[:, 1]) > 1e-4)


@pytest.mark.parametrize("stage", [0, 1])
def test_a_step_moves_its_stage_alone(some_scenes, stage):
    gan = small_gan(lambda: keras.optimizers.SGD(0.1))
    gan.begin(stage)
    networks = [*gan.encoders, *gan.generators, *gan.discriminators]
    before = [[np.array(v) for v in network.weights] for network in networks]
    gan.train_step(batch(some_scenes, stage))
    moved = [
        any(not np.array_equal(old, v) for old, v in zip(weights, network.weights, strict=True))
        for weights, network in zip(before, networks, strict=True)
    ]
    assert moved == [stage == 0, stage == 1] * 3
    assert int(gan.iterations.numpy()) == 1


@pytest.mark.parametrize("stage", [0, 1])
def test_logged_numbers_and_losses_are_those_of_the_paper(some_scenes, stage):
    """With a learning rate of 0 the networks stay as they are, and each can be computed apart."""
    gan = small_gan()
    gan.begin(stage)
    pictures, labels = batch(some_scenes, stage)
    words, facts = labels[:, 0], labels[:, 1]
    weights = gan.generators[stage].get_weights()
    fakes, kl = gan.make(words, gan.noise(0, 6))
    gan.generators[stage].set_weights(weights)  # the running statistics have moved

    def logits(pictures, words):
        fit, shown = gan.discriminators[stage]([pictures, words[:, None]])
        return fit.numpy().astype(float), shown

    right, shown = logits(pictures, words)
    wrong, _ = logits(pictures, tf.roll(words, 1, axis=0))
    fake, fake_shown = logits(fakes, words)
    no = np.mean(np.log1p(np.exp(wrong))) + np.mean(np.log1p(np.exp(fake)))
    expected = {
        "d_loss": np.mean(np.log1p(np.exp(-right))) + no / 2,
        "d_right": np.mean(right > 0),
        "d_wrong": np.mean(wrong > 0),
        "d_fake": np.mean(fake > 0),
        "d_facts": float(text_losses.facts_loss(shown, facts)),
        "g_loss": np.mean(np.log1p(np.exp(-fake))),
        "g_facts": float(text_losses.facts_loss(fake_shown, facts)),
        "kl": float(kl),
    }
    logs = gan.train_step((pictures, labels))
    assert {k: float(v) for k, v in logs.items()} == pytest.approx(expected, rel=1e-3)


def test_each_term_is_in_the_update_by_its_weight(some_scenes):
    """The discriminator's step is that of a loss written out here, of plain gradients."""
    pictures, labels = batch(some_scenes, 0)
    words, facts = labels[:, 0], labels[:, 1]
    gan = small_gan(lambda: keras.optimizers.SGD(0.1), r1=3.0, facts_weight=0.5)
    discriminator = gan.discriminators[0]
    fakes, _ = gan.make(words, gan.noise(0, 6))
    with tf.GradientTape() as tape:
        with tf.GradientTape() as inner:
            inner.watch(pictures)
            right, shown = discriminator([pictures, words[:, None]])
        slopes = inner.gradient(right, pictures)
        wrong, _ = discriminator([pictures, tf.roll(words, 1, axis=0)[:, None]])
        fake, _ = discriminator([fakes, words[:, None]])
        loss = tf.reduce_mean(tf.nn.softplus(-right)) + 0.5 * text_losses.facts_loss(shown, facts)
        loss += tf.reduce_mean(tf.nn.softplus(wrong) + tf.nn.softplus(fake)) / 2
        loss += 3 / 2 * tf.reduce_mean(tf.reduce_sum(slopes**2, axis=(1, 2, 3)))
    variables = discriminator.trainable_variables
    gradients = tape.gradient(loss, variables)
    expected = [
        v.numpy() - 0.1 * tf.convert_to_tensor(g).numpy()
        for v, g in zip(variables, gradients, strict=True)
    ]
    gan.train_discriminator(pictures, fakes, words, facts)
    for variable, value in zip(variables, expected, strict=True):
        np.testing.assert_allclose(variable, value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("stage", [0, 1])
def test_each_term_is_in_the_generators_update_by_its_weight(some_scenes, stage):
    """To fit the captions, to show the facts, and near the captions: the loss is written out."""
    pictures, labels = batch(some_scenes, stage)
    words, facts = labels[:, 0], labels[:, 1]
    gan = small_gan(lambda: keras.optimizers.SGD(0.1), facts_weight=0.5, kl_weight=4.0)
    gan.begin(stage)
    gan.d_optimizers[stage].learning_rate = 0.0

    def loss():
        fakes, kl = gan.make(words, gan.noise(0, 6))
        fit, shown = gan.discriminators[stage]([fakes, words[:, None]], training=True)
        fits = tf.reduce_mean(tf.nn.softplus(-fit))
        return fits + 0.5 * text_losses.facts_loss(shown, facts) + 4.0 * kl

    variables = gan.generator_variables(stage)
    assert_goes_down(loss, lambda: gan.train_step((pictures, labels)), variables, rate=0.1)


def test_compiled_steps_are_those_of_python(some_scenes):
    logs = []
    for eagerly in (True, False):
        gan = small_gan(lambda: keras.optimizers.SGD(1e-3))
        gan.run_eagerly = eagerly
        gan.begin(1, steps_per_execution=2)
        batches = tf.data.Dataset.from_tensors(batch(some_scenes, 1)).repeat()
        fitted = gan.fit(batches, steps_per_epoch=2, shuffle=False, verbose=0)
        logs.append({name: values[0] for name, values in fitted.history.items()})
        assert int(gan.iterations.numpy()) == 2
    assert set(logs[0]) == set(gan.METRICS) and logs[0] == pytest.approx(logs[1], rel=1e-3)


def test_conditions_are_drawn_around_the_captions_mean(some_scenes):
    gan = small_gan()
    words = np.repeat(some_scenes.words[:1], 3000, axis=0)
    normal = np.random.default_rng(0).normal(size=(3000, 8)).astype(np.float32)
    mean, log_var = np.split(gan.encoders[0](words[:1]).numpy()[0], 2)
    conditions, _ = gan.augment(0, words, normal)
    np.testing.assert_allclose(np.mean(conditions, axis=0), mean, atol=0.2)
    np.testing.assert_allclose(np.std(conditions, axis=0), np.exp(log_var / 2), rtol=0.1)


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    short = ["--first-iterations", "2", "--second-iterations", "2", "--sample-interval", "1"]
    # When a checkpoint is about to be written, the one before it is what a kill leaves.
    moments = {folder.with_name(f"killed{n}"): ("latest.weights.h5", n) for n in (2, 4)}
    with run_eagerly(), kept_as_killed(folder, moments):
        text_to_image.main([*SMOKE, *short, "--output-dir", str(folder)])
    return folder


def test_smoke_run_leaves_what_the_readme_promises(finished_run):
    results = json.loads((finished_run / "results.json").read_text())
    assert results["iterations"] == 4
    with open(finished_run / "measured.csv", encoding="utf-8") as file:
        rows = {row["images"]: row for row in csv.DictReader(file)}
    assert list(rows) == [
        "real",
        "real_halved_enlarged",
        "stage_1_seen",
        "stage_1_unseen",
        "stage_2_seen",
        "stage_2_unseen",
        "stage_2_captions_exchanged",
    ]
    for name, row in rows.items():
        assert results[f"{name}_right"] == float(row["all"])
    for name in ("stacked", "first_size", "second_stroke"):
        assert float(rows["real"][name]) > 0.95
    page = images.read(finished_run / "samples" / "000004.png")
    assert page.shape == (4 * 98 + 2, 8 * 98 + 2)
    assert images.read(finished_run / "captions.png").std() > 10
    assert frames_of(finished_run / "progress.gif") == 5
    generator = keras.models.load_model(finished_run / "generator_2.keras")
    assert generator([np.zeros((1, 16, 16, 1)), np.zeros((1, 64))]).shape == (1, 32, 32, 1)


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("killed", [2, 4], ids=["in stage I", "in stage II"])
def test_killed_and_resumed_run_ends_in_the_same_bits(finished_run, killed):
    folder = finished_run.with_name(f"killed{killed}")
    check_resumed(text_to_image, ["--resume", folder], finished_run, compare=assert_same_run)


def test_a_caption_is_drawn_by_the_saved_networks(finished_run, capsys):
    flags = ["--caption", "a zero left of a large bold zero", str(finished_run), "--count", "3"]
    path = text_to_image.main([*flags, "--seed", "5"])
    assert path == finished_run / "generated/a-zero-left-of-a-large-bold-zero-seed5-3.png"
    assert "these digits were never so combined in training" in capsys.readouterr().out
    network = {
        name: keras.models.load_model(finished_run / f"{name}.keras")
        for name in ("text_encoder_1", "text_encoder_2", "generator_1", "generator_2")
    }
    words = captions.parse(flags[1])[None].repeat(3, axis=0)
    noise = np.random.default_rng(5).normal(size=(3, 16 + 64 + 64)).astype(np.float32)
    z, normal_1, normal_2 = np.split(noise, [16, 80], axis=1)
    conditions = []
    for name, normal in (("text_encoder_1", normal_1), ("text_encoder_2", normal_2)):
        mean, log_var = np.split(network[name](words).numpy(), 2, axis=1)
        conditions.append(mean + np.exp(log_var / 2) * normal)
    small = network["generator_1"]([z, conditions[0]]).numpy()
    large = network["generator_2"]([small, conditions[1]]).numpy()
    rows = [small.repeat(2, axis=1).repeat(2, axis=2), large]
    expected = np.concatenate([images.grid(row, columns=3) for row in rows])
    np.testing.assert_allclose(images.read(path).astype(int), expected.astype(int), atol=1)


def test_a_wrong_caption_is_one_line_by_its_path(program):
    script = REPOSITORY / "chapter11_applications" / "text_to_image.py"
    done = program(script, "--caption", "a purple three left of a seven")
    assert done.returncode == 2 and "'purple' is no word of it" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_settings_reach_the_model(monkeypatch):
    seen = {}

    class Stop(Exception):
        pass

    def compile_and_stop(self, d_optimizers, g_optimizers, **kwargs):
        seen.update(gan=self, d=d_optimizers, g=g_optimizers)
        raise Stop

    monkeypatch.setattr(stackgan.StackGAN, "compile", compile_and_stop)
    flags = ["--generator-learning-rate", "0.5", "--discriminator-learning-rate", "0.25"]
    flags += ["--beta-1", "0.75", "--r1", "2", "--facts-weight", "3"]
    flags += ["--kl-weight", "4", "--latent-dim", "5", "--condition-dim", "6", "--seed", "7"]
    flags += ["--first-iterations", "8", "--second-iterations", "6"]
    with pytest.raises(Stop):
        text_to_image.main([*SMOKE, *flags])
    gan = seen["gan"]
    assert (gan.r1, gan.facts_weight, gan.kl_weight, gan.seed) == (2, 3, 4, 7)
    assert (gan.latent_dim, gan.condition_dim) == (5, 6)
    for optimizers, rate in ((seen["d"], 0.25), (seen["g"], 0.5)):
        for optimizer, updates in zip(optimizers, (8, 6), strict=True):
            assert optimizer.beta_1 == 0.75
            rates = [float(optimizer._learning_rate(step)) for step in (0, updates // 2, updates)]
            assert rates == [rate, rate / 2, 0.0]


def test_too_few_digits_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "--digits 30: too few" in error_of(
        text_to_image.main, [*SMOKE, "--digits", "30"], capsys
    )
    assert list(tmp_path.iterdir()) == []


def test_captions_are_shown_in_two_lines():
    text = captions.text_of(captions.parse("a three above an eight"))
    assert text_report.wrapped(text) == "a three\nabove an eight"
