"""How good a game's generator is, as it is trained and at its end."""

import math

import numpy as np

from common import metrics
from common.batch_norm import unfuse
from common.callbacks import Diverged
from common.model import normal_noise, predict


class Measurement:
    """Measures generators, and keeps the best of each game.

    Which one is best is decided by the FID against training images: the test images have no part in
    it, so that what is measured with them in the end is as fair to the best as to the last.

    Args:
        dataset: a `data.Dataset`.
        config: the run's settings.
    """

    def __init__(self, dataset, config):
        self.config = config
        self.against_test = metrics.Evaluator(dataset.name, dataset.x_test)
        self.against_training = metrics.Evaluator(
            dataset.name, dataset.x_train[: len(dataset.x_test)]
        )

    def generate(self, generator, count: int) -> np.ndarray:
        """Images of the same noise each time, count×28×28×1, in [-1, 1]."""
        noise = normal_noise((count, self.config.latent_dim), self.config.seed, -1).numpy()
        images = predict(generator, noise)
        if not np.all(np.isfinite(images)):
            raise Diverged(
                "training diverged: the generated images are not numbers. Try a smaller learning "
                "rate"
            )
        return images if self.config.symmetric_range else images * 2 - 1

    def at_interval(self, generator, run) -> dict[str, float]:
        """The FID, for the interval's line of history. If it is the least so far: best.keras."""
        images = self.generate(generator, self.config.interval_fid_images)
        fid = self.against_training.fid(images)
        if fid < min((row["fid"] for row in run.history), default=math.inf):
            run.save_models(best=unfuse(generator))
        return {"fid": fid}

    def at_end(self, generator, run) -> dict:
        """What results.json says of the last generator, and of the best."""
        best = min(run.history, key=lambda row: row["fid"])["iteration"]

        count = self.config.fid_images
        quality = self.against_test.report(lambda n: self.generate(generator, n), count)
        best_fid = quality["fid"]
        if best != run.iterations and run.is_chief:  # the other workers have no best.keras
            shapes = [(None, self.config.latent_dim)], [(None, 28, 28, 1)]
            kept = run.load_model("best", *shapes)
            best_fid = self.against_test.fid(self.generate(kept, count))
        return {
            "game": run.config.game[0],
            "images": run.iterations * run.config.step_images,
            **quality,
            "best_iteration": best,
            "best_fid": best_fid,
        }
