"""No test needs a network, a data set or a cache of the machine it runs on."""

import atexit
import collections
import contextlib
import gc
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

# Before Keras is imported: it reads these once.
os.environ["KERAS_HOME"] = tempfile.mkdtemp(prefix="keras-home-")
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# pytest fills the cores with processes; more threads in each would wait for each other.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.pop("GANS_DATA", None)

import imageio.v3 as imageio
import numpy as np
import pytest

atexit.register(shutil.rmtree, os.environ["KERAS_HOME"], ignore_errors=True)

# TensorFlow's graphs are many objects that live long. To look through them for garbage as often as
# Python does by itself takes a fortieth of the suite's time.
gc.set_threshold(200_000, 20, 50)

# A shell that starts pytest in the background lets it ignore Ctrl-C, and so all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# TensorFlow 2.21 crashes in any product of matrices in bfloat16 or float16, if the CPU has
# instructions for it and oneDNN is kept from them. Where the CPU has none, TensorFlow does not ask
# oneDNN.
KEPT_FROM_16_BITS = "ONEDNN_MAX_CPU_ISA" in os.environ
FEWER_BITS = "float32" if KEPT_FROM_16_BITS else "mixed_bfloat16"
needs_16_bits = pytest.mark.skipif(KEPT_FROM_16_BITS, reason="TensorFlow crashes; see conftest")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def same_start(request):
    """What `device.setup` sets for the whole process, set again for each test with TensorFlow.

    What stands in `without_tensorflow` may not import it.
    """
    imported = "tensorflow" in sys.modules
    if imported:
        from common import device

        device.setup(seed=0)
    yield
    if "without_tensorflow" in request.path.parts:
        assert ("tensorflow" in sys.modules) == imported


@pytest.fixture(scope="session", autouse=True)
def real_images_are_classified_once():
    """In each process: many runs are measured against the same images, which are bytes.

    What stands in `without_tensorflow` may not import TensorFlow; alone, it needs no classifier.
    """
    if "tensorflow" not in sys.modules:
        yield
        return
    import keras

    from common.classifier import Classifier

    known, classify = {}, Classifier.__call__

    def look_up(self, images):
        images = np.asarray(images)
        if images.dtype != np.uint8:
            return classify(self, images)
        digest = hashlib.sha256(np.ascontiguousarray(images).data)
        for weight in self.model.get_weights():
            digest.update(np.ascontiguousarray(weight).data)
        key = digest.digest(), images.shape, keras.config.dtype_policy().name
        if key not in known:
            known[key] = classify(self, images)
        return tuple(np.copy(output) for output in known[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Classifier, "__call__", look_up)
        yield


@pytest.fixture
def random():
    """Random numbers that are the same whichever tests run before."""
    return np.random.default_rng(0)


@contextlib.contextmanager
def run_eagerly():
    """Without compiling, which takes most of a short run's time."""
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


@pytest.fixture
def eagerly():
    with run_eagerly():
        yield


@pytest.fixture
def program(tmp_path):
    """Runs a Python program from an empty folder; gives its exit code, stdout and stderr."""

    def run(*arguments, timeout=120):
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


def error_of(main, argv, capsys):
    """The one line on stderr with which a chapter's main refuses its command line."""
    from common import cli

    with pytest.raises(SystemExit) as stop:
        cli.run(lambda: main(argv))
    assert stop.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def weights_of(path):
    """All numbers of a saved network, to compare bits."""
    import keras

    return np.concatenate([w.ravel() for w in keras.models.load_model(path).get_weights()])


ADDED_LATER = {  # to a finished run, by other programs
    "explore",
    "generated",
    "relations.json",
    "relations.png",
    "translated",
}


def without_seconds(results):
    """What results.json holds, but for how long it took."""
    if isinstance(results, list):
        return [without_seconds(value) for value in results]
    if not isinstance(results, dict):
        return results
    return {
        name: without_seconds(value) for name, value in results.items() if "seconds" not in name
    }


def results_of(run):
    """What a run's results.json holds, but for how long it took."""
    return without_seconds(json.loads((run / "results.json").read_text()))


def assert_same_run(run, whole):
    """Two runs' histories, results, networks and pictures are the same to the bit."""
    assert results_of(run) == results_of(whole)
    for table in whole.glob("*.csv"):
        if table.name != "timings.csv":
            assert (run / table.name).read_bytes() == table.read_bytes()
    names = [{path.name for path in folder.iterdir()} - ADDED_LATER for folder in (run, whole)]
    assert names[0] == names[1]
    for network in whole.glob("*.keras"):
        assert np.array_equal(weights_of(run / network.name), weights_of(network))
    for picture in [*(whole / "samples").iterdir(), *whole.glob("*.gif")]:
        assert (run / picture.relative_to(whole)).read_bytes() == picture.read_bytes()


SECOND_CHECKPOINT = ("latest.weights.h5", 2)


@contextlib.contextmanager
def kept_as_killed(run, kept):
    """Keeps what kills would leave of the run that is trained within this, which goes on.

    So one training serves as the whole run and as those that are cut off, in this process. That a
    real kill is survived, a test of chapter 3 shows for what all chapters share.

    Args:
        run: the run's folder.
        kept: for the folder of each copy, the moment of the kill: (file, n), when a file of
            that name is about to be put in its place for the nth time.
    """
    seen, replace = collections.Counter(), os.replace

    def keep_and_replace(source, target):
        name = os.path.basename(target)
        seen[name] += 1
        for copy, moment in kept.items():
            if moment == (name, seen[name]):
                shutil.copytree(run, copy)
                assert list(copy.rglob(".writing-*"))
        replace(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", keep_and_replace)
        yield
    assert all(copy.exists() for copy in kept), f"of {kept}, a moment never came"


def check_resumed(train, command, whole, *, compare=assert_same_run, draw=False):
    """A run that was killed and goes on ends as the whole one.

    Args:
        train: a chapter's `train` module.
        command: the flags to go on with; the last of them is the run's folder.
        whole: the folder of the run that was not killed.
        compare: asserts that the two folders are the same.
        draw: whether it looks into Matplotlib's figures, which take long to draw; else they are
            blank.
    """
    from common import images

    run = Path(command[-1])
    assert not (run / "results.json").exists()
    with pytest.MonkeyPatch.context() as patch:
        if not draw:
            blank = images.png(np.zeros((2, 2), np.uint8))
            patch.setattr(images, "figure_png", lambda figure: blank)
        train.main([str(flag) for flag in command])
    assert not list(run.rglob(".writing-*"))
    compare(run, whole)


def check_killed_and_resumed(train, flags, whole, run, between=lambda: None):
    """A run that is killed at its second checkpoint, and resumed, ends as one that is not.

    Args:
        train, whole: as of `check_resumed`; the whole run is trained here.
        run: the folder of the other.
        between: called before that is resumed; gives further flags for that.
    """
    with kept_as_killed(whole, {run: SECOND_CHECKPOINT}):
        train.main([*flags, "--output-dir", str(whole)])
    check_resumed(train, [*(between() or []), "--resume", run], whole)


def listen(monkeypatch):
    """A list of the modes, training or not, in which LeakyReLUs that are made from now on run."""
    import keras

    modes = []

    class Listening(keras.layers.LeakyReLU):
        def call(self, inputs, training=None):
            modes.append(training)
            return super().call(inputs)

    monkeypatch.setattr(keras.layers, "LeakyReLU", Listening)
    return modes


def assert_goes_down(loss, update, variables, rate):
    """An update by plain SGD moves variables down the gradient of a loss, by a learning rate.

    Args:
        loss: called without arguments, before the update; gives a scalar.
        update: called without arguments.
    """
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = loss()
    gradients = [tf.convert_to_tensor(g).numpy() for g in tape.gradient(value, variables)]
    before = [np.array(variable) for variable in variables]
    update()
    largest = max(np.abs(gradient).max() for gradient in gradients)
    for variable, old, gradient in zip(variables, before, gradients, strict=True):
        tolerance = 1e-3 * np.abs(gradient).max() + 1e-5 * largest
        tolerance += 2 * np.spacing(np.abs(old).max()) / rate  # as the weights are rounded
        move = (old - np.array(variable)) / rate
        np.testing.assert_allclose(move, gradient, rtol=0, atol=tolerance, err_msg=variable.path)


def free_ports(count):
    """Ports on which nothing listens."""
    listening = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in listening]
    for each in listening:
        each.close()
    return ports


def networks_of(gan):
    return gan.generator, gan.discriminator


def assert_same_way(ours, books, start, optimizer):
    """A network's weights have gone where another's have, from the same start, up to a fifth.

    Where rounding turns the sign of an activation, the ways differ by some hundredths; where an
    update or a factor is wrong, by half or more.

    Args:
        ours, books: the two networks.
        start: the weights that both began with.
        optimizer: of both. Before batch normalisation the gradient of a bias is 0 but for rounding;
            SGD makes next to nothing of that, Adam a step like any other, so that only kernels are
            compared.
    """
    import keras

    vectors = isinstance(optimizer, keras.optimizers.SGD)
    for a, b, s in zip(ours.get_weights(), books.get_weights(), start, strict=True):
        if a.ndim > 1 or vectors:
            assert np.linalg.norm(a - b) < 0.2 * np.linalg.norm(b - s) + 1e-6, a.shape


def assert_same_outputs(ours, books):
    """Outputs of two networks agree within 0.01 on average.

    Not each of them: Adam's first steps are ± the learning rate, and a weight whose gradient is 0
    but for rounding moves the other way on another CPU, or with another number of threads.
    """
    ours, books = np.asarray(ours), np.asarray(books)
    assert ours.shape == books.shape and np.mean(np.abs(ours - books)) < 0.01


def in_the_books_keras(network, updates):
    """A copy whose running averages are what the book's Keras had after so many updates.

    Keras 3's are those, times 1 - momentum^updates, plus momentum^updates times their start.
    """
    import keras

    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    for layer in copy.layers:
        if updates and isinstance(layer, keras.layers.BatchNormalization):
            left = layer.momentum**updates
            layer.moving_mean.assign(layer.moving_mean / (1 - left))
            layer.moving_variance.assign((layer.moving_variance - left) / (1 - left))
    return copy


def frames_of(path):
    """How many frames a GIF has."""
    return imageio.improps(path, index=...).shape[0]
