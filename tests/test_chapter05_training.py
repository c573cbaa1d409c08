"""Chapter 5: the games, smooth critics, the hacks, the comparison and the experiments."""

import dataclasses
import itertools
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import (
    FEWER_BITS,
    assert_same_run,
    check_killed_and_resumed,
    check_resumed,
    error_of,
    frames_of,
    kept_as_killed,
    results_of,
    weights_of,
)
from keras import layers

from chapter05_training import comparison, dirac, figures, measure, ring, saturation, train
from chapter05_training.figures import Trained, rank_correlation
from chapter05_training.games import GAMES
from chapter05_training.gan import GameGAN
from chapter05_training.hacks import HackedGAN
from chapter05_training.measurement import Measurement
from chapter05_training.minibatch import MinibatchDiscrimination
from chapter05_training.networks import build_discriminator, build_generator
from chapter05_training.tables import NAMES
from common import data, images, penalties, spectral
from common.callbacks import Diverged
from common.training import TrainingRun

SMOKE = ["--preset", "smoke"]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


REAL, FAKE = np.random.default_rng(5).normal(size=(2, 6, 1)) * 2
log = np.log
# Each game's two losses as its paper writes them.
WRITTEN = {
    "minimax": (
        lambda r, f: -np.mean(log(sigmoid(r))) - np.mean(log(1 - sigmoid(f))),
        lambda r, f: np.mean(log(1 - sigmoid(f))),
    ),
    "non-saturating": (
        lambda r, f: -np.mean(log(sigmoid(r))) - np.mean(log(1 - sigmoid(f))),
        lambda r, f: -np.mean(log(sigmoid(f))),
    ),
    "least-squares": (
        lambda r, f: np.mean((r - 1) ** 2) / 2 + np.mean(f**2) / 2,
        lambda r, f: np.mean((f - 1) ** 2) / 2,
    ),
    "wgan": (lambda r, f: np.mean(f) - np.mean(r), lambda r, f: -np.mean(f)),
    "wgan-gp": (lambda r, f: np.mean(f) - np.mean(r), lambda r, f: -np.mean(f)),
    "hinge": (
        lambda r, f: -np.mean(np.minimum(0, r - 1)) - np.mean(np.minimum(0, -f - 1)),
        lambda r, f: -np.mean(f),
    ),
    "relativistic": (
        lambda r, f: -np.mean(log(sigmoid(r - f.mean()))) - np.mean(log(1 - sigmoid(f - r.mean()))),
        lambda r, f: -np.mean(log(sigmoid(f - r.mean()))) - np.mean(log(1 - sigmoid(r - f.mean()))),
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_losses_and_their_slopes_are_the_papers(name):
    """Values against the written formula, and gradients against finite differences of it."""
    for ours, written in zip(GAMES[name][:2], WRITTEN[name], strict=True):
        real, fake = tf.constant(REAL), tf.constant(FAKE)
        with tf.GradientTape() as tape:
            tape.watch([real, fake])
            loss = ours(real, fake)
        assert float(loss) == pytest.approx(written(REAL, FAKE), rel=1e-9)
        gradients = tape.gradient(
            loss, [real, fake], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        for which, gradient in enumerate(gradients):
            for i in range(len(REAL)):
                moved = np.zeros((2, 6, 1))
                moved[which, i] = 1e-6
                above, below = (written(REAL + s * moved[0], FAKE + s * moved[1]) for s in (1, -1))
                slope = (above - below) / 2e-6
                assert float(gradient[i, 0]) == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_losses_are_finite_where_a_sigmoid_would_be_0_or_1():
    far = tf.constant([[-1e4], [1e4]], tf.float32)
    for game in GAMES.values():
        assert all(np.isfinite(loss(far, -far)) for loss in game[:2])


POINTS, OTHERS = (tf.constant(np.random.default_rng(seed).normal(size=(5, 3))) for seed in (1, 2))
W = tf.constant(np.random.default_rng(3).normal(size=(3, 1)))
A = np.array([[2.0, 0.5, 0], [0.5, 1, 0], [0, 0, -3]])


def linear(x):
    return x @ W


def quadratic(x):
    return tf.reduce_sum(x * (x @ tf.constant(A)), axis=1, keepdims=True) / 2


def test_r1_has_the_closed_forms_of_a_linear_and_a_quadratic_critic():
    logits, penalty = penalties.r1_penalty(linear, POINTS)
    np.testing.assert_allclose(logits, linear(POINTS))
    assert float(penalty) == pytest.approx(np.sum(W.numpy() ** 2))
    expected = np.mean(np.sum((POINTS.numpy() @ A) ** 2, axis=1))
    assert float(penalties.r1_penalty(quadratic, POINTS)[1]) == pytest.approx(expected)
    (logits, also), penalty = penalties.r1_penalty(lambda x: (quadratic(x), linear(x)), POINTS)
    np.testing.assert_allclose(logits, quadratic(POINTS))
    np.testing.assert_allclose(also, linear(POINTS))
    assert float(penalty) == pytest.approx(expected)  # of the logits alone


def test_gradient_penalty_has_the_closed_forms_of_a_linear_and_a_quadratic_critic(random):
    alpha = tf.constant(random.uniform(size=(5, 1)))
    penalty = penalties.gradient_penalty(linear, POINTS, OTHERS, alpha)
    assert float(penalty) == pytest.approx((np.linalg.norm(W) - 1) ** 2)
    between = POINTS.numpy() * (1 - alpha.numpy()) + OTHERS.numpy() * alpha.numpy()
    slopes = np.linalg.norm(between @ A, axis=1)
    penalty = penalties.gradient_penalty(quadratic, POINTS, OTHERS, alpha)
    assert float(penalty) == pytest.approx(np.mean((slopes - 1) ** 2))


def test_penalties_run_over_all_axes_of_an_image(random):
    images = tf.constant(random.normal(size=(2, 4, 5, 1)))
    _, penalty = penalties.r1_penalty(
        lambda x: tf.reduce_sum(x, axis=(1, 2, 3))[:, None] * 2, images
    )
    assert float(penalty) == pytest.approx(4 * 20)


def test_gradient_penalty_of_a_flat_critic_is_1_and_its_gradient_no_nan():
    weight = tf.Variable(0.0, dtype=tf.float64)
    with tf.GradientTape() as tape:
        penalty = penalties.gradient_penalty(
            lambda x: weight * linear(x),
            POINTS,
            OTHERS,
            tf.fill((5, 1), tf.constant(0.5, "double")),
        )
    assert float(penalty) == pytest.approx(1, abs=1e-5)
    assert np.isfinite(tape.gradient(penalty, weight))


def spectral_network(iterations=1):
    network = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            spectral.SpectralConv2D(5, 3, strides=2),
            layers.Flatten(),
            spectral.SpectralDense(1),
        ]
    )
    for _ in range(iterations):
        spectral.update_vectors(network)
    return network


def test_spectral_norm_is_the_largest_singular_value():
    network = spectral_network(iterations=200)
    for layer in (network.layers[0], network.layers[2]):
        largest = np.linalg.svd(layer.matrix(), compute_uv=False)[0]
        np.testing.assert_allclose(layer.normalized_kernel() * largest, layer.kernel, rtol=1e-4)


def test_spectral_layers_compute_what_keras_layers_with_the_divided_kernel_do(random):
    network = spectral_network()
    images = random.normal(size=(3, 6, 6, 2)).astype("float32")
    convolution, dense = network.layers[0], network.layers[2]
    plain = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(5, 3, 2, padding="same"),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    bias = random.normal(size=5)
    convolution.bias.assign(bias)
    plain.set_weights(
        [convolution.normalized_kernel(), bias, dense.normalized_kernel(), dense.bias]
    )
    np.testing.assert_allclose(network(images), plain(images), rtol=1e-4, atol=1e-5)


def test_gradient_flows_through_the_spectral_norm():
    """Scaling the kernel changes nothing, so the gradient has no part along the kernel."""
    network = spectral_network(iterations=200)
    layer = network.layers[2]
    with tf.GradientTape() as tape:
        output = tf.reduce_sum(network(tf.ones((1, 6, 6, 2))))
    gradient = tape.gradient(output, layer.kernel.value)
    assert np.linalg.norm(gradient) > 0.01
    along = float(tf.reduce_sum(gradient * layer.kernel))
    assert abs(along) < 1e-3 * float(tf.norm(gradient) * tf.norm(layer.kernel))


def test_spectral_vectors_change_by_update_vectors_alone():
    network = spectral_network()
    network.layers[0].kernel.assign_add(tf.random.normal(network.layers[0].kernel.shape))
    before = [v.numpy() for v in network.variables]
    network(tf.ones((2, 6, 6, 2)), training=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, network.variables, strict=True))
    spectral.update_vectors(network)
    changed = [
        v.name
        for v, old in zip(network.variables, before, strict=True)
        if not np.array_equal(v, old)
    ]
    assert set(changed) == {"left", "right"}


def small_gan(name="minimax", kind=GameGAN, learning_rates=(0.1, 0.1), **settings):
    """A GAN of points in the plane, which is fast: 2 → 8 → 2 and 2 → 8 → 1."""
    generator = keras.Sequential([keras.Input((2,)), layers.Dense(8, "relu"), layers.Dense(2)])
    discriminator = keras.Sequential(
        [keras.Input((2,)), layers.Dense(8, "relu", name="features"), layers.Dense(1)]
    )
    gan = kind(generator, discriminator, GAMES[name], seed=3, **settings)
    gan.compile(*(keras.optimizers.SGD(rate) for rate in learning_rates), run_eagerly=True)
    return gan


OWN = {"wgan": {"clip": 0.5}, "wgan-gp": {"gradient_penalty": 10.0}, "minimax": {"r1": 1.0}}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("moved", ["discriminator", "generator"])
def test_each_update_moves_the_network_it_should_and_no_other(name, moved, random):
    rates = {"discriminator": (0.1, 0.0), "generator": (0.0, 0.1)}[moved]
    gan = small_gan(name, learning_rates=rates, critic_steps=2, **OWN.get(name, {}))
    for weight in gan.discriminator.weights:  # within what wgan clips to
        weight.assign(tf.clip_by_value(weight, -0.5, 0.5))
    before = {n: getattr(gan, n).get_weights() for n in ("discriminator", "generator")}
    gan.train_step(tf.constant(random.normal(size=(8, 2)), tf.float32))
    for network, weights in before.items():
        kernels = zip(getattr(gan, network).get_weights()[::2], weights[::2], strict=True)
        same = [np.array_equal(new, old) for new, old in kernels]
        assert same == [network != moved] * 2


def test_every_critic_step_sees_real_images_that_no_other_has_seen(monkeypatch, random):
    gan = small_gan("wgan", critic_steps=3, clip=0.1)
    seen, fakes, train_one = [], [], gan.train_discriminator

    def look(real_images, fake_images):
        seen.append(real_images.numpy())
        fakes.append(fake_images.numpy())
        return train_one(real_images, fake_images)

    monkeypatch.setattr(gan, "train_discriminator", look)
    images = random.normal(size=(12, 2)).astype("float32")
    gan.train_step(tf.constant(images))
    assert np.array_equal(np.concatenate(seen), images) and [len(x) for x in seen] == [4, 4, 4]
    assert len({x.tobytes() for x in fakes}) == 3
    assert all(np.abs(w).max() <= np.float32(0.1) for w in gan.discriminator.get_weights())


def test_alpha_is_uniform_one_for_each_example_and_new_in_each_update():
    gan = small_gan("wgan-gp", gradient_penalty=10.0)
    images = tf.zeros((2000, 28, 28, 1))
    alpha = gan.step_alpha(images).numpy()
    assert alpha.shape == (2000, 1, 1, 1)
    assert 0 <= alpha.min() and alpha.max() < 1
    assert np.histogram(alpha, 4, (0, 1))[0].min() > 430
    noise = gan.step_noise(1, 2000).numpy()[0, :, 0]
    gan.d_optimizer.iterations.assign(1)
    for other in (gan.step_alpha(images).numpy().ravel(), noise):
        assert abs(np.corrcoef(alpha.ravel(), other)[0, 1]) < 0.08


def test_a_step_takes_the_gradient_of_loss_and_penalties_together(random):
    """Against the derivative of one sum, by hand: the discriminator's part of a wgan-gp step."""
    gan = small_gan("wgan-gp", learning_rates=(1.0, 0.0), gradient_penalty=10.0)
    real, fake = (tf.constant(random.normal(size=(4, 2)), tf.float32) for _ in range(2))
    alpha = gan.step_alpha(real)
    variables = gan.discriminator.trainable_variables
    with tf.GradientTape() as tape:
        f = gan.discriminator
        penalty = 10 * penalties.gradient_penalty(f, real, fake, alpha)
        loss = tf.reduce_mean(f(fake)) - tf.reduce_mean(f(real)) + penalty
    expected = [v - g for v, g in zip(variables, tape.gradient(loss, variables), strict=True)]
    logs = gan.train_discriminator(real, fake)
    for new, wanted in zip(variables, expected, strict=True):
        np.testing.assert_allclose(new, wanted, rtol=1e-4, atol=1e-6)
    assert float(logs["penalty"]) == pytest.approx(float(penalty), rel=1e-5)
    assert float(logs["d_loss"]) == pytest.approx(float(loss - penalty), rel=1e-4, abs=1e-5)


def test_soft_and_noisy_labels():
    gan = small_gan(kind=HackedGAN, label_smoothing=0.1)
    real, fake = REAL.astype("float32"), FAKE.astype("float32")
    soft = -np.mean(0.9 * log(sigmoid(real)) + 0.1 * log(1 - sigmoid(real)))
    expected = soft - np.mean(log(1 - sigmoid(fake)))  # generated images keep their label, 0
    assert float(gan.discriminator_loss(real, fake)) == pytest.approx(expected, rel=1e-5)

    gan = small_gan(kind=HackedGAN, label_noise=0.25)
    labels = gan.with_noise(tf.ones((4000, 1)), seed=(1, 2)).numpy()
    assert set(np.unique(labels)) == {0, 1} and abs(labels.mean() - 0.75) < 0.03
    big_real, big_fake = tf.fill((4000, 1), 2.0), tf.fill((4000, 1), -1.0)
    expected = 2 * 0.25 + log(1 + np.exp(-2)) + 1 * 0.25 + log(1 + np.exp(-1))
    assert float(gan.discriminator_loss(big_real, big_fake)) == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("hack", ["label_smoothing", "label_noise"])
def test_labels_are_refused_in_a_game_without_them(hack):
    small_gan("non-saturating", kind=HackedGAN, **{hack: 0.1})
    small_gan("hinge", kind=HackedGAN, feature_matching=True)
    with pytest.raises(ValueError, match="only with minimax and non-saturating"):
        small_gan("hinge", kind=HackedGAN, **{hack: 0.1})


def test_feature_matching_compares_mean_features(random):
    gan = small_gan(kind=HackedGAN, feature_matching=True)
    real, fake = (tf.constant(random.normal(size=(4, 2)), tf.float32) for _ in range(2))
    kernel, bias = gan.discriminator.get_weights()[:2]
    means = [np.maximum(x.numpy() @ kernel + bias, 0).mean(axis=0) for x in (real, fake)]
    expected = np.sum((means[0] - means[1]) ** 2)
    assert float(gan.generator_loss(real, fake)) == pytest.approx(expected, rel=1e-5)


def test_minibatch_discrimination_sums_the_closeness_to_the_others(random):
    layer = MinibatchDiscrimination(kernels=3, width=2)
    features = random.normal(size=(4, 5)).astype("float32")
    out = layer(features).numpy()
    rows = (features @ layer.tensor.numpy()).reshape(4, 3, 2)
    expected = [
        [
            sum(np.exp(-np.abs(rows[i, b] - rows[j, b]).sum()) for j in range(4) if j != i)
            for b in range(3)
        ]
        for i in range(4)
    ]
    np.testing.assert_allclose(out, np.concatenate([features, expected], axis=1), rtol=1e-4)


def test_networks_without_switches_are_chapter_4s():
    assert build_generator().count_params() == 1_637_121
    assert build_discriminator().count_params() == 94_721
    assert build_discriminator("batch").count_params() == 95_489


@pytest.mark.parametrize(
    "switches",
    [
        {"normalization": "spectral", "extra_layers": 2},
        {"pooling": True, "slope": 0.0},
        {"minibatch": True, "image_noise": 0.5},
    ],
)
def test_switches_keep_shapes(switches):
    discriminator = build_discriminator(**switches)
    assert discriminator.output_shape == (None, 1)
    assert discriminator.get_layer("features").output.shape == (None, 2048)
    shapes = [layer.output.shape[1:] for layer in discriminator.layers]
    assert (14, 14, 32) in shapes and (7, 7, 64) in shapes and (4, 4, 128) in shapes
    images = tf.ones((2, 28, 28, 1))
    noisy = not np.allclose(discriminator(images, training=True), discriminator(images))
    assert noisy == ("image_noise" in switches)


def test_generators_range_and_depth():
    generator = build_generator(10, activation="sigmoid", batch_norm=False, extra_layers=3)
    made = generator(tf.random.normal((4, 10))).numpy()
    assert made.shape == (4, 28, 28, 1) and 0 < made.min() and made.max() < 1
    assert sum(isinstance(layer, layers.Conv2D) for layer in generator.layers) == 3


def test_each_game_begins_with_the_same_networks():
    def start(name):
        keras.utils.set_random_seed(7)
        gan = train.build(train.QUICK.replace(precision="float32").of(name))
        kernels = [w for w in gan.discriminator.get_weights() if w.ndim > 1]
        return np.concatenate([w.ravel() for w in gan.generator.get_weights() + kernels])

    first = start("minimax")
    for name in ("wgan-gp", "hinge"):
        assert np.array_equal(start(name), first)


def few_digits(training, test):
    digits = data.load("sample")
    return dataclasses.replace(
        digits,
        x_train=digits.x_train[:training],
        y_train=digits.y_train[:training],
        x_test=digits.x_test[:test],
        y_test=digits.y_test[:test],
    )


class Seen:
    """What `Measurement` needs of a run."""

    is_chief = True

    def __init__(self, iterations):
        self.iterations, self.history, self.kept, self.config = iterations, [], None, None

    def save_models(self, best):
        self.kept = best

    def load_model(self, name, inputs, outputs):
        assert name == "best"
        return self.kept


def test_the_best_generator_is_the_one_of_the_least_fid_so_far():
    config = train.PRESETS["smoke"].of("wgan").replace(latent_dim=4)
    measurement, run = Measurement(few_digits(4_000, 200), config), Seen(iterations=30)
    run.config = config
    weights = {}
    for iteration, bias in ((10, 0.0), (20, 1.0), (30, -1.0)):
        generator = build_generator(4)
        generator.layers[-2].bias.assign([bias * 3])
        weights[iteration] = generator.get_weights()
        run.history.append({"iteration": iteration, **measurement.at_interval(generator, run)})
    fids = [row["fid"] for row in run.history]
    best = run.history[int(np.argmin(fids))]["iteration"]
    assert best == 20
    for kept, wanted in zip(run.kept.get_weights(), weights[best], strict=True):
        assert np.array_equal(kept, wanted)
    report = measurement.at_end(generator, run)
    assert report["best_iteration"] == 20 and report["best_fid"] < report["fid"]

    run.is_chief, run.kept = False, None  # another worker, which has no best.keras to read
    assert measurement.at_end(generator, run)["best_iteration"] == 20


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chapter05") / "run"
    in_the_second_game = ("latest.weights.h5", 4)
    with kept_as_killed(folder, {folder.with_name("killed"): in_the_second_game}):
        train.main([*SMOKE, "--output-dir", str(folder)])
    return folder


def test_few_images_get_advice_before_training(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(comparison, "compare", lambda *_: {})
    flags = ["--images", "80000", "--output-dir", str(tmp_path / "run")]
    train.main([*SMOKE, *flags])
    assert "4000 training images make 20 passes in each game" in capsys.readouterr().err


@pytest.mark.parametrize("seconds, expected", [([9, 1, 3], [2, 3, 6]), ([9], [9])])
def test_what_a_finished_game_has_measured(tmp_path, seconds, expected):
    """The first interval compiles: it counts as long as the median of the others."""
    rows = [(10 * (n + 1), second) for n, second in enumerate(seconds)]
    last = rows[-1][0]
    (tmp_path / "results.json").write_text(json.dumps({"images": 32 * last, "iterations": last}))
    measured = [f"{n},{second}" for n, second in rows]
    (tmp_path / "timings.csv").write_text("\n".join(["iteration,seconds", *measured]) + "\n")
    # The discriminator's loss has the order of the FID, the generator's another.
    measured = [f"{n},{fid},{fid / 2},{n}" for n, fid in rows]
    (tmp_path / "history.csv").write_text(
        "\n".join(["iteration,fid,d_loss,g_loss", *measured]) + "\n"
    )
    (tmp_path / "samples").mkdir()
    picture = tmp_path / TrainingRun.picture(last)
    picture.write_bytes(images.png(np.zeros((2, 2), np.uint8)))
    trained = Trained("minimax", tmp_path)
    assert trained.seconds.tolist() == expected
    assert trained.images.tolist() == [32 * iteration for iteration, _ in rows]
    correlations = trained.correlations()
    if len(rows) < 3:
        assert correlations == {"d_loss_fid_correlation": None, "g_loss_fid_correlation": None}
    else:  # 9, 1, 3 against 10, 20, 30
        assert correlations == pytest.approx(
            {"d_loss_fid_correlation": 1, "g_loss_fid_correlation": -0.5}
        )


def test_comparison_leaves_what_the_readme_promises(finished_run):
    results = json.loads((finished_run / "results.json").read_text())
    assert list(results) == ["wgan", "relativistic"]
    for name in results:
        folder = finished_run / name
        assert results[name]["images"] == 64 and results[name]["fid"] > 10
        assert keras.models.load_model(folder / "best.keras").output_shape == (None, 28, 28, 1)
        assert frames_of(folder / "progress.gif") == 3
        config = json.loads((folder / "config.json").read_text())["settings"]
        assert config["game"] == [name] and config["batch_size"] == 8
    assert results["relativistic"]["iterations"] == 2 * results["wgan"]["iterations"]
    for name in ("samples.png", "fid.png", "losses.png"):
        assert images.read(finished_run / name).std() > 10


def test_figures_show_what_the_runs_recorded(finished_run):
    games = [Trained(name, finished_run / name) for name in ("wgan", "relativistic")]
    axes = figures.fid_curves(games, "title").axes
    for ax, seen in zip(axes, ("images", "seconds"), strict=True):
        for line, game in zip(ax.lines, games, strict=True):
            assert np.array_equal(line.get_xdata(), getattr(game, seen))
            assert np.array_equal(line.get_ydata(), game.history["fid"])
    axes = figures.losses(games, "title").axes  # a row for each network, a column for each game
    for ax, (loss, game) in zip(axes, itertools.product(("d_loss", "g_loss"), games), strict=True):
        points = np.stack([game.history[loss], game.history["fid"]], axis=1)
        assert np.array_equal(ax.collections[0].get_offsets(), points)
    for ax, game in zip(figures.samples(games, "title").axes, games, strict=True):
        assert np.array_equal(ax.images[0].get_array(), game.samples)
        assert f"{game.results['fid']:.1f}" in ax.get_title()


def assert_same_games(run, whole):
    for name in ("wgan", "relativistic"):
        assert_same_run(run / name, whole / name)
    assert results_of(run) == results_of(whole)


def test_run_killed_in_the_second_game_and_resumed_ends_in_the_same_bits(finished_run):
    run = finished_run.with_name("killed")
    assert (run / "wgan" / "results.json").exists()
    assert (run / "relativistic" / "checkpoint" / "latest.weights.h5").exists()
    check_resumed(train, ["--resume", run], finished_run, compare=assert_same_games)


@pytest.mark.slow
def test_a_game_alone_is_the_same_as_in_the_comparison(finished_run, tmp_path):
    train.main([*SMOKE, "--game", "relativistic", "--output-dir", str(tmp_path / "run")])
    assert_same_run(tmp_path / "run", finished_run / "relativistic")


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_hacked_game_killed_and_resumed_ends_in_the_same_bits(tmp_path):
    flags = [
        *SMOKE,
        "--game",
        "non-saturating",
        "--precision",
        FEWER_BITS,
        "--image-noise",
        "0.1",
        "--r1",
        "0",
    ]
    flags += ["--label-smoothing", "0.1", "--label-noise", "0.1", "--no-symmetric-range"]
    flags += ["--normalization", "spectral", "--minibatch-discrimination", "--pooling"]
    flags += ["--batch-size", "32"]  # two steps, as many as there are measurements
    check_killed_and_resumed(train, flags, tmp_path / "whole", tmp_path / "run")
    generator = keras.models.load_model(tmp_path / "run" / "generator.keras")
    assert generator(tf.zeros((1, 100))).numpy().min() >= 0  # sigmoid
    assert len(weights_of(tmp_path / "run" / "best.keras")) == 1_637_121


def test_images_that_are_no_numbers_are_divergence():
    config = train.PRESETS["smoke"].of("wgan").replace(latent_dim=4)
    generator = build_generator(4)
    generator.layers[-2].bias.assign([np.nan])
    with pytest.raises(Diverged, match="generated images are not numbers"):
        Measurement(data.load("sample"), config).generate(generator, 2)


def test_a_game_that_diverges_leaves_the_others_their_turn(finished_run, tmp_path, capsys):
    """And it is not trained again by --resume, which would end in the same bits."""
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    for path in ("results.json", "wgan/results.json", "samples.png"):
        (folder / path).unlink()
    (folder / "wgan" / "diverged.json").write_text('{"diverged": "wgan: training diverged"}')
    results = train.main(["--resume", str(folder)])
    assert results["wgan"] == {"diverged": "wgan: training diverged"}
    assert results["relativistic"]["fid"] > 10 and (folder / "samples.png").exists()

    (folder / "results.json").unlink()
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"images": 64', '"images": 128'))
    line = error_of(train.main, ["--resume", str(folder)], capsys)
    assert "has other settings than" in line


@pytest.mark.usefixtures("eagerly")
def test_a_comparison_in_which_all_games_diverge_is_one_line(tmp_path, capsys):
    """And each game's folder says at which iteration it was, and what is left of it."""
    flags = [*SMOKE, "--game", "least-squares", "hinge", "--discriminator-learning-rate", "1e30"]
    line = error_of(train.main, [*flags, "--output-dir", str(tmp_path / "run")], capsys)
    assert "no game is left to compare" in line
    for game in ("least-squares", "hinge"):
        said = json.loads((tmp_path / "run" / game / "diverged.json").read_text())["diverged"]
        assert said.startswith(f"{game}: training diverged before iteration 4")
        assert "no checkpoint was written yet" in said


def test_rank_correlation():
    assert rank_correlation([1, 2, 3, 4], [10, 20, 300, 301]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3, 4], [9, 7, 5, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]) == pytest.approx(0.8)
    assert rank_correlation([1, 2], [1, 2]) is None


@pytest.mark.parametrize("simultaneous, largest", [(True, np.hypot(1, 0.05)), (False, 1.0)])
def test_dirac_gan_without_r1_does_not_converge_locally(simultaneous, largest):
    """Mescheder et al. 2018, lemma 2.4: eigenvalues outside the unit circle, or on it."""
    for name in ("minimax", "non-saturating"):
        found = dirac.eigenvalues(dirac.VARIANTS[name], 0.1, simultaneous)
        np.testing.assert_allclose(np.abs(found), largest, rtol=1e-9)


def test_dirac_gan_without_r1_leaves_the_unit_circle_at_large_steps():
    """The same lemma, alternating: the product of the steps' slopes, h/2, is to be at most 2."""
    below, above = (
        max(abs(dirac.eigenvalues(dirac.VARIANTS["minimax"], h, False))) for h in (3.9, 4.1)
    )
    assert below == pytest.approx(1) and above > 1.1


@pytest.mark.parametrize("gamma", [0.5, 1.0, 3.0])
def test_dirac_gan_with_r1_converges_locally(gamma):
    """Lemma 4.1: both at once, eigenvalues 1 + h (-γ ± √(γ² - 4 f'(0)²)) / 2, with f'(0) = ½."""
    step = 0.01
    found = dirac.eigenvalues(dirac.Variant("minimax", r1=gamma), step, True)
    roots = (-gamma + np.array([1, -1]) * np.sqrt(complex(gamma**2 - 1))) / 2
    np.testing.assert_allclose(
        np.sort_complex(found), np.sort_complex(1 + step * roots), rtol=0, atol=1e-6
    )
    assert max(abs(found)) < 1


def test_dirac_gan_paths_go_where_the_paper_says():
    def distances(name):
        path = dirac.trajectory(dirac.VARIANTS[name], 0.1, 500, simultaneous=False)
        return np.linalg.norm(path, axis=1)

    for name in ("minimax", "wgan, not clipped", "wgan-gp, λ = 0.25", "hinge"):
        assert distances(name)[-100:].min() > 1
    slowly = distances("non-saturating")  # sublinearly: each tenfold of steps is worth less
    assert 0.3 < slowly[-1] < 0.6
    assert distances("minimax with R1, γ = 1")[-1] < 1e-6


def test_dirac_program(tmp_path, monkeypatch):
    names = ("least-squares", "wgan-gp, λ = 0.25", "minimax with R1, γ = 1")
    monkeypatch.setattr(dirac, "VARIANTS", {name: dirac.VARIANTS[name] for name in names})
    results = dirac.main(["--steps", "3", "--output-dir", str(tmp_path / "run")])
    assert tuple(results) == names
    assert results["wgan-gp, λ = 0.25"]["largest_eigenvalue"] is None
    assert (tmp_path / "run" / "dirac.png").stat().st_size > 50_000


def test_ring_counts_modes_and_good_points():
    points = np.repeat(ring.centres(), 10, axis=0)
    assert ring.measure(points) == {"modes": 8, "good": 1.0}
    points[:40] = ring.centres()[7]
    points[40:50] = 0
    assert ring.measure(points) == {"modes": 3, "good": 0.875}
    (batch,) = ring.stream(4000, seed=1).take(1)
    found = ring.measure(batch.numpy())
    assert found["modes"] == 8 and found["good"] > 0.99


def test_ring_program(tmp_path, monkeypatch):
    monkeypatch.setattr(ring, "FRAMES", 2)
    flags = ["--game", "hinge", "--iterations", "40", "--batch-size", "16"]
    results = ring.main([*flags, "--output-dir", str(tmp_path / "run")])
    assert set(results) == {"hinge"}
    assert frames_of(tmp_path / "run" / "hinge.gif") == 3
    assert (tmp_path / "run" / "ring.png").exists()


def test_measure_ranks_real_images_first_and_sees_what_is_missing(tmp_path, monkeypatch):
    digits = few_digits(1_000, 300)
    monkeypatch.setattr(data, "load", lambda *arguments: digits)
    found = measure.main(["--dataset", "sample", "--output-dir", str(tmp_path / "run")])
    fids = {name: report["fid"] for name, report in found.items()}
    assert min(fids, key=fids.get) == "training images"
    assert max(fids, key=fids.get) == "uniform noise"
    assert found["one image of each class"]["classifier_score"] > 9.5  # which sees nothing wrong
    assert found["one image of each class"]["recall"] == 0
    assert (tmp_path / "run" / "measure.png").stat().st_size > 50_000


def test_min_max_saturates_and_the_other_game_does_not(tmp_path):
    flags = ["--dataset", "sample", "--updates", "26", "--batch-size", "32"]
    rows = saturation.main([*flags, "--output-dir", str(tmp_path / "run")])["rows"]
    first, last = rows[0], rows[-1]
    assert last["p_real"] < 0.05 < first["p_real"]
    assert last["minimax"] < first["minimax"] and last["non-saturating"] > first["non-saturating"]
    assert (tmp_path / "run" / "saturation.png").exists()
