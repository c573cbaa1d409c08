"""Metrics for generated images: functions of features and of a classifier's probabilities.

GANs in Action, section 5.1, explains the Inception Score and the Fréchet Inception Distance. All
arrays here are NumPy's, and all sums are made in float64.
"""

import functools
from collections.abc import Callable

import numpy as np

from common import UserError
from common.classifier import FEATURES, Classifier

COMPARED = 3_000  # of each kind for precision and recall, whose cost grows with the square


def frechet_distance(real: np.ndarray, generated: np.ndarray) -> float:
    """Fréchet distance of two sets of features, n×d and m×d; 0 is best (Heusel et al. 2017).

    Fits a Gaussian to each: |μ₁ - μ₂|² + tr(C₁) + tr(C₂) - 2 tr(√(C₁C₂)). The trace of the root is
    the sum of the roots of the eigenvalues of √C₁ C₂ √C₁, which is symmetric, so that nothing
    becomes complex and a singular covariance does no harm.

    Raises:
        ValueError: a set has no more features than dimensions; its covariance means nothing then.
    """
    means, covariances = [], []
    for features in (real, generated):
        features = np.asarray(features, np.float64)
        n, d = features.shape
        if n <= d:
            raise ValueError(f"{n} samples are too few for features of {d} dimensions")
        means.append(features.mean(axis=0))
        covariances.append(np.atleast_2d(np.cov(features, rowvar=False)))
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    products = np.linalg.eigvalsh(root @ covariances[1] @ root)
    trace_of_root = np.sqrt(np.clip(products, 0, None)).sum()
    distance = np.sum((means[0] - means[1]) ** 2) + np.trace(covariances[0] + covariances[1])
    return float(max(distance - 2 * trace_of_root, 0.0))  # rounding may leave -1e-13


def classifier_score(probabilities: np.ndarray) -> float:
    """exp of the mean KL(p(y|x) ‖ p(y)), from 1 to the number of classes (Salimans et al. 2016).

    The Inception Score without its usual ten splits, and with a classifier of the data at hand in
    Inception's place. High where each image is surely of one class and all classes are as frequent.
    It does not notice a generator that makes one picture of each class.

    Args:
        probabilities: n×K; each row sums to 1.
    """
    p = np.asarray(probabilities, np.float64)
    marginal = p.mean(axis=0)
    # p log(p/q), which is 0 where p is.
    logs = np.log(np.where(p > 0, p, 1)) - np.log(np.where(marginal > 0, marginal, 1))
    return float(np.exp(np.sum(p * logs, axis=1).mean()))


def classes_covered(probabilities: np.ndarray, least: float = 0.01) -> int:
    """How many classes get at least the share `least` of the images; probabilities are n×K."""
    classes = np.argmax(probabilities, axis=1)
    shares = np.bincount(classes) / len(classes)
    return int(np.sum(shares >= least))


def label_accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Share of images whose likeliest class is the label that they were to have; 1 is best.

    Args:
        probabilities: n×K.
        labels: n, from 0 to K - 1.
    """
    return float(np.mean(np.argmax(probabilities, axis=1) == labels))


def precision_recall(
    real: np.ndarray, generated: np.ndarray, neighbours: int = 3
) -> tuple[float, float]:
    """Improved precision and recall of features, n×d and m×d (Kynkäänniemi et al. 2019).

    Each sample covers a ball that reaches to its nearest `neighbours` in its own set. Precision:
    the share of generated samples that real balls cover (are they good?). Recall: the share of real
    samples that generated balls cover (is everything made?). 1 is best. Both depend on the sizes of
    the sets: compare equal ones only. A sample far from all others has a large ball, so both are
    too high for sets with outliers.

    Raises:
        ValueError: a set has no more samples than `neighbours`.
    """
    for features in (real, generated):
        if len(features) <= neighbours:
            raise ValueError(f"{len(features)} samples are too few for {neighbours} neighbours")
    return (
        float(np.mean(_covered(generated, real, neighbours))),
        float(np.mean(_covered(real, generated, neighbours))),
    )


def nearest(samples: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each sample the nearest of others, as of each generated image the nearest training image.

    Args:
        samples: images, n×height×width×channels, or features, n×d.
        among: m×height×width×channels, or m×d, on the same scale.

    Returns:
        The index into `among`, n, and the distance: the root of the mean squared difference of
        pixels or features, n.

    Raises:
        ValueError: samples of the two sets differ in shape.
    """
    if samples.shape[1:] != among.shape[1:]:
        raise ValueError(f"samples of shape {samples.shape[1:]} and {among.shape[1:]}")
    values = np.prod(among.shape[1:])
    indices, distances = [], []
    for squares in _squared_distances(samples.reshape(-1, values), among.reshape(-1, values)):
        indices.append(np.argmin(squares, axis=1))
        distances.append(np.sqrt(squares.min(axis=1) / values))
    return np.concatenate(indices), np.concatenate(distances)


class Evaluator:
    """Measures generated MNIST or Fashion-MNIST images against the test images of a data set.

    Args:
        name: the classifier, "mnist" or "fashion_mnist".
        real_images: the test images, n×28×28×1, as those below. Their features are kept in memory.

    All images that it is given must be float in [-1, 1] (or uint8): it cannot tell images in
    [0, 1] from pale ones.

    Its FID is not Inception's: see `classifier.py`. Values of other features cannot be compared.

    Raises:
        UserError: there are too few test images for a FID.
    """

    def __init__(self, name: str, real_images: np.ndarray):
        if len(real_images) <= FEATURES:
            raise UserError(
                f"{len(real_images)} test images (or --validation-images) are too few for the FID, "
                f"which needs more than {FEATURES}"
            )
        self.name = name
        self.classifier = Classifier(name)
        self.real_images = real_images

    @functools.cached_property
    def real_features(self) -> np.ndarray:
        """Features of the test images, looked at when they are first asked for."""
        return self.classifier(self.real_images)[0]

    def fid(self, images: np.ndarray) -> float:
        """FID of images, n×28×28×1, float in [-1, 1]."""
        features, _ = self.classifier(images)
        return frechet_distance(self.real_features, features)

    def report(
        self,
        generate: Callable[[int], np.ndarray],
        samples: int,
        labels: np.ndarray | None = None,
    ) -> dict:
        """What results.json says of a generator.

        Precision and recall are of the first images of both kinds, COMPARED at most; MNIST's first
        test images are easier than the later ones.

        Args:
            generate: gives that many images, n×28×28×1, float in [-1, 1].
            samples: how many images are measured.
            labels: of which class each image was to be, n, where one can ask for that.
        """
        features, probabilities = self.classifier(generate(samples))
        n = min(COMPARED, len(features), len(self.real_features))
        precision, recall = precision_recall(self.real_features[:n], features[:n])
        accuracy = (
            {} if labels is None else {"label_accuracy": label_accuracy(probabilities, labels)}
        )
        return accuracy | {
            "fid": frechet_distance(self.real_features, features),
            "fid_features": f"{self.name} classifier",
            "fid_generated_images": len(features),
            "fid_real_images": len(self.real_features),
            "classifier_score": classifier_score(probabilities),
            "classes_covered": classes_covered(probabilities),
            "precision": precision,
            "recall": recall,
            "precision_recall_images": n,
        }


def _covered(points, centres, neighbours):
    """For each point, whether it lies in the ball of a centre."""
    radii = np.concatenate(
        # A centre is its own nearest neighbour, at distance 0.
        [
            np.partition(d, neighbours, axis=1)[:, neighbours]
            for d in _squared_distances(centres, centres)
        ]
    )
    return np.concatenate([np.any(d <= radii, axis=1) for d in _squared_distances(points, centres)])


def _squared_distances(a, b):
    """Blocks of rows of the n×m matrix of squared distances, which whole would not fit."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    b_squares = np.einsum("ij,ij->i", b, b)
    rows = min(500, max(1, 5_000_000 // len(b)))  # of 40 MB
    for start in range(0, len(a), rows):
        part = a[start : start + rows]
        squares = np.einsum("ij,ij->i", part, part)[:, None] + b_squares - 2 * part @ b.T
        yield np.clip(squares, 0, None)
