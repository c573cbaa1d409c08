"""Chapter 2: the networks, the losses, and the program a reader runs."""

import csv
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import (
    SECOND_CHECKPOINT,
    assert_goes_down,
    check_resumed,
    error_of,
    kept_as_killed,
    needs_16_bits,
)
from matplotlib.colors import to_rgb

from chapter02_autoencoder import figures, train
from chapter02_autoencoder.autoencoder import Autoencoder
from chapter02_autoencoder.networks import build_decoder, build_encoder
from chapter02_autoencoder.vae import VAE, kl_loss, reconstruction_loss
from common import images

SMOKE = ["--preset", "smoke"]


def images_in_unit_range(*shape):
    return np.random.default_rng(0).uniform(0, 1, shape).astype("float32")


def small_vae(seed=3, **compile_arguments):
    vae = VAE(build_encoder(), build_decoder(), seed)
    vae.compile(keras.optimizers.RMSprop(), **compile_arguments)
    return vae


def test_settings_are_the_books():
    book = train.PRESETS["book"]
    assert (book.model, book.latent_dim) == ("vae", 2)
    assert (book.epochs, book.batch_size, book.learning_rate) == (50, 100, 1e-3)


def test_networks_are_the_books():
    encoder, decoder = build_encoder(), build_decoder()
    assert encoder.count_params() == 201_988
    assert decoder.count_params() == 202_256
    pictures = images_in_unit_range(5, 784)
    z_mean, z_log_var = encoder(pictures)
    assert z_mean.shape == z_log_var.shape == (5, 2)
    assert decoder(z_mean).shape == (5, 784)
    assert build_encoder(latent_dim=20, variational=False)(pictures).shape == (5, 20)


def test_loss_is_keras_cross_entropy_plus_kl():
    """Divided by 784: Keras' mean binary cross-entropy per pixel, on the sigmoid, plus KL/784."""
    pictures, logits = images_in_unit_range(6, 784), np.random.default_rng(1).normal(size=(6, 784))
    z_mean, z_log_var = np.random.default_rng(2).normal(size=(2, 6, 2)).astype("float32")
    probabilities = tf.sigmoid(logits.astype("float32"))
    cross_entropy = keras.losses.binary_crossentropy(pictures, probabilities)
    kl = -0.5 * np.sum(1 + z_log_var - z_mean**2 - np.exp(z_log_var), axis=1)
    ours = reconstruction_loss(pictures, logits.astype("float32")) + kl_loss(z_mean, z_log_var)
    np.testing.assert_allclose(ours / 784, cross_entropy + kl / 784, rtol=1e-5)


def test_losses_do_not_overflow():
    logits = np.array([[1000.0, -1000.0]], "float32")
    assert reconstruction_loss(np.array([[1.0, 0.0]], "float32"), logits).numpy() == [0]
    assert reconstruction_loss(np.array([[0.0, 1.0]], "float32"), logits).numpy() == [2000]
    zeros = np.zeros((1, 2), "float32")
    assert kl_loss(zeros, zeros).numpy() == [0]


def test_codes_are_drawn_from_the_encoders_distribution():
    vae = small_vae()
    picture = images_in_unit_range(1, 784)
    z_mean, z_log_var = (np.repeat(x, 4000, axis=0) for x in vae.encoder(picture))
    codes = vae.reparameterize(z_mean, z_log_var, 7)
    np.testing.assert_allclose(np.mean(codes, axis=0), z_mean[0], atol=0.1)
    np.testing.assert_allclose(np.std(codes, axis=0), np.exp(z_log_var[0] / 2), rtol=0.1)
    assert np.array_equal(codes, vae.reparameterize(z_mean, z_log_var, 7))
    assert not np.array_equal(codes, vae.reparameterize(z_mean, z_log_var, 8))
    assert np.array_equal(vae.encode(picture), z_mean[:1])


def test_loss_terms_are_those_of_the_codes_that_are_drawn():
    vae, pictures = small_vae(), images_in_unit_range(5, 784)
    z_mean, z_log_var = vae.encoder(pictures)
    codes = vae.reparameterize(z_mean, z_log_var, 7)
    reconstruction, kl = vae.loss_terms(pictures, 7, training=True)
    expected = reconstruction_loss(pictures, vae.decoder(codes))
    np.testing.assert_allclose(reconstruction, expected, rtol=1e-5)
    np.testing.assert_allclose(kl, kl_loss(z_mean, z_log_var), rtol=1e-5)
    assert reconstruction.shape == kl.shape == (5,)


def test_the_gradient_passes_through_the_draw_to_mean_and_variance():
    """Reparameterization: d code / d mean = 1, d code / d log var = (code - mean) / 2."""
    vae = small_vae()
    x = np.random.default_rng(0).normal(size=(2, 50, 2)).astype("float32")
    z_mean, z_log_var = (tf.Variable(half) for half in x)
    with tf.GradientTape() as tape:
        codes = vae.reparameterize(z_mean, z_log_var, 0)
    by_mean, by_log_var = (g.numpy() for g in tape.gradient(codes, [z_mean, z_log_var]))
    np.testing.assert_allclose(by_mean, 1, rtol=1e-6)
    np.testing.assert_allclose(by_log_var, (codes - z_mean) / 2, rtol=1e-4, atol=1e-6)


def test_each_step_and_each_seed_has_noise_of_its_own():
    vae, pictures = small_vae(), images_in_unit_range(8, 784)
    other = VAE(vae.encoder, vae.decoder, seed=4)
    at_0 = vae.loss_terms(pictures, 0, training=True)
    assert not np.array_equal(at_0[0], other.loss_terms(pictures, 0, training=True)[0])
    assert not np.array_equal(vae.generate(4), other.generate(4))
    assert np.array_equal(vae.generate(4), vae.generate(4))
    vae.train_step(pictures)
    expected = np.mean(sum(vae.loss_terms(pictures, 1, training=True)))
    assert abs(expected - np.mean(sum(vae.loss_terms(pictures, 0, training=True)))) > 1e-3
    vae.reset_metrics()
    assert float(vae.train_step(pictures)["loss"]) == pytest.approx(expected, rel=1e-5)


class Listening(keras.layers.Layer):
    """Changes nothing, and remembers in which mode it was called."""

    def __init__(self):
        super().__init__()
        self.modes = []

    def call(self, x, training=None):
        self.modes.append(training)
        return x


@pytest.mark.parametrize("kind", [VAE, Autoencoder])
def test_networks_are_told_whether_they_train(kind):
    """As batch normalisation and dropout, which a reader may put in, need to know."""
    inner = build_encoder(variational=kind is VAE), build_decoder()
    listening, networks = [], []
    for network in inner:
        listening.append(Listening())
        (inputs,) = network.inputs
        networks.append(keras.Model(inputs, network(listening[-1](inputs))))
    model, pictures = kind(*networks), images_in_unit_range(4, 784)
    model.compile(keras.optimizers.RMSprop())

    def modes_in(call):
        for layer in listening:
            layer.modes.clear()
        call()
        return [layer.modes for layer in listening]

    assert modes_in(lambda: model.train_step(pictures)) == [[True], [True]]
    assert modes_in(lambda: model.test_losses(pictures)) == [[False], [False]]
    assert modes_in(lambda: model.decode(model.encode(pictures))) == [[False], [False]]


def test_training_reports_the_mean_loss_and_moves_both_networks():
    vae = small_vae()
    pictures = images_in_unit_range(8, 28, 28, 1)
    reconstruction, kl = (
        np.mean(x) for x in vae.loss_terms(pictures.reshape(8, 784), 0, training=True)
    )
    before = vae.encoder.get_weights(), vae.decoder.get_weights()
    logs = {name: float(value) for name, value in vae.train_step(pictures).items()}
    assert logs["reconstruction"] == pytest.approx(reconstruction, rel=1e-5)
    assert logs["kl"] == pytest.approx(kl, rel=1e-4)
    assert logs["loss"] == pytest.approx(reconstruction + kl, rel=1e-5)
    for network, weights in zip((vae.encoder, vae.decoder), before, strict=True):
        for old, new in zip(weights, network.get_weights(), strict=True):
            assert np.any(old != new)
    assert vae.iterations == 1


def test_a_step_goes_down_the_gradient_of_both_losses():
    """Of reconstruction and KL together, from where the encoder's distribution is wide."""
    vae = VAE(build_encoder(), build_decoder(), seed=3)
    vae.compile(keras.optimizers.SGD(1e-2))
    vae.encoder.layers[-1].bias.assign([1.0, 1.0])  # of the log variance
    pictures = images_in_unit_range(8, 784)
    assert_goes_down(
        lambda: tf.reduce_mean(sum(vae.loss_terms(pictures, 0, training=True))),
        lambda: vae.train_step(pictures),
        vae.trainable_variables,
        rate=1e-2,
    )


def test_the_plain_autoencoder_pays_for_reconstruction_alone():
    model = Autoencoder(build_encoder(variational=False), build_decoder())
    pictures = images_in_unit_range(4, 784)
    model.compile(keras.optimizers.SGD(1e-2))
    codes = model.encode(pictures)
    assert np.array_equal(codes, model.encoder(pictures))
    decoded = model.decode(codes)
    expected = reconstruction_loss(pictures, model.decoder(codes))
    assert model.test_losses(pictures) == {
        "test_reconstruction": pytest.approx(float(np.mean(expected)), rel=1e-5)
    }
    logs = []
    assert_goes_down(
        lambda: tf.reduce_mean(
            reconstruction_loss(pictures, model.decoder(model.encode(pictures)))
        ),
        lambda: logs.append(model.train_step(pictures)),
        model.trainable_variables,
        rate=1e-2,
    )
    assert {name: float(value) for name, value in logs[0].items()} == {
        "loss": pytest.approx(float(np.mean(expected)), rel=1e-5)
    }
    assert decoded.shape == (4, 784) and 0 < np.min(decoded) and np.max(decoded) < 1


def test_manifold_is_figure_2_7s():
    codes = figures.manifold_codes()
    assert codes.shape == (225, 2)
    # scipy.stats.norm.ppf(0.05) and (0.5)
    assert codes[0] == pytest.approx([-1.6448536, 1.6448536])
    assert codes[14] == pytest.approx([1.6448536, 1.6448536])
    assert codes[112] == pytest.approx([0, 0], abs=1e-7)
    assert codes[-1] == pytest.approx([1.6448536, -1.6448536])


def test_reconstructions_stand_under_their_originals():
    black, white = np.zeros((4, 784)), np.ones((4, 784))
    page = figures.reconstructions(black, white, columns=2)
    rows = [page[2 + i * 86 : 86 + i * 86, 2:86] for i in range(4)]
    assert [int(row.mean()) for row in rows] == [0, 255, 0, 255]


@needs_16_bits
def test_in_float16_the_loss_is_scaled_once():
    """By `minimize`, and not by an optimiser of Keras' around ours, too."""
    keras.config.set_dtype_policy("mixed_float16")
    vae = small_vae()
    assert type(vae.optimizer) is keras.optimizers.RMSprop
    before = vae.encoder.get_weights()
    vae.train_step(tf.constant(images_in_unit_range(4, 28, 28, 1)))
    moved = [np.abs(a - b).max() for a, b in zip(vae.encoder.get_weights(), before, strict=True)]
    assert min(moved) > 1e-4


@pytest.fixture(scope="module")
def finished_vae(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chapter02") / "run"
    with kept_as_killed(folder, {folder.with_name("killed"): SECOND_CHECKPOINT}):
        train.main([*SMOKE, "--output-dir", str(folder)])
    return folder


def test_smoke_run_leaves_what_the_readme_promises(finished_vae):
    folder = finished_vae
    results = json.loads((folder / "results.json").read_text())
    assert results["iterations"] == 80  # two epochs of 4,000 images
    assert results["loss"] == pytest.approx(results["reconstruction"] + results["kl"], rel=1e-4)
    with open(folder / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[1]["loss"]) < float(rows[0]["loss"]) < 400
    assert results["test_elbo"] == pytest.approx(
        -results["test_reconstruction"] - results["test_kl"], rel=1e-5
    )

    decoder = keras.models.load_model(folder / "decoder.keras")
    manifold = tf.sigmoid(decoder(figures.manifold_codes()))
    page = figures.grid(manifold, columns=15, zoom=2, gap=0)
    np.testing.assert_allclose(images.read(folder / "manifold.png"), page, atol=1)
    encoder = keras.models.load_model(folder / "encoder.keras")
    assert len(encoder.outputs) == 2
    assert images.read(folder / "reconstructions.png").shape == (10 * 86 + 2, 10 * 86 + 2)
    assert images.read(folder / "prior_samples.png").shape == (10 * 86 + 2, 10 * 86 + 2)
    assert len(images.read(folder / "progress.gif")) == 3
    dots = images.read(folder / "latent_space.png")[:, :740, :3]  # without the legend
    for label in range(10):
        assert np.any(np.all(dots == np.round(255 * np.array(to_rgb(f"C{label}"))), axis=-1))


def test_a_plain_autoencoder_of_more_dimensions_has_no_kl_and_no_map(tmp_path):
    folder = tmp_path / "run"
    flags = ["--model", "autoencoder", "--latent-dim", "20", "--epochs", "1"]
    results = train.main([*SMOKE, *flags, "--output-dir", str(folder)])
    assert {"loss", "test_reconstruction"} <= set(results)
    assert not {"reconstruction", "kl", "test_elbo"} & set(results)
    assert len(keras.models.load_model(folder / "encoder.keras").outputs) == 1
    assert not (folder / "latent_space.png").exists() and not (folder / "manifold.png").exists()
    assert np.array_equal(
        images.read(folder / "samples" / "000040.png"), images.read(folder / "prior_samples.png")
    )


def test_killed_and_resumed_run_ends_in_the_same_bits(finished_vae):
    run = finished_vae.with_name("killed")
    check_resumed(train, ["--resume", run], finished_vae, draw=True)
    for name in ("manifold.png", "latent_space.png"):
        assert (run / name).read_bytes() == (finished_vae / name).read_bytes()


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--iterations", "5"], "--iterations"),
        (["--model", "gan"], "--model"),
        (["--latent-dim", "0"], "--latent-dim 0: should be greater than 0"),
        (["--batch-size", "4001"], "--batch-size 4001 is more than the 4000 training images"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(tmp_path, monkeypatch, capsys, flags, words):
    monkeypatch.chdir(tmp_path)
    assert words in error_of(train.main, [*SMOKE, *flags], capsys)
    assert list(tmp_path.iterdir()) == []
