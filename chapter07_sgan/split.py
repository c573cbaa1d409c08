"""Which training images keep their labels."""

import dataclasses

import numpy as np

from common import UserError, data


@dataclasses.dataclass(frozen=True)
class Split:
    """The training images: images uint8, n×28×28×1; `labels`: of `labeled_images`, n, 0 to 9."""

    labeled_images: np.ndarray
    labels: np.ndarray
    unlabeled_images: np.ndarray


def split_labeled(dataset: data.Dataset, config) -> Split:
    """Takes the labels from all training images but `config.labeled`.

    Raises:
        UserError: as `choose_labeled`; or the images without labels do not fill a batch.
    """
    chosen = choose_labeled(dataset.y_train, config.labeled, config.balanced, config.seed)
    unlabeled_images = np.delete(dataset.x_train, chosen, axis=0)
    if len(unlabeled_images) < config.batch_size:
        raise UserError(
            f"--labeled {config.labeled} leaves {len(unlabeled_images)} images without labels, "
            f"fewer than --batch-size {config.batch_size}"
        )
    return Split(dataset.x_train[chosen], dataset.y_train[chosen], unlabeled_images)


def choose_labeled(labels: np.ndarray, count: int, balanced: bool, seed: int) -> np.ndarray:
    """Indices of the training images that keep their labels, `count` of them.

    Args:
        labels: of all training images, n, 0 to 9.
        count: how many keep theirs.
        balanced: the same number of each class, drawn by the seed; otherwise the first.
        seed: from 0.

    Raises:
        UserError: there are not so many images, or the number is no multiple of the classes'.
    """
    if count > len(labels):
        raise UserError(f"--labeled {count} is more than the {len(labels)} training images")
    if not balanced:
        return np.arange(count)
    classes = np.unique(labels)
    if count % len(classes):
        raise UserError(
            f"--labeled {count} cannot be shared equally among {len(classes)} classes: give a "
            "multiple, or --no-balanced for the first images as they come"
        )
    random = np.random.default_rng(seed)
    each = count // len(classes)
    members = [np.flatnonzero(labels == label) for label in classes]
    if each > min(map(len, members)):
        raise UserError(
            f"--labeled {count}: there are not {each} images of each class; "
            "--no-balanced takes the first images as they come"
        )
    return np.sort(np.concatenate([random.choice(m, each, replace=False) for m in members]))
