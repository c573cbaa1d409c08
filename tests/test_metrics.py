"""Metrics against closed forms and published implementations, and the classifiers they use."""

import keras
import numpy as np
import pytest
from conftest import needs_16_bits

from common import UserError, data, device, metrics
from common.classifier import WEIGHTS, Classifier


def normal(n, mean, covariance, seed=0):
    """n features with exactly this mean and covariance."""
    x = np.random.default_rng(seed).normal(size=(n, len(mean)))
    x -= x.mean(axis=0)
    x = (
        x @ np.linalg.inv(np.linalg.cholesky(np.atleast_2d(np.cov(x, rowvar=False)))).T
    )  # now exactly white
    return x @ np.linalg.cholesky(covariance).T + mean


def test_frechet_distance_of_two_gaussians_in_one_dimension():
    a, b = normal(50, [3.0], np.eye(1) * 4), normal(80, [-1.0], np.eye(1) * 25)
    assert metrics.frechet_distance(a, b) == pytest.approx(4**2 + (2 - 5) ** 2)


def test_frechet_distance_of_diagonal_gaussians():
    """For covariances that commute the distance is |μ₁ - μ₂|² + Σ(√λ₁ - √λ₂)²."""
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0]
    one, two = np.array([1.0, 2, 3, 4, 5]), np.array([5.0, 1, 9, 0.5, 2])
    a = normal(200, np.zeros(5), turn @ np.diag(one) @ turn.T)
    b = normal(300, np.arange(5.0), turn @ np.diag(two) @ turn.T, seed=2)
    expected = np.sum(np.arange(5) ** 2) + np.sum((np.sqrt(one) - np.sqrt(two)) ** 2)
    assert metrics.frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert metrics.frechet_distance(b, a) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_identical_shifted_and_collapsed_sets():
    a = np.random.default_rng(0).normal(size=(500, 8))
    assert metrics.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert metrics.frechet_distance(a, a[::-1] + 2) == pytest.approx(8 * 2**2)
    collapsed = np.tile(a.mean(axis=0), (500, 1))
    assert metrics.frechet_distance(a, collapsed) == pytest.approx(np.trace(np.cov(a.T)))
    far = (a + 100_000).astype("float32")  # sums in float32 would lose what matters
    assert metrics.frechet_distance(far.astype("float64"), far) < 1e-6
    for k in range(5):  # rounding must not make it negative
        b = np.random.default_rng(k).normal(size=(100, 8)) * 1e-6 + 1
        assert metrics.frechet_distance(b, b[::-1]) >= 0


def test_frechet_distance_equals_the_published_formula():
    """The formula of pytorch-fid, with scipy.linalg.sqrtm (SciPy 1.17.1), on the same arrays."""
    random = np.random.default_rng(7)
    a = random.normal(size=(400, 6)) @ random.normal(size=(6, 6))
    b = random.exponential(size=(300, 6)) @ random.normal(size=(6, 6)) + 0.5
    assert metrics.frechet_distance(a, b) == pytest.approx(37.29094022175677, rel=1e-9)


def test_frechet_distance_of_too_few_samples():
    a = np.zeros((9, 8))
    with pytest.raises(ValueError, match="8 samples are too few for features of 8 dimensions"):
        metrics.frechet_distance(a, a[:8])
    with pytest.raises(ValueError, match="8 samples are too few"):
        metrics.frechet_distance(a[:8], a)
    assert metrics.frechet_distance(a, a) == 0


def test_classifier_score():
    assert metrics.classifier_score(np.eye(10)) == pytest.approx(10)
    assert metrics.classifier_score(np.full((7, 10), 0.1)) == pytest.approx(1)
    assert metrics.classifier_score(np.tile(np.eye(10)[3], (7, 1))) == pytest.approx(1)
    halves = np.array([[0.75, 0.25], [0.25, 0.75]])
    expected = np.exp(0.75 * np.log(1.5) + 0.25 * np.log(0.5))
    assert metrics.classifier_score(halves) == pytest.approx(expected)


def test_classes_covered_and_label_accuracy():
    labels = np.repeat([0, 1, 2, 9], [500, 481, 9, 10])
    probabilities = np.eye(10)[labels] * 0.9 + 0.01
    assert metrics.classes_covered(probabilities) == 3  # 9 in 1,000 are too few, 10 are enough
    wanted = labels.copy()
    wanted[:250] = 5
    assert metrics.label_accuracy(probabilities, wanted) == 0.75


def test_precision_and_recall():
    random = np.random.default_rng(0)
    real = random.normal(size=(600, 4))
    assert metrics.precision_recall(real, real) == (1, 1)
    assert metrics.precision_recall(real, real + 100) == (0, 0)
    half = real[real[:, 0] > 0]
    precision, recall = metrics.precision_recall(real, half + random.normal(size=half.shape) / 50)
    assert precision > 0.95 and 0.4 < recall < 0.75
    collapsed = np.zeros((600, 4)) + random.normal(size=(600, 4)) / 1000
    precision, recall = metrics.precision_recall(real, collapsed)
    assert precision == 1 and recall < 0.01
    assert metrics.precision_recall(np.ones((9, 4)), np.ones((9, 4))) == (1, 1)
    far = (real + 100_000).astype("float32")
    assert metrics.precision_recall(far, far + 0.5) == metrics.precision_recall(
        far.astype("float64"), far.astype("float64") + 0.5
    )
    with pytest.raises(ValueError, match="3 samples are too few for 3 neighbours"):
        metrics.precision_recall(real, real[:3])


def test_precision_and_recall_equal_the_published_ones():
    """The values of `prdc.compute_prdc` (prdc 0.2, Naeem et al. 2020) on the same arrays."""
    random = np.random.default_rng(3)
    real, generated = random.normal(size=(700, 5)), random.normal(size=(600, 5)) * 0.8 + 0.7
    for neighbours, expected in (
        (3, (0.94, 0.6714285714285714)),
        (5, (0.9733333333333334, 0.7271428571428571)),
    ):
        ours = metrics.precision_recall(real, generated, neighbours)
        assert ours == pytest.approx(expected, abs=1e-12)


def test_nearest():
    training = np.random.default_rng(0).uniform(-1, 1, (1200, 6, 5, 1))
    generated = training[[700, 3]] + np.array([0.1, -0.2])[:, None, None, None]
    indices, distances = metrics.nearest(generated, training)
    assert indices.tolist() == [700, 3]
    assert distances == pytest.approx([0.1, 0.2])
    with pytest.raises(ValueError, match="samples of shape"):
        metrics.nearest(generated, training[:, :3])


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((0, 28, 28, 1)),
        np.zeros((3, 784)),
        np.full((3, 28, 28, 1), 255.0),
        np.full((3, 28, 28, 1), np.nan),
        np.zeros((3, 28, 28, 1), np.int64),
    ],
)
def test_classifier_refuses_what_is_not_an_image(images):
    with pytest.raises(ValueError, match="images"):
        Classifier("mnist")(images)


@pytest.mark.parametrize("name, least", [("sample", 0.99), ("fashion_sample", 0.91)])
def test_classifiers_know_their_data(name, least):
    """The MNIST sample is from the training set, so this shows only that the weights are right."""
    dataset = data.load(name)
    features, probabilities = Classifier(dataset.name)(dataset.x_test)
    assert features.shape == (len(dataset.x_test), 64) and features.dtype == np.float64
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert metrics.label_accuracy(probabilities, dataset.y_test) >= least
    assert (WEIGHTS / f"{dataset.name}.weights.h5").stat().st_size < 600_000


@needs_16_bits
def test_classifier_reads_bytes_and_floats_alike_under_any_precision():
    images = data.load("sample").x_test[:50]
    first, _ = Classifier("mnist")(images)
    device.setup(seed=0, precision="mixed_bfloat16")
    second, _ = Classifier("mnist")(images.astype("float32") / 127.5 - 1)
    np.testing.assert_array_equal(first, second)
    assert keras.config.dtype_policy().name == "mixed_bfloat16"


@pytest.fixture(scope="module")
def evaluated():
    """An evaluator on 1,000 real test digits, and training digits with their labels."""
    dataset = data.load("sample")
    images = dataset.x_train.astype("float32") / 127.5 - 1
    return metrics.Evaluator("mnist", dataset.x_test), images, dataset.y_train


def test_evaluator_ranks_generators_as_a_person_would(evaluated):
    evaluator, images, labels = evaluated
    random = np.random.default_rng(0)
    generators = {
        "real": images[:1200],
        "noisy": np.clip(images[:1200] + random.normal(size=(1200, 28, 28, 1)) * 0.2, -1, 1),
        "half the classes": images[labels < 5][:1200],
        "one digit": images[labels == 3],
        "uniform noise": random.uniform(-1, 1, (1000, 28, 28, 1)),
    }
    fids = {name: evaluator.fid(pictures) for name, pictures in generators.items()}
    assert fids["real"] < 10 < fids["noisy"] < fids["uniform noise"]
    assert 50 < fids["half the classes"] < fids["one digit"] < fids["uniform noise"]
    reports = {
        name: evaluator.report(lambda n, pictures=pictures: pictures[:n], 390)
        for name, pictures in generators.items()
    }
    covered = {name: report["classes_covered"] for name, report in reports.items()}
    assert covered["real"] == 10 and covered["half the classes"] == 5 and covered["one digit"] == 1
    assert (
        reports["real"]["classifier_score"]
        > 9
        > 5
        > reports["half the classes"]["classifier_score"]
        > 4.5
    )
    assert reports["one digit"]["classifier_score"] < 1.2
    assert reports["real"]["fid_generated_images"] == 390
    assert reports["real"]["precision_recall_images"] == 390
    assert reports["real"]["recall"] > 0.6 > 0.3 > reports["one digit"]["recall"]
    assert reports["real"]["fid_real_images"] == 1000


def test_too_few_test_images_are_refused_before_training():
    with pytest.raises(UserError, match=r"64 test images .* are too few for the FID"):
        metrics.Evaluator("mnist", np.zeros((64, 28, 28, 1), np.uint8))


def test_missing_classes_show_in_recall(evaluated):
    evaluator, images, labels = evaluated
    features = [evaluator.classifier(images[keep][:1000])[0] for keep in (labels < 10, labels < 5)]
    whole = metrics.precision_recall(evaluator.real_features, features[0])
    half = metrics.precision_recall(evaluator.real_features, features[1])
    assert whole[1] > 0.7 and 0.3 < half[1] < 0.6
    assert half[0] > 0.7
