"""The file formats of MNIST and Fashion-MNIST: Keras' npz, and the IDX files of their authors.

Both give training images and labels, test images and labels: uint8, n×28×28×1, and int32, n, from 0
to 9.
"""

import gzip
import lzma
import math
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from common import UserError
from common.files import foreign

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
SIZE = (28, 28)  # of an image, height and width
MOST = 1_000_000  # images; a header that promises more is not that of such a data set
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
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
    with foreign(path), zipfile.ZipFile(path) as archive:
        missing = [key for key in KEYS if f"{key}.npy" not in archive.namelist()]
        if missing:
            raise UserError(f"{path}: has no {', '.join(missing)}")
        arrays = [_read_npy(archive, path, key) for key in KEYS]
    return _checked(name, str(path), [path] * 4, arrays)


def _read_npy(archive: zipfile.ZipFile, path: Path, key: str) -> np.ndarray:
    """An array of an npz, whose header is checked before anything is read."""
    with archive.open(f"{key}.npy") as file:
        version = np.lib.format.read_magic(file)
        if version not in HEADERS:
            raise ValueError(f"{key} is of version {version} of NumPy's format")
        with warnings.catch_warnings(action="ignore"):  # that Python 2 wrote it
            shape, fortran_order, dtype = HEADERS[version](file)
        _check_array(path, key, shape, dtype)
        values = _read_values(file, path, math.prod(shape) * dtype.itemsize)
    return np.frombuffer(values, dtype).reshape(shape, order="F" if fortran_order else "C")


def read_idx(name: str, folder: Path, first: tuple[int, int] | None = None) -> Arrays:
    """Reads the four IDX files of a folder, as they are or compressed with gzip or xz.

    Args:
        first: so many training and test images, from the beginning; None for all.

    Raises:
        UserError: one is missing, cannot be read, or holds something else.
    """
    paths = []
    for file in IDX_FILES:
        found = [path for end in OPENERS if os.path.isfile(path := folder / f"{file}{end}")]
        if not found:
            raise UserError(f"{folder}: holds no {file} and no {file}.gz")
        paths.append(found[0])
    train, test = first or (None, None)
    counts = (train, train, test, test)
    arrays = [_read_idx_file(*file) for file in zip(paths, KEYS, counts, strict=True)]
    return _checked(name, str(folder), paths, arrays)


def _read_idx_file(path: Path, key: str, count: int | None) -> np.ndarray:
    """Reads the IDX format: two zero bytes, type (8 is uint8), rank, the sizes, then the values.

    Args:
        count: how many entries along the first axis; None for all.
    """
    suffix = path.suffix if path.suffix in OPENERS else ""
    with foreign(path), OPENERS[suffix](path, "rb") as file:
        start = file.read(4)
        if start[:3] != b"\0\0\x08" or len(start) < 4:
            raise UserError(f"{path}: is not an IDX file of bytes")
        header = file.read(4 * start[3])
        if len(header) < 4 * start[3]:
            raise UserError(f"{path}: ends within its header")
        sizes = [int.from_bytes(header[i : i + 4], "big") for i in range(0, len(header), 4)]
        _check_array(path, key, tuple(sizes), np.dtype(np.uint8))
        if count is not None and count < sizes[0]:
            sizes[0] = count
            values = file.read(math.prod(sizes))
        else:
            values = _read_values(file, path, math.prod(sizes))
    return np.frombuffer(values, np.uint8).reshape(sizes)


def _read_values(file, path: Path, length: int) -> bytes:
    """The rest of a file, whose header promises so many bytes; to its end, where checksums are."""
    values = file.read(length)
    if len(values) < length or file.read(1):
        found = "more" if len(values) == length else len(values)
        raise UserError(f"{path}: holds {found} bytes where its header promises {length}")
    return values


def _check_array(path: Path, key: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Shape and type of an array of a data set, before it is read, or a UserError."""
    is_shape = len(shape) == 3 and shape[1:] == SIZE if key[0] == "x" else len(shape) == 1
    is_type = dtype == np.uint8 if key[0] == "x" else dtype.kind in "ui"
    if not is_shape or not is_type:
        wanted = f"uint8, n×{SIZE[0]}×{SIZE[1]}" if key[0] == "x" else "n whole numbers"
        found = "×".join(map(str, shape[:5])) + ("×…" if len(shape) > 5 else "")
        raise UserError(f"{path}: {key} must be {wanted}, but is {dtype}, {found}")
    if not 0 <= shape[0] <= MOST:
        raise UserError(
            f"{path}: the header of {key} promises {shape[0]} entries; 0 to {MOST} can be read"
        )


def _checked(name: str, source: str, paths: list[Path], arrays: list[np.ndarray]) -> Arrays:
    """Labels that go with each other and with the images, or a UserError that names the file."""
    for key, path, array in zip(KEYS, paths, arrays, strict=True):
        if key[0] == "y" and np.any((array < 0) | (array > 9)):
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
