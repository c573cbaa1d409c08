"""What happens between `begin` and `finish`, on a model of two weights: checkpoints and Ctrl-C."""

import os
import signal
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from common import UserError, checkpoints, opening
from common.model import ChapterModel
from common.settings import GANSettings

SETTINGS = GANSettings(iterations=8, sample_interval=4, batch_size=2)
PIXELS = np.zeros((4, 4), np.uint8)
posix = pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")


class Counting(ChapterModel):
    """One of its two weights counts the steps."""

    METRICS = ("count",)

    def __init__(self):
        super().__init__()
        self.weight = self.add_weight(shape=(), initializer="zeros", name="weight")
        self.other = self.add_weight(shape=(), initializer="zeros", name="other")

    @property
    def iterations(self):
        return self.weight

    def train_step(self, images):
        self.weight.assign_add(1.0)
        return self.report(count=self.weight + 0 * ops.sum(images))


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def handler():
    """A handler of SIGINT that is the test's own, to see whether it comes back."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    yield signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def open_run(**where):
    run = opening.open_run("chapter03_gan", {"quick": SETTINGS}, {}, **where)
    run.schedule(8, 4)
    return run


def fit(run, sample_images=lambda: PIXELS, evaluate=None, steps_per_execution=1):
    model = Counting()
    model.compile(steps_per_execution=steps_per_execution)
    run.begin(model, {"source": "made", "sha256": "1", "training_images": 10})
    images = tf.data.Dataset.from_tensors(np.zeros((2, 3), np.float32)).repeat()
    with run.resumable():
        model.fit(images, callbacks=run.callbacks(sample_images, evaluate), **run.fit_arguments)
    return model


def interrupt_at(call):
    """A picture that sends SIGINT when it is made for the nth time."""
    calls = []

    def sample_images():
        calls.append(1)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGINT)
        return PIXELS

    return sample_images


@pytest.mark.parametrize(
    "interval, most, steps",
    [(1000, 100, 100), (60, 100, 60), (150, 100, 75), (997, 100, 1), (500, 10, 10), (7, 20, 7)],
)
def test_steps_per_execution_divide_the_interval(interval, most, steps):
    run = open_run()
    run.schedule(interval, interval)
    assert run.steps_per_execution(most) == steps
    run.schedule(64 * interval, 64 * interval, "image")
    assert run.steps_per_execution(most, interval) == steps


def test_report_gives_means_and_refuses_other_names():
    model = Counting()
    model.compile(steps_per_execution=4)
    images = tf.data.Dataset.from_tensors(np.zeros((2, 3), np.float32)).repeat()
    history = model.fit(images, epochs=2, steps_per_epoch=4, shuffle=False, verbose=0).history
    assert history == {"count": [2.5, 6.5]}
    with pytest.raises(KeyError):
        model.report()
    with pytest.raises(ValueError, match="cuont: not in METRICS"):
        model.report(count=1.0, cuont=1.0)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_steps_are_the_same_however_many_run_as_one_program(jit_compile):
    weights = []
    for steps, eagerly in ((1, False), (4, False), (1, True)):
        model = Counting()
        model.compile(steps_per_execution=steps, jit_compile=jit_compile, run_eagerly=eagerly)
        images = tf.data.Dataset.from_tensors(np.zeros((2, 3), np.float32)).repeat()
        model.fit(images, steps_per_epoch=4, shuffle=False, verbose=0)
        weights.append(float(model.weight))
    assert weights == [4, 4, 4]


def test_a_step_that_xla_has_compiled_can_run_eagerly_after_another_compile():
    model = Counting()
    images = tf.data.Dataset.from_tensors(np.zeros((2, 3), np.float32)).repeat()
    model.compile(jit_compile=True)
    model.fit(images, steps_per_epoch=1, shuffle=False, verbose=0)
    model.compile(run_eagerly=True)
    assert model.train_step.__func__ is Counting.train_step


@posix
def test_ctrl_c_while_a_picture_is_made_keeps_the_interval(handler):
    """Held back until the picture, the line of history and the checkpoint are written."""
    run = open_run(output_dir="run")
    with pytest.raises(KeyboardInterrupt, match="up to iteration 4 is kept") as stop:
        fit(run, interrupt_at(2))  # the first is the untrained network's
    assert str(stop.value).endswith("chapter03_gan/train.py --resume run")
    assert signal.getsignal(signal.SIGINT) is handler
    assert [row["iteration"] for row in run.history] == [4]
    assert (run.path / "samples" / "000004.png").exists()
    run._lock.release()  # as when its program ends

    again = open_run(resume="run")
    model = fit(again)
    assert float(model.weight) == 8 and [row["count"] for row in again.history] == [2.5, 6.5]


@posix
@pytest.mark.parametrize("steps, kept", [(1, "no checkpoint"), (4, "up to iteration 4 is kept")])
def test_ctrl_c_while_training_ends_the_program_at_once_or_saves_a_whole_interval(steps, kept):
    """Sent before the first step. If that is all of the interval, the interval is saved first."""
    run = open_run(output_dir="run")
    with pytest.raises(KeyboardInterrupt, match=kept):
        fit(run, interrupt_at(1), steps_per_execution=steps)
    assert (run.path / checkpoints.CHECKPOINT).exists() == (steps == 4)


@posix
def test_a_second_ctrl_c_is_raised_at_once(handler):
    def evaluate():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
        raise AssertionError("was not interrupted")

    run = open_run(output_dir="run")
    with pytest.raises(KeyboardInterrupt, match="no checkpoint was written yet"):
        fit(run, evaluate=evaluate)
    assert signal.getsignal(signal.SIGINT) is handler


@posix
def test_an_ignored_ctrl_c_stays_ignored():
    """As of `train.py &` in a script."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert float(fit(open_run(output_dir="run"), interrupt_at(2)).weight) == 8
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_broken_weight_is_noticed_though_no_loss_shows_it():
    run, model = open_run(output_dir="run"), Counting()
    model.compile()
    (callback,) = run.callbacks(lambda: PIXELS)
    run.begin(model, {"source": "made", "sha256": "1", "training_images": 10})
    callback.set_model(model)
    callback.on_epoch_begin(0)
    model.other.assign(float("nan"))
    with pytest.raises(UserError, match="a weight is not a number"):
        callback.on_epoch_end(0, {"count": 1.0})
    assert not (run.path / "history.csv").exists()


@pytest.mark.parametrize("schedule", [(8, 3), (4, 4)])
def test_a_checkpoint_that_does_not_fit_the_settings_is_named(schedule):
    run = open_run(output_dir="run")
    fit(run)
    run._lock.release()
    again = open_run(resume="run")
    again.schedule(*schedule)
    with pytest.raises(UserError, match="is of iteration 8, but the run has"):
        again.restore(Counting())


def test_a_run_that_another_program_has_finished_meanwhile_is_left_alone():
    run = open_run(output_dir="run")
    fit(run)
    run._lock.release()
    late, first = open_run(resume="run"), open_run(resume="run")
    fit(first)
    first.finish({})
    before = {path: path.read_bytes() for path in first.path.rglob("*.*")}
    with pytest.raises(UserError, match="the run is finished"):
        fit(late)
    assert {path: path.read_bytes() for path in first.path.rglob("*.*")} == before
