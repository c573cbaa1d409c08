"""What is measured of a generator of pairs, or of images."""

import numpy as np

from chapter12_looking_ahead import pairs
from common import data, metrics


class Measurement:
    """Measures generated images against the test images.

    Args:
        dataset: a `data.Dataset`.
        task: "pairs" or "images".

    Raises:
        UserError: there are too few test images for a FID.
    """

    def __init__(self, dataset, task: str):
        self.task = task
        real = dataset.x_test
        if task == "pairs":  # real digits that have been halved and enlarged, as the generated
            left, _ = pairs.split(data.scale(pairs.make_pairs(real)))
            real = np.round((left + 1) * 127.5).astype(np.uint8)
        self.evaluator = metrics.Evaluator(dataset.name, real)

    def of(self, images: np.ndarray) -> dict[str, float]:
        """What history and results.json say of images, float in [-1, 1].

        Returns:
            fid; of pairs the FID of their left digits, and `pairs.agreement`.
        """
        if self.task == "images":
            return {"fid": self.evaluator.fid(images)}
        (features, left), (_, right) = map(self.evaluator.classifier, pairs.split(images))
        fid = metrics.frechet_distance(self.evaluator.real_features, features)
        return {"fid": fid, **pairs.agreement(left, right)}
