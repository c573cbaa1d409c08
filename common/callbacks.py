"""What happens at the end of each sample interval of a run, as a Keras callback."""

import math
import time
from collections.abc import Callable

import keras
import numpy as np

from common import UserError, images


class SaveProgress(keras.callbacks.Callback):
    """Writes history, a picture and the checkpoint into the run's folder after each epoch.

    A Keras epoch is a sample interval. One callback rather than several, as the order matters: a
    diverged network leaves no trace, and the checkpoint comes last. Keras' own CSVLogger,
    ModelCheckpoint and BackupAndRestore write in place, so a kill can leave half a file.

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

    def on_train_begin(self, logs=None):
        self.run.hold_interrupts()
        if not self.run.history:  # what the untrained network makes
            self._write_picture(0)

    def on_train_batch_end(self, batch, logs=None):
        if self.run.stop_requested:
            raise KeyboardInterrupt

    def on_train_end(self, logs=None):
        self.run.release_interrupts()

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self.started
        iteration = int(self.model.iterations)
        self._stop_if_diverged(iteration, logs)
        self._write_picture(iteration)
        line = {name: float(value) for name, value in logs.items()}
        if self.evaluate:
            line |= self.evaluate()
        self.run.record(iteration, line, seconds)
        self.run.save_checkpoint(self.model)

    def _stop_if_diverged(self, iteration, logs):
        # The last update may have broken weights that no loss has been computed with yet.
        weights = all(np.all(np.isfinite(v.numpy())) for v in self.model.trainable_variables)
        broken = [name for name, value in logs.items() if not math.isfinite(value)]
        if not weights:
            broken.append("a weight")
        if broken:
            raise UserError(
                f"training diverged before iteration {iteration}: {broken[0]} is not a number. Try "
                f"a smaller learning rate. What was done up to iteration "
                f"{self.run.saved_iteration} is in {self.run.path}"
            )

    def _write_picture(self, iteration):
        self.run.write(f"samples/{iteration:06d}.png", images.png(self.sample_images()))
