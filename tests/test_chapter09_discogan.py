"""Chapter 9's DiscoGAN: its networks, its step, a run, and what is measured of its relations."""

import json

import imageio.v3 as imageio
import keras
import numpy as np
import pytest
from conftest import FEWER_BITS, check_killed_and_resumed, error_of

from chapter09_cyclegan import discogan_networks, relations, train
from chapter09_cyclegan.build import build_model
from chapter09_cyclegan.discogan import DiscoGAN
from common import data

SMOKE = ["--preset", "smoke", "--model", "discogan", "--dataset", "sample:3:8"]
SMOKE += ["--augmentation", "cut"]
SHAPE = (32, 32, 1)


def small_gan(d_rate, g_rate):
    config = train.PRESETS["discogan"].replace(
        generator_filters=2, discriminator_filters=2, precision="float32"
    )
    gan = build_model(config, SHAPE)
    gan.compile(*(keras.optimizers.SGD(rate) for rate in (d_rate, d_rate, g_rate)))
    return gan


def pictures(seed, shape=(4, *SHAPE)):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32")


def test_generator_is_a_chain_through_its_bottleneck():
    generator = discogan_networks.build_generator(3, 64)
    for before, layer in zip(generator.layers, generator.layers[1:], strict=False):
        assert layer.input is before.output  # and nothing else: no skip connection
    widths = [(3, 64), (64, 128), (128, 256), (256, 512), (512, 256), (256, 128), (128, 64)]
    kernels = sum(4 * 4 * i * o + o for i, o in [*widths, (64, 3)])
    norms = 4 * sum(o for _, o in widths[1:])
    assert generator.count_params() == kernels + norms
    encoder = keras.Model(generator.input, generator.layers[len(generator.layers) // 2 - 1].output)
    assert encoder(np.zeros((1, 64, 64, 3))).shape == (1, 4, 4, 512)  # as the authors'
    assert generator(np.zeros((2, 32, 48, 3))).shape == (2, 32, 48, 3)


def test_discriminator_judges_whole_images():
    discriminator = discogan_networks.build_discriminator((64, 48, 3), 2)
    image = pictures(0, (2, 64, 48, 3))
    logits = discriminator(image).numpy()
    assert logits.shape == (2, 1)
    for row, column in ((0, 0), (63, 47)):
        changed = image.copy()
        changed[:, row, column] += 1
        assert np.all(discriminator(changed).numpy() != logits)


def test_logged_numbers_are_those_of_the_losses():
    """With a learning rate of 0 the networks stay as they are, and each can be computed apart."""
    gan = small_gan(0.0, 0.0)
    A, B = pictures(1), pictures(2)
    fake_B, fake_A = gan.g_AB(A, training=True), gan.g_BA(B, training=True)
    real = DiscoGAN.loss_real(gan.d_A(A)), DiscoGAN.loss_real(gan.d_B(B))
    fake = DiscoGAN.loss_fake(gan.d_A(fake_A)), DiscoGAN.loss_fake(gan.d_B(fake_B))
    adversarial = DiscoGAN.loss_real(gan.d_A(fake_A)) + DiscoGAN.loss_real(gan.d_B(fake_B))
    cycle = np.mean(np.square(A - gan.g_BA(fake_B, training=True)))
    cycle += np.mean(np.square(B - gan.g_AB(fake_A, training=True)))
    expected = {
        "d_A_loss": (real[0] + fake[0]) / 2,
        "d_B_loss": (real[1] + fake[1]) / 2,
        "adversarial_loss": adversarial / 2,
        "cycle_loss": cycle / 2,
        "identity_loss": 0,  # it has no weight, and is not computed
        "g_loss": adversarial + gan.lambda_cycle * cycle,
    }
    logs = {name: float(value) for name, value in gan.train_step((A, B)).items()}
    assert logs == pytest.approx({k: float(v) for k, v in expected.items()}, rel=1e-4)


@pytest.mark.parametrize(
    "rates, moving", [((0.1, 0.0), ("d_A", "d_B")), ((0.0, 0.1), ("g_AB", "g_BA"))]
)
def test_each_update_moves_its_own_networks(rates, moving):
    gan = small_gan(*rates)
    variables = {n: getattr(gan, n).trainable_variables for n in ("g_AB", "g_BA", "d_A", "d_B")}
    before = {name: [v.numpy() for v in found] for name, found in variables.items()}
    gan.train_step((pictures(1), pictures(2)))
    for name, found in variables.items():
        pairs = zip(found, before[name], strict=True)
        assert any(np.any(v.numpy() != old) for v, old in pairs) == (name in moving)


def test_model_brings_its_networks_and_weights():
    quick = train.PRESETS["quick"].with_flags({"model": "discogan"})
    assert quick.model_dump(include=set(train.DISCOGAN)) == train.DISCOGAN
    own = train.PRESETS["quick"].with_flags({"model": "discogan", "generator": "unet"})
    assert own.generator == "unet" and own.lambda_identity == 0
    preset = train.PRESETS["discogan"]
    assert preset.with_flags({"model": "discogan"}) == preset  # whose cycle loss weighs 10
    back = preset.with_flags({"model": "cyclegan"})
    assert (back.generator, back.lambda_identity) == ("unet", 0.5)
    assert train.PRESETS["discogan"].model_dump(include={"generator", "lambda_identity"}) == {
        "generator": "encoder-decoder",
        "lambda_identity": 0,
    }


def test_a_patch_has_no_part_where_whole_images_are_judged(capsys):
    assert "--patch has no part in" in error_of(train.main, [*SMOKE, "--patch", "34"], capsys)


def test_identity_loss_would_mix_the_domains_of_a_batch(capsys):
    line = error_of(train.main, [*SMOKE, "--lambda-identity", "1"], capsys)
    assert "--generator encoder-decoder" in line and "--lambda-identity 0" in line


@pytest.mark.usefixtures("eagerly")
def test_run_and_its_relations(tmp_path):
    run = tmp_path / "run"
    train.main([*SMOKE, "--epochs", "1", "--batch-size", "200", "--output-dir", str(run)])
    (measured,) = relations.main([str(run)])
    assert measured == json.loads((run / "relations.json").read_text())
    for direction in ("AB", "BA"):
        untranslated = measured[direction]["untranslated"]
        assert [untranslated[n] for n in ("shade", "strongest", "overlap")] == pytest.approx(
            [1] * 3
        )
        assert untranslated["label_accuracy"] < 0.1
        unrelated = measured[direction]["unrelated"]
        assert unrelated["strongest"] < 0.5 and unrelated["overlap"] < 0.8
        assert unrelated["label_accuracy"] > 0.9
        assert unrelated["fid"] < untranslated["fid"]
        assert 0 <= measured[direction]["translated"]["retrieval"] <= 1
    page = imageio.imread(run / "relations.png")
    assert page.shape == (6 * (3 * 32 + 2) + 2, 10 * (3 * 32 + 2) + 2)
    first_row = np.split(page[2:98, : 10 * 98].astype(float), 10, axis=1)  # originals
    shades = [cell[cell > 25].mean() for cell in first_row]
    assert shades[0] < shades[4] < shades[9]


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_killed_run_resumed_ends_in_the_same_bits(tmp_path):
    """With the running averages of the generators' batch normalisation."""
    flags = [*SMOKE, "--precision", FEWER_BITS]
    check_killed_and_resumed(train, flags, tmp_path / "whole", tmp_path / "run")


def test_retrieval_is_of_those_that_came_back_nearest():
    originals = data.scale(np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1) * 60)
    assert relations.retrieval(originals, originals + 0.1) == 1
    assert relations.retrieval(originals, np.roll(originals, 1, axis=0)) == 0
    assert relations.retrieval(originals, np.repeat(originals[:1], 4, axis=0)) == 0.25
