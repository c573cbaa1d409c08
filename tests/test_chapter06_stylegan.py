"""Chapter 6: the style-based generator, its training, and what its styles do."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import FEWER_BITS, check_killed_and_resumed, error_of, frames_of, listen

from chapter06_progan import explore, style_figures, train
from chapter06_progan.export import export
from chapter06_progan.layers import EqualizedDense, double
from chapter06_progan.networks import Discriminator
from chapter06_progan.schedule import Phase
from chapter06_progan.style_networks import AdaIN, AddNoise, StyleGenerator, instance_norm
from chapter06_progan.stylegan import StyleGAN, pixel_noise
from common import images

SMOKE = ["--preset", "smoke", "--model", "stylegan", "--mapping-layers", "2"]
FEW = {"total_filters": 64, "most_filters": 8}
LATENT = 6
STABLE = Phase(level=1, fading=False, begin=0, images=64, level_begin=0, batch_size=8)
FADING = Phase(level=1, fading=True, begin=0, images=64, level_begin=0, batch_size=8)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def small_generator(**settings):
    return StyleGenerator(2, LATENT, 1, mapping_layers=2, **FEW, **settings)


def small_gan(phase=STABLE, optimizer=lambda: keras.optimizers.SGD(0.01), **settings):
    gan = StyleGAN(small_generator(), Discriminator(2, 1, **FEW), small_generator(), **settings)
    gan.compile(optimizer(), optimizer(), run_eagerly=True)
    gan.begin(phase)
    return gan


def test_adain_is_the_papers_equation():
    features, style = normal(2, 5, 5, 3), normal(2, 4, seed=1)
    layer = AdaIN()
    found = layer(features, style).numpy()
    mean, deviation = features.mean((1, 2), keepdims=True), features.std((1, 2), keepdims=True)
    read = style @ (layer.affine.kernel.numpy() * layer.affine.scale)
    scale, shift = (x[:, None, None] for x in np.split(read, 2, axis=1))
    expected = (1 + scale) * (features - mean) / deviation + shift
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert np.all(np.isfinite(instance_norm(np.ones((1, 4, 4, 2), np.float32))))


def test_noise_has_a_learned_weight_for_each_feature_which_begins_at_0():
    features, noise = normal(2, 4, 4, 3), normal(2, 4, 4, 1, seed=1)
    layer = AddNoise()
    np.testing.assert_array_equal(layer(features, noise), features)
    layer.weight.assign([0.0, 1.0, 2.0])
    np.testing.assert_allclose(
        layer(features, noise), features + noise * np.array([0, 1, 2], np.float32), rtol=1e-6
    )


def test_a_slow_layer_computes_the_same_and_learns_slowly():
    inputs = normal(500, 64)
    fast, slow = EqualizedDense(32), EqualizedDense(32, rate=0.01)
    outputs = [layer(inputs).numpy() for layer in (fast, slow)]
    assert np.std(outputs[0]) == pytest.approx(np.std(outputs[1]), rel=0.1)
    for layer, before in zip((fast, slow), outputs, strict=True):
        for variable in layer.trainable_variables:
            variable.assign_add(0.01 * tf.ones_like(variable))  # as one of Adam's first steps
        layer.moved = np.abs(layer(inputs).numpy() - before).mean()
    assert slow.moved == pytest.approx(fast.moved * 0.01, rel=0.05)


def test_truncation_goes_from_the_average_style_to_each_own():
    generator = small_generator()
    generator.average_style.assign(normal(LATENT))
    noise = normal(5, LATENT, seed=1)
    own = generator.styles(noise).numpy()
    average = np.tile(generator.average_style, (5, 1))
    np.testing.assert_allclose(generator.styles(noise, 0.0), average, rtol=1e-5)
    np.testing.assert_allclose(generator.styles(noise, 0.5), (own + average) / 2, rtol=1e-4)


def test_a_new_level_begins_as_the_former_one():
    generator, noise = small_generator(), normal(3, LATENT)
    added = pixel_noise(1, 3, (0, 0))
    former = generator(noise, level=0, pixel_noise=added[:2])
    begun = generator(noise, level=1, fade=0.0, pixel_noise=added)
    np.testing.assert_array_equal(begun, double(former))
    whole = generator(noise, level=1, pixel_noise=added)
    np.testing.assert_array_equal(generator(noise, level=1, fade=1.0, pixel_noise=added), whole)


def test_each_layer_has_noise_of_its_own_at_its_size():
    parts = pixel_noise(1, 500, (0, 1))
    assert [tuple(part.shape) for part in parts] == [(500, s, s, 1) for s in (4, 4, 8, 8)]
    flat = [np.ravel(part)[:8000] for part in parts]
    assert all(abs(np.std(part) - 1) < 0.03 for part in flat)
    assert np.max(np.abs(np.corrcoef(flat) - np.eye(4))) < 0.05


def test_mixed_images_have_another_style_from_some_layer_on():
    own, other = tf.zeros((400, LATENT)), tf.ones((400, LATENT))
    layers = np.stack([x[:, 0] for x in small_gan(mixing=1.0).mix(own, other, (0, 1))], axis=1)
    assert layers.shape == (400, 4)  # two of 4×4, two of 8×8
    assert np.all(layers[:, 0] == 0) and np.all(layers[:, -1] == 1)
    assert np.all(np.diff(layers, axis=1) >= 0)
    assert sorted(np.unique(layers.sum(axis=1))) == [1, 2, 3]
    assert not np.any(small_gan(mixing=0.0).mix(own, other, (0, 1)))
    some = np.stack(small_gan(mixing=0.5).mix(own, other, (0, 1)))[-1, :, 0]
    assert 0.4 < some.mean() < 0.6


def test_losses_are_non_saturating_with_r1():
    gan = small_gan(r1=3.0)
    real, fake = tf.constant(normal(4, 8, 8, 1)), tf.constant(normal(4, 8, 8, 1, seed=1))
    with tf.GradientTape() as tape:
        tape.watch(real)
        scores = gan.score(real)
    slopes = tape.gradient(scores, real)  # of the sum: groups of images share a feature
    of_fake = gan.score(fake).numpy()
    logs = gan.train_discriminator(real, fake)
    assert float(logs["penalty"]) == pytest.approx(
        1.5 * np.mean(np.sum(np.square(slopes), axis=(1, 2, 3))), rel=1e-4
    )
    expected = np.mean(np.logaddexp(0, -scores.numpy())) + np.mean(np.logaddexp(0, of_fake))
    assert float(logs["d_loss"]) == pytest.approx(expected, rel=1e-5)
    assert float(gan.generator_loss(tf.constant([[0.0], [2.0]]))) == pytest.approx(
        np.mean(np.logaddexp(0, [0.0, -2.0])), rel=1e-5
    )


@pytest.mark.parametrize("phase", [STABLE, FADING], ids=["stable", "fading"])
def test_a_step_moves_both_networks_and_the_averages(phase):
    gan = small_gan(phase, average=0.5, style_average=0.9)
    gan.images_seen.assign(8)  # at 0, the new level has no part yet in what is made
    networks = (gan.generator, gan.discriminator, gan.averaged)
    before = [[v.numpy() for v in x.variables_of(1, True)] for x in networks]
    styles = []
    follow, gan.follow = gan.follow, lambda x: (styles.append(x), follow(x))
    gan.train_step(tf.constant(normal(8, 8, 8, 1)))
    for network, values in zip(networks, before, strict=True):
        moved = [
            not np.array_equal(v, old)
            for v, old in zip(network.variables_of(1, True), values, strict=True)
        ]
        used = {id(v) for v in network.variables_of(1, phase.fading)}
        assert moved == [id(v) in used for v in network.variables_of(1, True)]
    assert len(styles) == 1 and int(gan.images_seen) == 16
    mean = np.mean(styles[0], axis=0)
    np.testing.assert_allclose(gan.generator.average_style, 0.1 * mean, rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(gan.averaged.average_style, gan.generator.average_style)


def test_exported_generator_makes_the_same_images_without_noise(tmp_path):
    generator, noise = small_generator(), normal(4, LATENT)
    for number, variable in enumerate(generator.trainable_variables):
        variable.assign_add(0.1 * normal(*variable.shape, seed=number))
    export(generator).save(tmp_path / "generator.keras")
    loaded = keras.models.load_model(tmp_path / "generator.keras")
    np.testing.assert_allclose(loaded(noise), generator(noise, level=1), rtol=1e-3, atol=1e-4)


@pytest.mark.usefixtures("eagerly")
def test_networks_are_told_whether_they_train(monkeypatch):
    modes = listen(monkeypatch)
    gan = small_gan(FADING)
    gan.train_step(tf.constant(normal(4, 8, 8, 1)))
    assert set(modes) == {True}
    modes.clear()
    gan.generate(2)
    assert set(modes) == {False}


def test_styles_are_swapped_at_the_levels_that_are_named():
    assert style_figures.groups_of(3) == {"coarse": [0, 1], "middle": [2], "fine": [3]}
    assert style_figures.groups_of(1) == {"coarse": [0], "middle": [1]}
    gan = small_gan()
    assert style_figures.swap(gan, "own", "other", [1]) == ["own", "own", "other", "other"]
    styles = gan.averaged.styles(gan.fixed_noise(3))
    np.testing.assert_array_equal(gan.draw([styles] * 4), gan.generate(3))
    assert not np.array_equal(gan.draw([styles] * 4), gan.draw([styles[::-1]] * 4))


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chapter06") / "run"
    flags = ["--no-grow", "--validation-images", "100"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style_figures, "MIXED", 100)
        train.main([*SMOKE, *flags, "--output-dir", str(folder)])
    return folder


def test_smoke_run_leaves_what_the_readme_promises(finished_run):
    results = json.loads((finished_run / "results.json").read_text())
    for name in ("coarse", "middle"):
        assert f"{name}_styles_swapped_label_kept" in results
    for name in ("mixing.png", "noise.png", "truncation.png"):
        assert images.read(finished_run / name).ndim == 3
    lines = (finished_run / "truncation.csv").read_text().splitlines()
    assert lines[0] == "psi,precision,recall,fid"
    assert [float(line.split(",")[0]) for line in lines[1:]] == list(style_figures.TRUNCATIONS)
    assert frames_of(finished_run / "progress.gif") == 7


class FirstStyleDecides:
    """A network whose images have the brightness of the first style's digit."""

    averaged = SimpleNamespace(layers_of=lambda level: 8, styles=tf.constant)
    phase = SimpleNamespace(level=3)

    def fixed_noise(self, count):
        return np.random.default_rng(1).integers(0, 10, (count, 1)).astype(np.float32)

    def draw(self, styles):
        return np.ones((1, 32, 32, 1)) * styles[0][:, None, None] / 10


def test_mixing_gives_a_row_the_styles_of_the_columns(monkeypatch):
    shown = []
    monkeypatch.setattr(style_figures, "show", lambda ax, pictures, columns: shown.append(pictures))
    style_figures.mixing(FirstStyleDecides(), "title")
    styles = FirstStyleDecides().fixed_noise(9)[:, 0] / 10
    columns, rows = styles[:6], styles[6:]
    for number, pictures in enumerate(shown):  # coarse, middle, fine
        table = pictures[:, 0, 0, 0].reshape(4, 7)
        np.testing.assert_allclose(table[0], [-1, *columns], rtol=1e-6)
        for seen, own in zip(table[1:], rows, strict=True):
            mixed = columns if number == 0 else [own] * 6  # the first style is a coarse one
            np.testing.assert_allclose(seen, [own, *mixed], rtol=1e-6)
    assert len(shown) == 3


def test_labels_kept_tells_whose_styles_decide():
    def classifier(pictures):
        return None, np.eye(10)[np.round(pictures[:, 14, 14, 0] * 10).astype(int)]

    found = style_figures.labels_kept(FirstStyleDecides(), classifier)
    assert found == {
        "coarse": {"label_kept": 0, "label_of_other": 1},
        "middle": {"label_kept": 1, "label_of_other": 0},
        "fine": {"label_kept": 1, "label_of_other": 0},
    }


def test_explore_finds_images_and_walks(finished_run, capsys):
    found = explore.main([str(finished_run), "--steps", "30", "--starts", "8"])
    assert found["distance"] < found["sample_distance"]
    for name in ("interpolation.png", "straight.png", "search.png"):
        assert images.read(finished_run / "explore" / name).std() > 1
    assert frames_of(finished_run / "explore" / "interpolation.gif") == 120


def test_explore_takes_any_generator(finished_run, tmp_path, capsys):
    noise = keras.Input((3,))
    made = keras.layers.Reshape((4, 4, 1))(keras.layers.Dense(16, activation="tanh")(noise))
    path = tmp_path / "own.keras"
    keras.Model(noise, made).save(path)
    picture = finished_run / "samples" / "000096.png"
    flags = ["--keras-file", str(path), "--images", str(picture), "--steps", "3"]
    found = explore.main([*flags, "--output-dir", str(tmp_path / "explored")])
    assert found["distance"] < found["sample_distance"]
    assert (tmp_path / "explored" / "explore" / "search.png").exists()

    assert "go together" in error_of(explore.main, flags, capsys)
    line = error_of(explore.main, [*flags, "--output-dir", str(tmp_path / "explored")], capsys)
    assert "is not empty; name another folder" in line
    path.write_bytes(b"no network")
    line = error_of(explore.main, [*flags, "--output-dir", str(tmp_path / "other")], capsys)
    assert "own.keras: cannot be loaded" in line


def test_explore_of_a_file_takes_no_run_and_no_data(tmp_path, capsys):
    flags = ["--keras-file", "own.keras", "--images", "a.png"]
    flags += ["--output-dir", str(tmp_path / "new")]
    assert "the run 3 has no part in" in error_of(explore.main, ["3", *flags], capsys)
    line = error_of(explore.main, [*flags, "--data-dir", str(tmp_path)], capsys)
    assert "--data-dir has no part in --keras-file" in line
    assert list(tmp_path.iterdir()) == []


def test_explore_of_a_name_that_is_too_long_is_one_line(tmp_path, capsys):
    flags = ["--keras-file", "x" * 5000, "--images", "a.png", "--output-dir", str(tmp_path / "new")]
    assert "there is no such file" in error_of(explore.main, flags, capsys)


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_killed_and_resumed_run_ends_in_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(style_figures, "MIXED", 50)
    flags = [*SMOKE, "--precision", FEWER_BITS, "--phase-images", "16", "--last-images", "16"]
    flags += ["--sample-images", "8", "--fid-images", "65"]  # the second checkpoint ends 4×4
    check_killed_and_resumed(train, flags, tmp_path / "whole", tmp_path / "run")


def test_settings_of_the_other_model_are_refused(capsys):
    assert "--r1 has no part in --model progan" in error_of(
        train.main, ["--preset", "smoke", "--r1", "3"], capsys
    )
    line = error_of(train.main, [*SMOKE, "--gradient-penalty", "3"], capsys)
    assert "--gradient-penalty has no part in --model stylegan" in line
    line = error_of(train.main, [*SMOKE, "--no-equalized"], capsys)
    assert "--no-equalized has no part in --model stylegan" in line
