"""Chapter 11, design.py: the creative loss, the algorithm, the measures, and the comparison."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import (
    assert_goes_down,
    assert_same_run,
    check_resumed,
    error_of,
    frames_of,
    kept_as_killed,
    run_eagerly,
)

from chapter11_applications import creative, design, networks, novelty, styles
from chapter11_applications.creative import CreativeGAN, creative_loss
from common import data, images
from common.batch_norm import fuse

SMOKE = ["--preset", "smoke"]
SHAPE = (8, 8, 1)
STYLES = 4


def test_creative_loss_is_the_cross_entropy_with_the_uniform_distribution(random):
    logits = random.normal(size=(5, 7)).astype("float32")
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert float(creative_loss(logits)) == pytest.approx(-np.mean(np.log(p)), rel=1e-5)
    even = float(creative_loss(tf.zeros((2, 7))))
    assert even == pytest.approx(np.log(7)) and even < float(creative_loss(logits))
    sure = tf.constant([[1e4, 0.0]])
    assert float(creative_loss(sure)) == pytest.approx(5e3)  # and no infinity


def small_gan(creativity=1.0, rate=0.0, seed=0):
    keras.utils.set_random_seed(seed)
    gan = CreativeGAN(
        fuse(networks.build_generator(SHAPE, 3, latent_dim=4, width=8)),
        networks.build_naming_discriminator(SHAPE, 3, STYLES, width=8),
        creativity=creativity,
        r1=2.0,
        seed=seed,
    )
    gan.compile(keras.optimizers.SGD(rate), keras.optimizers.SGD(rate))
    return gan


KINDS = np.array([0, 1, 2, 0, 1, 2], np.int32)
OF_STYLES = np.array([3, 0, 1, 2, 2, 0], np.int32)
BATCH = (
    tf.constant(np.random.default_rng(0).uniform(-1, 1, (6, *SHAPE)), tf.float32),
    tf.constant(np.stack([KINDS, OF_STYLES], axis=1)),
)


def test_logged_numbers_are_those_of_the_heads():
    """With a learning rate of 0 the networks stay as they are, and each can be computed apart."""
    gan = small_gan()
    fakes = gan.generator([gan.noise(0, 6)[0], tf.constant(KINDS)], training=True)
    real, kinds, of_styles = (x.numpy() for x in gan.discriminator(BATCH[0], training=True))
    fake, made_kinds, made_styles = (x.numpy() for x in gan.discriminator(fakes, training=True))
    logs = {name: float(value) for name, value in gan.train_step(BATCH).items()}
    d_loss = np.mean(np.log1p(np.exp(-real))) + np.mean(np.log1p(np.exp(fake)))
    logs_of_kinds = keras.ops.log_softmax(made_kinds).numpy()[np.arange(6), KINDS]
    assert logs["d_loss"] == pytest.approx(d_loss / 2, rel=1e-4)
    g_loss = np.mean(np.log1p(np.exp(-fake))) - np.mean(logs_of_kinds)
    assert logs["g_loss"] == pytest.approx(g_loss, rel=1e-4)
    assert logs["creative_loss"] == pytest.approx(float(creative_loss(made_styles)), rel=1e-4)
    assert logs["kind_accuracy"] == pytest.approx(np.mean(kinds.argmax(1) == KINDS))
    assert logs["style_accuracy"] == pytest.approx(np.mean(of_styles.argmax(1) == OF_STYLES))


def name_loss(names, logits):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(names, logits))


def test_the_discriminators_step_goes_down_its_loss():
    """Of judging, of naming kind and style, and of half of R1 by its weight; written out here."""
    gan, (pictures, _) = small_gan(rate=0.1), BATCH
    gan.g_optimizer.learning_rate = 0.0
    fakes = gan.generator([gan.noise(0, 6)[0], tf.constant(KINDS)], training=True)

    def loss():
        with tf.GradientTape() as tape:
            tape.watch(pictures)
            real, kinds, of_styles = gan.discriminator(pictures, training=True)
        slopes = tape.gradient(real, pictures)
        fake, _, _ = gan.discriminator(fakes, training=True)
        judging = tf.reduce_mean(tf.nn.softplus(-real)) + tf.reduce_mean(tf.nn.softplus(fake))
        r1 = tf.reduce_mean(tf.reduce_sum(slopes**2, axis=(1, 2, 3)))
        return judging + name_loss(KINDS, kinds) + name_loss(OF_STYLES, of_styles) + 2.0 / 2 * r1

    variables = gan.discriminator.trainable_variables
    assert_goes_down(loss, lambda: gan.train_step(BATCH), variables, rate=0.1)


def test_the_generators_step_goes_down_its_loss():
    """To pass for real, of the kind that is asked for, and of no style by its weight."""
    gan = small_gan(creativity=3.0, rate=0.1)
    gan.d_optimizer.learning_rate = 0.0

    def loss():
        fakes = gan.generator([gan.noise(0, 6)[0], tf.constant(KINDS)], training=True)
        fake, kinds, of_styles = gan.discriminator(fakes, training=True)
        no_style = -tf.reduce_mean(tf.nn.log_softmax(of_styles))
        return tf.reduce_mean(tf.nn.softplus(-fake)) + name_loss(KINDS, kinds) + 3.0 * no_style

    variables = gan.generator.trainable_variables
    assert_goes_down(loss, lambda: gan.train_step(BATCH), variables, rate=0.1)


def test_the_creative_loss_moves_the_generator_alone():
    gans = [small_gan(creativity, rate=0.1) for creativity in (0.0, 5.0)]
    for gan in gans:
        gan.train_step(BATCH)
    start = small_gan()

    def difference(network, a, b):
        pairs = zip(
            getattr(a, network).get_weights(), getattr(b, network).get_weights(), strict=True
        )
        return max(np.abs(x - y).max() for x, y in pairs)

    assert difference("discriminator", *gans) == 0
    assert difference("discriminator", gans[0], start) > 1e-4
    assert difference("generator", *gans) > 1e-4


def test_the_discriminator_learns_kinds_and_styles_from_real_images_alone(monkeypatch):
    seen = []
    monkeypatch.setattr(creative, "naming_loss", lambda y, logits: seen.append(y.numpy()) or 0.0)
    small_gan().train_step(BATCH)
    assert [labels.tolist() for labels in seen[:2]] == [KINDS.tolist(), OF_STYLES.tolist()]
    assert len(seen) == 3 and seen[2].tolist() == KINDS.tolist()  # the generator's


def few_clothes(tests=300):
    clothes = data.load("fashion_sample")
    return dataclasses.replace(
        clothes,
        x_train=clothes.x_train[:1_000],
        y_train=clothes.y_train[:1_000],
        x_test=clothes.x_test[:tests],
        y_test=clothes.y_test[:tests],
    )


@pytest.fixture(scope="module")
def measurement():
    clothes = few_clothes(tests=100)
    found = styles.find(clothes.x_train, clothes.y_train, 6)
    return novelty.Measurement(clothes, found, 40)


def test_training_images_are_not_new(measurement):
    clothes = measurement.dataset
    found = measurement.novelty(clothes.x_train[100:120], clothes.y_train[100:120])
    np.testing.assert_allclose(found["pixels"], 0, atol=1e-6)
    np.testing.assert_allclose(found["features"], 0, atol=1e-4)
    same = clothes.x_train[found["nearest"]] == clothes.x_train[100:120]
    assert np.all(same)


def test_the_nearest_image_is_of_the_kind_that_was_asked_for(measurement):
    clothes = measurement.dataset
    boots = clothes.x_test[clothes.y_test == 9][:3]
    as_shirts = measurement.novelty(boots, np.full(3, 6))
    assert np.all(clothes.y_train[as_shirts["nearest"]] == 6)
    as_boots = measurement.novelty(boots, np.full(3, 9))
    for name in ("pixels", "features"):
        assert np.all(as_boots[name] < as_shirts[name])
    shirts = data.scale(clothes.x_train[clothes.y_train == 6])
    distances = np.sqrt(np.mean((shirts - data.scale(boots[:1])) ** 2, axis=(1, 2, 3)))
    assert as_shirts["pixels"][0] == pytest.approx(distances.min(), rel=1e-5)


def test_entropy_of_the_named_styles():
    gan = small_gan()
    pictures = BATCH[0].numpy()
    logits = gan.discriminator(pictures, training=False)[2].numpy().astype(float)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert novelty.entropy(gan, pictures) == pytest.approx(-np.mean(np.sum(p * np.log(p), 1)), 1e-4)


def test_novelty_of_style_is_the_distance_to_the_nearest_style(measurement):
    clothes, known = measurement.dataset, measurement.styles
    found = measurement.novelty(clothes.x_test[:20], clothes.y_test[:20])
    standard = known.standardize(clothes.x_test[:20], clothes.y_test[:20])
    expected = [min(np.linalg.norm(x - centre) for centre in known.centres) for x in standard]
    np.testing.assert_allclose(found["style"], expected, rtol=1e-5)


SHORT = [*SMOKE, "--iterations", "2", "--sample-interval", "1"]


@pytest.mark.parametrize("variant, creativity", [("plain", 0.0), ("creative", 0.7)])
def test_the_creative_variant_alone_has_the_creative_loss_and_both_the_settings(
    variant, creativity, monkeypatch, tmp_path
):
    class Stop(Exception):
        pass

    def stop(self, d_optimizer, g_optimizer, **settings):
        optimizers = d_optimizer, g_optimizer
        rates = [float(optimizer._learning_rate(0)) for optimizer in optimizers]
        raise Stop(self.creativity, rates, [optimizer.beta_1 for optimizer in optimizers])

    clothes = few_clothes()
    monkeypatch.setattr(CreativeGAN, "compile", stop)
    monkeypatch.setattr(data, "load", lambda *arguments: clothes)
    flags = ["--variant", variant, "--creativity", "0.7", "--output-dir", str(tmp_path / "run")]
    flags += ["--discriminator-learning-rate", "0.25", "--generator-learning-rate", "0.5"]
    flags += ["--beta-1", "0.75"]
    with pytest.raises(Stop) as stopped:
        design.main([*SHORT, *flags])
    assert stopped.value.args == (creativity, [0.25, 0.5], [0.75, 0.75])


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """Of few images, as are the runs that the tests below resume."""
    folder = tmp_path_factory.mktemp("chapter11") / "run"
    in_the_second_variant = ("latest.weights.h5", 4)
    kept = {folder.with_name("killed"): in_the_second_variant}
    clothes = few_clothes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda *arguments: clothes)
        with run_eagerly(), kept_as_killed(folder, kept):
            design.main([*SHORT, "--output-dir", str(folder)])
        yield folder


def test_run_leaves_what_the_readme_promises(finished_run):
    results = json.loads((finished_run / "results.json").read_text())
    assert list(results) == ["plain", "creative"]
    for name, found in results.items():
        folder = finished_run / name
        assert found["iterations"] == 2 and found["pixels_distance"] > found["test_pixels_distance"]
        assert 0.8 < found["test_label_accuracy"] < 1
        assert 0 < found["style_entropy"] <= np.log(6) and 0 <= found["label_accuracy"] <= 1
        generator = keras.models.load_model(folder / "generator.keras")
        assert generator.output_shape == (None, 28, 28, 1)
        assert frames_of(folder / "progress.gif") == 3
        assert images.read(folder / "styles.png").shape == (6 * 86 + 2, 10 * 86 + 2)
        assert (folder / "history.png").stat().st_size > 20_000
    for name in ("designs.png", "novelty.png"):
        assert (finished_run / name).stat().st_size > 20_000


def assert_same_variants(run, whole):
    for name in ("plain", "creative"):
        assert_same_run(run / name, whole / name)
    for name in ("designs.png", "novelty.png"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_run_killed_in_the_second_variant_and_resumed_ends_in_the_same_bits(finished_run):
    run = finished_run.with_name("killed")
    assert (run / "plain" / "results.json").exists()
    check_resumed(design, ["--resume", run], finished_run, compare=assert_same_variants, draw=True)


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_a_variant_alone_is_the_same_as_beside_the_other(finished_run, tmp_path):
    design.main([*SHORT, "--variant", "creative", "--output-dir", str(tmp_path / "run")])
    assert_same_run(tmp_path / "run", finished_run / "creative")


@pytest.mark.slow
def test_other_settings_in_a_variants_folder_are_one_line(finished_run, tmp_path, capsys):
    folder = tmp_path / "run"
    (folder / "plain").mkdir(parents=True)
    config = (finished_run / "config.json").read_text()
    (folder / "config.json").write_text(config)
    (folder / "plain" / "config.json").write_text(config)  # of both variants
    assert "has other settings than" in error_of(design.main, ["--resume", str(folder)], capsys)
