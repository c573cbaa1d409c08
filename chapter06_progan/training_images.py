"""The training images, at each level's size: MNIST, Fashion-MNIST, or photos of a folder or zip."""

import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from chapter06_progan.levels import size_of
from common import UserError, data
from common.photos import StreamedPhotos, open_files

PADDED = 32  # MNIST's 28×28 with two rows of background on each side, a power of two
BORDER = 2
MEMORY = 2 * 2**30  # bytes of decoded photos; more are read from disk as they are needed


@dataclasses.dataclass(frozen=True)
class TrainingImages:
    """Images uint8, n×size×size×channels, the largest that are made: an array or streamed."""

    source: str
    images: Any
    sha256: str
    # MNIST's or Fashion-MNIST's images, which a classifier can compare with generated ones.
    dataset: data.Dataset | None = None

    @property
    def size(self) -> int:
        return self.images.shape[1]

    @property
    def channels(self) -> int:
        return self.images.shape[-1]

    @property
    def test_images(self) -> np.ndarray:
        """Of MNIST or Fashion-MNIST, padded and at the size of `images`."""
        assert self.dataset
        return shrink(pad(self.dataset.x_test), PADDED // self.size)

    def at_level(self, level: int):
        """All images at a level's size."""
        factor = self.size // size_of(level)
        if isinstance(self.images, np.ndarray):
            return shrink(self.images, factor)
        return ShrunkPhotos(self.images, factor)

    def describe(self) -> dict[str, Any]:
        """What a run's config.json says of its data; equal hashes mean equal data."""
        return {
            "source": self.source,
            "training_images": len(self.images),
            "sha256": self.sha256,
        }


class ShrunkPhotos:
    """Streamed photos at a smaller size: as `shrink` makes of them, but when they are asked for."""

    def __init__(self, photos: StreamedPhotos, factor: int):
        self.photos, self.factor = photos, factor
        n, height, width, channels = photos.shape
        self.shape = (n, height // factor, width // factor, channels)

    def __len__(self):
        return len(self.photos)

    def __getitem__(self, indices) -> np.ndarray:
        return shrink(self.photos[indices], self.factor)

    def expect(self, indices) -> None:
        self.photos.expect(indices)


def pad(images: np.ndarray) -> np.ndarray:
    """n×28×28×1 to n×32×32×1, with background around."""
    return np.pad(images, ((0, 0), (BORDER, BORDER), (BORDER, BORDER), (0, 0)))


def shrink(images: np.ndarray, factor: int) -> np.ndarray:
    """Images uint8, …×h×w×c, of which each pixel is the mean of factor × factor, rounded."""
    if factor == 1:
        return images
    *leading, height, width, channels = images.shape
    h, w = height // factor, width // factor
    cells = images.reshape(-1, h, factor, w, factor, channels)
    small = np.empty((len(cells), h, w, channels), np.uint8)
    for start in range(0, len(cells), 500):  # as float32, all would take four times the memory
        part = cells[start : start + 500].mean(axis=(2, 4), dtype=np.float32)
        small[start : start + 500] = np.round(part)
    return small.reshape(*leading, h, w, channels)


def load(
    name: str,
    size: int,
    folder: str | None = None,
    validation_images: int = 0,
    memory: int = MEMORY,
) -> TrainingImages:
    """Finds the training images, looks at each, and keeps them in memory, if that allows it.

    Args:
        name: "mnist", "fashion_mnist", "sample" or "fashion_sample"; or the path of a folder or
            zip, of which all images are taken, whatever folder of it they are in.
        size: height and width that photos are brought to, a power of two from 8 on.
        folder: where to look for MNIST or Fashion-MNIST, see `data.load`; or where the photos of a
            path are now.
        validation_images: so many of the last MNIST images take the test images' place.
        memory: bytes; photos that need more are read from disk in training.

    Raises:
        UserError: there is no such data, an image is broken, or smaller than `size`.
    """
    if name in data.NAMES:
        if size > PADDED:
            raise UserError(
                f"--size {size}: {name}'s images have 28×28 pixels, padded to {PADDED}×{PADDED}; "
                "--dataset takes the path of a folder or zip with larger ones"
            )
        dataset = data.load(name, folder, validation_images)
        described = dataset.describe()
        images = shrink(pad(dataset.x_train), PADDED // size)
        return TrainingImages(described["source"], images, described["sha256"], dataset)
    path = Path(os.path.expanduser(folder or name))
    if not os.path.exists(path):
        names = ", ".join(data.NAMES)
        raise UserError(
            f"--data-dir {folder}: is no folder and no zip"
            if folder
            else f"--dataset {name}: is no folder, no zip, and none of {names}"
        )
    if validation_images:
        raise UserError(f"--validation-images has no part in --dataset {name}, which is a path")
    files = open_files(path, ["**/*"])
    if not files.names:
        raise UserError(f"{path}: holds no images")
    files.enlarge = False  # a photo's blurred enlargement would be learned, too
    print(f"reading {len(files.names)} images from {path}")
    photos, digest = files.read(files.names, size, len(files.names) * size * size * 3 <= memory)
    return TrainingImages(str(path), photos, hashlib.sha256(digest).hexdigest())


def as_digits(images: np.ndarray) -> np.ndarray:
    """Generated images, n×size×size×1, as a classifier of MNIST knows them: n×28×28×1 in [-1, 1].

    Smaller ones are enlarged, each pixel to a square; the border is cut off.
    """
    factor = PADDED // images.shape[1]
    enlarged = images.repeat(factor, axis=1).repeat(factor, axis=2)
    return np.clip(enlarged[:, BORDER:-BORDER, BORDER:-BORDER], -1, 1)


def bring_down(images: np.ndarray, most: int) -> np.ndarray:
    """Generated images, n×size×size×channels, no larger than most×most: means of their pixels."""
    n, size, _, channels = images.shape
    if size <= most:
        return images
    cells = images.reshape(n, most, size // most, most, size // most, channels)
    return cells.mean(axis=(2, 4))
