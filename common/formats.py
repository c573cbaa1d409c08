"""The file formats of MNIST and Fashion-MNIST: Keras' npz, and the IDX files of their authors.

Both give training images and labels, test images and labels: uint8, n×28×28×1, and int32, n, from 0
to 9.
"""

import gzip
import lzma
import math
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from common import UserError

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
KEYS = ("x_train", "y_train", "x_test", "y_test")
IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
# How the training labels begin. The IDX files of both data sets have the same names.
FIRST_LABELS = {
    "mnist": [5, 0, 4, 1, 9, 2, 1, 3, 1, 4],
    "fashion_mnist": [9, 0, 0, 3, 0, 2, 7, 2, 5, 5],
}
READ_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
OPENERS: dict[str, Callable] = {
    "": open,
    ".gz": gzip.open,
    ".xz": lzma.open,
}  # by the suffix of an IDX file


def read_npz(name: str, path: Path) -> Arrays:
    """Reads a file in the layout of Keras' mnist.npz.

    Raises:
        UserError: it cannot be read, or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in KEYS if key not in archive]
            if missing:
                raise UserError(f"{path}: has no {', '.join(missing)}")
            arrays = [archive[key] for key in KEYS]
    except READ_ERRORS as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    return _checked(name, str(path), [path] * 4, arrays)


def read_idx(name: str, folder: Path, first: tuple[int, int] | None = None) -> Arrays:
    """Reads the four IDX files of a folder, as they are or compressed with gzip or xz.

    Args:
        first: so many training and test images, from the beginning; None for all.

    Raises:
        UserError: one is missing, cannot be read, or holds something else.
    """
    paths = []
    for file in IDX_FILES:
        found = [path for end in OPENERS if (path := folder / f"{file}{end}").exists()]
        if not found:
            raise UserError(f"{folder}: holds no {file} and no {file}.gz")
        paths.append(found[0])
    train, test = first or (None, None)
    counts = (train, train, test, test)
    arrays = [_read_idx_file(path, count) for path, count in zip(paths, counts, strict=True)]
    return _checked(name, str(folder), paths, arrays)


def _read_idx_file(path: Path, count: int | None) -> np.ndarray:
    """Reads the IDX format: two zero bytes, type (8 is uint8), rank, the sizes, then the values.

    Args:
        count: how many entries along the first axis; None for all.
    """
    suffix = path.suffix if path.suffix in OPENERS else ""
    try:
        with OPENERS[suffix](path, "rb") as file:
            start = file.read(4)
            if start[:3] != b"\0\0\x08":
                raise UserError(f"{path}: is not an IDX file of bytes")
            header = file.read(4 * start[3])
            sizes = [int.from_bytes(header[i : i + 4], "big") for i in range(0, len(header), 4)]
            if count is not None:
                sizes[0] = min(count, sizes[0])
            values = file.read(math.prod(sizes)) if count is not None else file.read()
    except READ_ERRORS as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    if len(values) != math.prod(sizes) or len(header) != 4 * start[3]:
        raise UserError(
            f"{path}: holds {len(values)} values where its header promises {math.prod(sizes)}"
        )
    return np.frombuffer(values, np.uint8).reshape(sizes)


def _checked(name: str, source: str, paths: list[Path], arrays: list[np.ndarray]) -> Arrays:
    """Shapes, types and labels as they should be, or a UserError that names the file."""
    for key, path, array in zip(KEYS, paths, arrays, strict=True):
        if key.startswith("x"):
            if array.dtype != np.uint8 or array.ndim != 3 or array.shape[1:] != (28, 28):
                raise UserError(
                    f"{path}: {key} must be uint8, n×28×28, but is {array.dtype}, "
                    + "×".join(map(str, array.shape))
                )
        elif array.ndim != 1 or array.dtype.kind not in "ui" or np.any((array < 0) | (array > 9)):
            raise UserError(f"{path}: {key} must be whole numbers from 0 to 9, one an image")
    x_train, y_train, x_test, y_test = arrays
    for images, labels, part in ((x_train, y_train, "training"), (x_test, y_test, "test")):
        if len(images) != len(labels) or len(images) == 0:
            raise UserError(f"{source}: {len(images)} {part} images but {len(labels)} labels")
    for other, first in FIRST_LABELS.items():
        if other != name and np.array_equal(y_train[: len(first)], first):
            raise UserError(f"{paths[1]}: is {other}'s, not {name}'s")
    return (
        x_train[..., np.newaxis],
        y_train.astype(np.int32),
        x_test[..., np.newaxis],
        y_test.astype(np.int32),
    )
