"""Pictures and figures of a growing GAN."""

from pathlib import Path

import numpy as np

from chapter06_progan import style_figures
from chapter06_progan.levels import size_of
from chapter06_progan.schedule import Phase
from chapter06_progan.training_images import TrainingImages, as_digits, bring_down
from common import images, metrics


def name_of(phase: Phase) -> str:
    """As progress names it."""
    size = size_of(phase.level)
    return f"{size}×{size}{', fading in' if phase.fading else ''}"


def sample_grid(gan, size: int) -> np.ndarray:
    """Sixteen images of the same latent points each time, enlarged to the last level's size.

    Larger ones than 256×256 are brought down to that: the film holds all pictures in memory.
    """
    size = min(size, 256)
    made = bring_down(np.clip(gan.generate(16), -1, 1), size)
    factor = size // made.shape[1]
    made = made.repeat(factor, axis=1).repeat(factor, axis=2)
    return images.grid(made, columns=4, zoom=max(1, 96 // size))


class Evaluator:
    """Measures generated digits or clothes; photos have no classifier, and so no figures.

    Args:
        data: the training images.
        config: `settings.Settings`.
    """

    def __init__(self, data: TrainingImages, config):
        self.config = config
        self.evaluator = data.dataset and metrics.Evaluator(data.dataset.name, data.dataset.x_test)

    def at_interval(self, gan) -> dict[str, float]:
        """For the interval's line of history."""
        if not (self.evaluator and self.config.fid):
            return {}
        return {"fid": self.evaluator.fid(as_digits(gan.generate(self.config.fid_images)))}

    def at_end(self, gan) -> dict:
        """For results.json."""
        if not self.evaluator:
            return {}
        return self.evaluator.report(
            lambda count: as_digits(gan.generate(count)), self.config.fid_images
        )

    def styles(self, gan, run) -> dict:
        """Pictures of mixed styles, of noise and of truncation, and their figures."""
        title = f"StyleGAN, {Path(self.config.dataset).name}"
        run.write("mixing.png", style_figures.mixing(gan, title))
        run.write("noise.png", style_figures.noise(gan, title))
        rows, labels = [], {}
        if self.evaluator:
            rows = style_figures.sweep(gan, self.evaluator, self.config.fid_images)
            run.write_csv("truncation.csv", rows)
            labels = style_figures.labels_kept(gan, self.evaluator.classifier)
        run.write("truncation.png", style_figures.truncations(gan, title, rows))
        return {
            f"{name}_styles_swapped_{what}": share
            for name, shares in labels.items()
            for what, share in shares.items()
        }
