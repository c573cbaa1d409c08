"""What happens at the end of each sample interval of a run, as a Keras callback."""

import math
import signal
import threading
import time
from collections.abc import Callable

import keras
import numpy as np

from common import UserError, images


class Diverged(UserError):
    """A loss or a weight is no number any more; what was done up to the checkpoint is kept."""


class SaveProgress(keras.callbacks.Callback):
    """Writes history, a picture and the checkpoint into the run's folder after each epoch.

    A Keras epoch is a sample interval. One callback rather than several, as the order matters: a
    diverged network leaves no trace, and the checkpoint comes after history and picture. Keras' own
    CSVLogger and ModelCheckpoint write in place, so a kill can leave half a file.

    Ctrl-C is held back until a step is done: Python raises KeyboardInterrupt wherever it is, and
    one that is raised in a finaliser is lost. A second Ctrl-C is raised at once.

    Args:
        run: the `training.TrainingRun`.
        sample_images: gives the interval's picture, uint8 pixels. It draws no random numbers of its
            own: the same noise each time makes the pictures comparable.
        evaluate: gives further numbers for the interval's line of history, by name.
    """

    def __init__(self, run, sample_images: Callable, evaluate: Callable | None = None):
        super().__init__()
        self.run = run
        self.sample_images = sample_images
        self.evaluate = evaluate
        self.stop_requested = False

    def on_train_begin(self, logs=None):
        self._hold_interrupts()
        if not self.run.history:  # what the untrained network makes
            self._write_picture(0)

    def on_train_batch_end(self, batch, logs=None):
        if self.stop_requested and batch + 1 < self.params["steps"]:  # an interval's end is saved
            raise KeyboardInterrupt

    def on_train_end(self, logs=None):
        if self.interrupt_handler is not None:
            signal.signal(signal.SIGINT, self.interrupt_handler)

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self.started
        iteration = int(self.model.iterations.numpy())
        self._stop_if_diverged(iteration, logs)
        self._write_picture(iteration)
        line = {name: float(value) for name, value in logs.items()}
        if self.evaluate:
            line |= self.evaluate()
        self.run.record(iteration, line, seconds)
        self.run.save_checkpoint(self.model)
        if self.stop_requested:
            raise KeyboardInterrupt

    def _hold_interrupts(self):
        def request_stop(signal_number, frame):
            self.stop_requested = True
            signal.signal(signal.SIGINT, signal.default_int_handler)

        self.interrupt_handler = None
        # As of `train.py &` in a script.
        ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        if threading.current_thread() is threading.main_thread() and not ignored:
            self.interrupt_handler = signal.signal(signal.SIGINT, request_stop)

    def _stop_if_diverged(self, iteration, logs):
        # The last update may have broken weights that no loss has been computed with yet.
        weights = all(np.all(np.isfinite(v.numpy())) for v in self.model.trainable_variables)
        broken = [name for name, value in logs.items() if not math.isfinite(value)]
        if not weights:
            broken.append("a weight")
        if broken:
            remedy = "a smaller learning rate"
            if self.run.config.precision == "mixed_float16":  # whose numbers end at 65,504
                remedy = f"a new run with --precision float32, or {remedy}"
            raise Diverged(
                f"training diverged before {self.run.unit} {iteration}: {broken[0]} is not a "
                f"number. Try {remedy}. Of {self.run.path}, {self.run.kept()}"
            )

    def _write_picture(self, iteration):
        if self.run.is_chief:
            self.run.write(self.run.picture(iteration), images.png(self.sample_images()))
