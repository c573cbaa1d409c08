"""What happens at the end of each sample interval of a run, as a Keras callback."""

import math
import time
from collections.abc import Callable

import keras

from common import UserError, images


class SaveRun(keras.callbacks.Callback):
    """Writes history, a picture and the checkpoint into the run's folder after each epoch.

    A Keras epoch is a sample interval. One callback rather than several, as the order matters: a
    diverged network leaves no trace, and the checkpoint comes last. Keras' own CSVLogger,
    ModelCheckpoint and BackupAndRestore write in place, so a kill can leave half a file.

    Args:
        run: the `runs.Run`.
        picture: gives the interval's picture, uint8 pixels. It draws no random numbers of its own:
            the same noise each time makes the pictures comparable.
        measure: gives further numbers for the interval's line of history, by name.
    """

    def __init__(self, run, picture: Callable, measure: Callable | None = None):
        super().__init__()
        self.run = run
        self.picture = picture
        self.measure = measure

    def on_train_begin(self, logs=None):
        if not self.run.history:  # what the untrained network makes
            self._write_picture(0)

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self.started
        interval = self.run.config.sample_interval
        iteration = (epoch + 1) * interval
        for name, value in logs.items():
            if not math.isfinite(value):
                raise UserError(
                    f"training diverged: {name} is {value} between iterations "
                    f"{iteration - interval} and {iteration}. Try a smaller --learning-rate. "
                    f"What was done before is in {self.run.path}"
                )
        self._write_picture(iteration)
        line = {name: float(value) for name, value in logs.items()}
        if self.measure:
            line |= self.measure()
        self.run.record(iteration, line, seconds)
        self.run.save_checkpoint(self.model)

    def _write_picture(self, iteration):
        self.run.write(f"samples/{iteration:06d}.png", images.png(self.picture()))
