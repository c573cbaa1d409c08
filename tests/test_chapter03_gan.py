"""Chapter 3: the networks, the algorithm, and the program a reader runs."""

import contextlib
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import (
    REPOSITORY,
    assert_same_run,
    check_resumed,
    error_of,
    kept_as_killed,
    needs_16_bits,
)
from keras import layers

from chapter03_gan import train
from chapter03_gan.averaging import AveragedGAN
from chapter03_gan.gan import GAN, loss_fake, loss_real
from chapter03_gan.networks import build_discriminator, build_generator
from common import cli, device, images

TRAIN = REPOSITORY / "chapter03_gan" / "train.py"
SMOKE = ["--preset", "smoke"]
LONGER = [*SMOKE, "--no-xla", "--iterations", "60"]  # XLA takes longer to compile than to train
FILES = ["config.json", "000030.png", "results.json"]


def small_gan(seed=3, **compile_arguments):
    gan = GAN(build_generator(), build_discriminator(), seed)
    gan.compile(keras.optimizers.Adam(), keras.optimizers.Adam(), **compile_arguments)
    return gan


def real_images(n, batch_size=8):
    return np.random.default_rng(0).uniform(-1, 1, (n, batch_size, 28, 28, 1)).astype("float32")


def test_networks_are_the_books():
    generator, discriminator = build_generator(), build_discriminator()
    assert generator.count_params() == 114_064
    assert discriminator.count_params() == 100_609
    pictures = generator(tf.random.normal((5, 100)) * 100)
    assert pictures.shape == (5, 28, 28, 1)
    assert -1 <= np.min(pictures) < -0.9 and 0.9 < np.max(pictures) <= 1
    assert discriminator(pictures).shape == (5, 1)


@needs_16_bits
def test_networks_give_float32_under_mixed_precision():
    device.setup(seed=0, precision="mixed_bfloat16")
    generator, discriminator = build_generator(), build_discriminator()
    assert generator.layers[0].compute_dtype == "bfloat16"
    pictures = generator(tf.random.normal((2, 100)))
    assert pictures.dtype == discriminator(pictures).dtype == "float32"


def test_losses_are_the_cross_entropies_of_the_sigmoid_and_do_not_overflow():
    logits = np.array([[-3.0], [0.5], [2.0]], "float32")
    p = 1 / (1 + np.exp(-logits))
    assert float(loss_real(logits)) == pytest.approx(-np.mean(np.log(p)), rel=1e-5)
    assert float(loss_fake(logits)) == pytest.approx(-np.mean(np.log(1 - p)), rel=1e-5)
    assert float(loss_real(np.array([[-1000.0]], "float32"))) == 1000
    assert float(loss_fake(np.array([[-1000.0]], "float32"))) == 0


def test_each_update_moves_its_own_network():
    gan = small_gan()
    networks = (gan.discriminator, gan.generator)

    def moved(update):
        """Of each network, whether all, some or none of its weights change by an update."""
        before = [network.get_weights() for network in networks]
        update()
        after = [network.get_weights() for network in networks]
        found = []
        for weights in zip(before, after, strict=True):
            changed = [np.any(b != a) for b, a in zip(*weights, strict=True)]
            found.append("all" if all(changed) else "some" if any(changed) else "none")
        return found

    assert moved(lambda: gan.train_discriminator(real_images(1)[0], loss_real)) == ["all", "none"]
    assert moved(lambda: gan.train_generator(gan.noise(0, 8)[1])) == ["none", "all"]
    assert moved(lambda: gan.train_step(real_images(1)[0])) == ["all", "all"]
    assert gan.d_optimizer.iterations == 3 and gan.g_optimizer.iterations == 2


def test_reported_numbers_are_means_over_the_steps_of_what_each_update_saw():
    """Losses and accuracies against NumPy, from the weights before each update."""
    gan, again = small_gan(), small_gan(steps_per_execution=3)
    again.generator.set_weights(gan.generator.get_weights())
    again.discriminator.set_weights(gan.discriminator.get_weights())
    batches = real_images(3)
    expected = []

    def cross_entropy(logits, real):
        return np.mean(np.logaddexp(0, -logits if real else logits))

    for k, batch in enumerate(batches):
        noise_for_d, noise_for_g = gan.noise(k, len(batch))
        fakes = gan.generator(noise_for_d).numpy()
        logits_real = gan.discriminator(batch).numpy()
        gan.train_discriminator(batch, loss_real)
        logits_fake = gan.discriminator(fakes).numpy()
        gan.train_discriminator(fakes, loss_fake)
        logits_g = gan.discriminator(gan.generator(noise_for_g)).numpy()
        gan.train_generator(noise_for_g)
        real, fake = np.mean(logits_real > 0), np.mean(logits_fake <= 0)
        d_loss = (cross_entropy(logits_real, True) + cross_entropy(logits_fake, False)) / 2
        expected.append([d_loss, (real + fake) / 2, real, fake, cross_entropy(logits_g, True)])
    names = ["d_loss", "d_accuracy", "d_accuracy_real", "d_accuracy_fake", "g_loss"]

    history = again.fit(
        tf.data.Dataset.from_tensor_slices(batches), steps_per_epoch=3, shuffle=False, verbose=0
    ).history
    for name, value in zip(names, np.mean(expected, axis=0), strict=True):
        assert history[name][0] == pytest.approx(value, rel=1e-4), name


def test_noise_is_set_by_seed_and_iteration():
    gan = small_gan(seed=3)
    for_d, for_g = gan.noise(7, 500)
    again = small_gan(seed=3).noise(7, 500)[0]
    others = [for_g, small_gan(seed=4).noise(7, 500)[0], gan.noise(8, 500)[0]]
    assert for_d.shape == (500, 100)
    assert np.array_equal(for_d, again)
    assert all(abs(np.corrcoef(np.ravel(for_d), np.ravel(other))[0, 1]) < 0.02 for other in others)
    assert abs(np.mean(for_d)) < 0.02 and abs(np.std(for_d) - 1) < 0.02


@pytest.mark.parametrize("xla", [False, True])
def test_iterations_equal_the_books(xla):
    """Five of the book's loop in plain Keras: train_on_batch on separately compiled models.

    The discriminator is switched to trainable before each of its updates, as Keras 3 needs it.
    """
    iterations = 5
    gan = small_gan(jit_compile=xla, steps_per_execution=iterations)
    # XLA makes normal numbers in its own way, so the book's loop gets them from it too.
    draw_noise = tf.function(gan.noise, jit_compile=xla)
    generator = keras.models.clone_model(gan.generator)
    generator.set_weights(gan.generator.get_weights())
    discriminator = keras.Sequential(
        [keras.models.clone_model(gan.discriminator), layers.Activation("sigmoid")]
    )
    discriminator.layers[0].set_weights(gan.discriminator.get_weights())
    discriminator.compile(
        loss="binary_crossentropy", optimizer=keras.optimizers.Adam(), run_eagerly=True
    )
    combined = keras.Sequential([generator, discriminator])
    combined.compile(
        loss="binary_crossentropy", optimizer=keras.optimizers.Adam(), run_eagerly=True
    )
    batches = real_images(iterations)

    for k, batch in enumerate(batches):
        noise_for_d, noise_for_g = draw_noise(tf.constant(k), len(batch))
        fakes = generator(noise_for_d, training=False)
        discriminator.trainable = True
        discriminator.train_on_batch(batch, np.ones((len(batch), 1)))
        discriminator.train_on_batch(fakes, np.zeros((len(batch), 1)))
        discriminator.trainable = False
        combined.train_on_batch(noise_for_g, np.ones((len(batch), 1)))
    gan.fit(
        tf.data.Dataset.from_tensor_slices(batches),
        steps_per_epoch=iterations,
        shuffle=False,
        verbose=0,
    )

    for ours, books in ((gan.generator, generator), (gan.discriminator, discriminator)):
        for a, b in zip(ours.get_weights(), books.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-5 * iterations**0.5)


def test_averaging_leaves_training_as_it_is_and_follows_the_generators_weights():
    gan = small_gan(run_eagerly=True)
    again = AveragedGAN(build_generator(), build_discriminator(), 0.3, seed=3)
    again.compile(keras.optimizers.Adam(), keras.optimizers.Adam(), run_eagerly=True)
    again.generator.set_weights(gan.generator.get_weights())
    again.discriminator.set_weights(gan.discriminator.get_weights())
    expected = again.averaged.get_weights()
    for k, batch in enumerate(real_images(5), start=1):
        gan.train_step(batch)
        again.train_step(batch)
        decay = min(0.3, k / (9 + k))  # which is .3 from the fourth on
        for name in ("generator", "discriminator"):
            pair = [getattr(model, name).get_weights() for model in (gan, again)]
            assert all(np.array_equal(a, b) for a, b in zip(*pair, strict=True))
        weights = zip(expected, again.generator.get_weights(), strict=True)
        expected = [decay * average + (1 - decay) * weight for average, weight in weights]
    for average, wanted in zip(again.averaged.get_weights(), expected, strict=True):
        np.testing.assert_allclose(average, wanted, atol=1e-6)
    pictures = again.averaged(again.fixed_noise(4))
    np.testing.assert_allclose(again.generate(4), pictures, atol=1e-6)


def test_the_published_order_never_trains_the_discriminator():
    """Why this repository exists: compile, freeze, compile again. Keras 3 looks at `trainable`
    when it traces, which is at the first batch. If this fails, the README's first page is wrong."""
    discriminator = keras.Sequential([build_discriminator(), layers.Activation("sigmoid")])
    discriminator.compile(loss="binary_crossentropy", optimizer="adam")
    discriminator.trainable = False
    combined = keras.Sequential([build_generator(), discriminator])
    combined.compile(loss="binary_crossentropy", optimizer="adam")
    before = discriminator.get_weights()
    with pytest.warns(UserWarning, match="does not have any trainable weights"):
        for batch in real_images(3):
            discriminator.train_on_batch(batch, np.ones((len(batch), 1)))
            combined.train_on_batch(np.zeros((len(batch), 100)), np.ones((len(batch), 1)))
    for a, b in zip(before, discriminator.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_presets_and_flags_reach_the_networks_the_optimisers_and_the_loop(tmp_path, monkeypatch):
    book = train.PRESETS["book"]
    assert (book.iterations, book.batch_size, book.sample_interval) == (20000, 128, 1000)
    assert (book.learning_rate, book.beta_1, book.latent_dim) == (1e-3, 0.9, 100)
    compiled, built = {}, []

    class Stop(Exception):
        pass

    def compile_and_stop(self, d_optimizer, g_optimizer, **kwargs):
        compiled.update(kwargs, optimizers=[d_optimizer, g_optimizer])
        built.append(self)
        raise Stop

    monkeypatch.setattr(GAN, "compile", compile_and_stop)
    flags = ["--learning-rate", "0.25", "--beta-1", "0.125"]
    for flag, xla, seed in (("--xla", True, 0), ("--no-xla", False, 1)):
        with pytest.raises(Stop):
            train.main([*SMOKE, flag, *flags, "--seed", str(seed)])
        assert compiled["jit_compile"] is xla and compiled["steps_per_execution"] == 10
        assert [float(o.learning_rate) for o in compiled["optimizers"]] == [0.25, 0.25]
        assert [o.beta_1 for o in compiled["optimizers"]] == [0.125, 0.125]
    first, second = (gan.generator.get_weights()[0] for gan in built)
    assert not np.array_equal(first, second)  # of the two seeds
    with pytest.raises(Stop):
        train.main([*SMOKE, "--units", "17", "--latent-dim", "5", "--average", "0"])
    gan = built[-1]
    assert type(built[0]) is AveragedGAN and type(gan) is GAN
    assert gan.generator.count_params() == build_generator(5, units=17).count_params()
    assert gan.discriminator.count_params() == build_discriminator(units=17).count_params()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run's folder, what it returned, and what it printed."""
    folder = tmp_path_factory.mktemp("chapter03") / "run"
    with contextlib.redirect_stdout(io.StringIO()) as out:
        results = train.main([*SMOKE, "--output-dir", str(folder)])
    return folder, results, out.getvalue()


def test_smoke_run_leaves_what_the_readme_promises(finished):
    folder, results, out = finished
    assert results == json.loads((folder / "results.json").read_text())
    assert results["iterations"] == 20
    assert results["seconds"] > results["seconds_per_iteration"] > 0
    assert results["fid"] > 10  # it has hardly trained
    assert (results["fid_generated_images"], results["fid_real_images"]) == (1000, 1000)
    assert results["d_accuracy"] == pytest.approx(
        (results["d_accuracy_real"] + results["d_accuracy_fake"]) / 2
    )
    with open(folder / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["iteration"] for row in rows] == ["10", "20"]
    assert float(rows[-1]["g_loss"]) == results["g_loss"]
    config = json.loads((folder / "config.json").read_text())
    assert config["settings"]["batch_size"] == 16
    assert config["data"]["source"].startswith("bundled MNIST, the first 4,000")

    generator = keras.models.load_model(folder / "generator.keras")
    discriminator = keras.models.load_model(folder / "discriminator.keras")
    noise = tf.random.stateless_normal((16, 100), (0, -1), alg="philox")
    pictures = generator(noise)
    assert discriminator(pictures).shape == (16, 1)
    last = images.read(folder / "samples" / "000020.png")
    np.testing.assert_allclose(last, images.grid(pictures.numpy(), columns=4), atol=1)  # rounding
    assert np.any(last != images.read(folder / "samples" / "000000.png"))
    assert len(images.read(folder / "progress.gif")) == 3
    assert (
        images.read(folder / "history.png").shape[1] > images.read(folder / "history.png").shape[0]
    )
    assert "g_loss" in out
    assert not list(folder.rglob(".writing-*"))


def test_same_seed_same_bits_in_a_numbered_folder_and_nothing_else_is_written(
    finished, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    train.main(SMOKE)
    runs = tmp_path / "runs" / "chapter03_gan"
    assert [path.name for path in runs.iterdir()] == ["0001"]
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert_same_run(runs / "0001", finished[0])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that is not killed."""
    device.setup(seed=0)
    folder = tmp_path_factory.mktemp("chapter03") / "whole"
    kept = {folder.with_name(file): (file, 1) for file in FILES}
    with kept_as_killed(folder, kept):
        train.main([*LONGER, "--output-dir", str(folder)])
    return folder


# For `python -c`: runs the script that is named third, and kills it (SIGKILL, no clean-up) the nth
# time that it is about to put a file of the given name in its place, with the half of it written.
KILL_WHEN_WRITING = """
import os, runpy, signal, sys
name, number = sys.argv.pop(1), int(sys.argv.pop(1))
fsync = os.fsync
def kill(descriptor):
    global number
    path = os.readlink(f"/proc/self/fd/{descriptor}")
    if path.endswith(name):
        number -= 1
        if number == 0:
            os.truncate(descriptor, os.path.getsize(path) // 2)
            os.kill(os.getpid(), signal.SIGKILL)
    fsync(descriptor)
os.fsync = kill
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds files through /proc")
def test_killed_and_resumed_run_ends_in_the_same_bits(whole, tmp_path, program):
    """SIGKILL in the middle of writing the fourth checkpoint; then --resume, in another process.

    The killed program is started by its path, from another folder.
    """
    run = tmp_path / "run"
    command = [TRAIN, *LONGER, "--output-dir", run]
    killed = program("-c", KILL_WHEN_WRITING, "latest.weights.h5", 4, *command)
    assert killed.returncode == -signal.SIGKILL
    assert list(run.rglob(".writing-*")) and not (run / "results.json").exists()
    train.main(["--resume", str(run)])
    assert not list(run.rglob(".writing-*"))
    assert_same_run(run, whole)


@pytest.mark.parametrize(
    "file",  # a kill at the picture leaves less than SIGKILL above
    ["config.json", pytest.param("000030.png", marks=pytest.mark.slow), "results.json"],
)
def test_run_that_ends_at_any_file_and_is_resumed_ends_in_the_same_bits(whole, file):
    # Before the first interval's end there is no run to resume; the same command starts it.
    command = [*LONGER, "--output-dir"] if file == "config.json" else ["--resume"]
    check_resumed(train, [*command, whole.with_name(file)], whole)


posix = pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")


def check_stopped(run, errors, folder):
    """What Ctrl-C leaves: one message, and the checkpoint of which it speaks."""
    assert "Traceback" not in errors
    assert f"train.py --resume {run.relative_to(folder)}" in errors
    kept = int(re.search(r"up to iteration (\d+) is kept", errors)[1])
    gan = small_gan()
    gan.load_weights(run / "checkpoint" / "latest.weights.h5")
    assert gan.iterations == kept > 0


@posix
@pytest.mark.usefixtures("eagerly")
def test_ctrl_c_keeps_the_checkpoint_and_says_how_to_resume(tmp_path, monkeypatch, capsys):
    """Sent while the picture of the first interval is made; in this process."""
    monkeypatch.chdir(tmp_path)
    grid, calls = images.grid, []

    def interrupted(*arguments, **settings):
        calls.append(1)
        if len(calls) == 2:  # the first is the untrained network's
            os.kill(os.getpid(), signal.SIGINT)
        return grid(*arguments, **settings)

    monkeypatch.setattr(images, "grid", interrupted)
    with pytest.raises(SystemExit) as stop:
        cli.run(lambda: train.main([*SMOKE, "--no-xla"]))
    assert stop.value.code == 130
    run = tmp_path / "runs" / "chapter03_gan" / "0001"
    check_stopped(run, capsys.readouterr().err, tmp_path)


@posix
@pytest.mark.slow
def test_ctrl_c_ends_a_process_whenever_it_comes(tmp_path):
    process = subprocess.Popen(
        [sys.executable, str(TRAIN), *SMOKE, "--no-xla", "--iterations", "1000000"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        run = tmp_path / "runs" / "chapter03_gan" / "0001"
        deadline = time.monotonic() + 90
        while not (run / "checkpoint" / "latest.weights.h5").exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    check_stopped(run, errors, tmp_path)


def test_a_diverging_run_says_so_and_keeps_no_nan(tmp_path, capsys):
    folder = tmp_path / "run"
    line = error_of(
        train.main,
        [*SMOKE, "--no-xla", "--learning-rate", "1e38", "--output-dir", str(folder)],
        capsys,
    )
    assert "diverged" in line and "smaller learning rate" in line
    assert not (folder / "checkpoint").exists() and not (folder / "history.csv").exists()


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--iterationz", "5"], "--iterationz"),
        (["--batch-size", "-1"], "--batch-size -1: should be greater than 0"),
        (["--batch-size", "4001"], "--batch-size 4001 is more than the 4000 training images"),
        (["--learning-rate", "nan"], "--learning-rate"),
        (["--beta-1", "1"], "--beta-1"),
        (["--seed", "-1"], "--seed"),
        (["--iterations", "15", "--sample-interval", "10"], "not a multiple"),
        (["--dataset", "mnist", "--data-dir", "nowhere"], "nowhere: there is no such folder"),
        (["--resume"], "nothing to resume"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(tmp_path, monkeypatch, capsys, flags, words):
    monkeypatch.chdir(tmp_path)
    assert words in error_of(train.main, [*SMOKE, *flags], capsys)
    assert list(tmp_path.iterdir()) == []
