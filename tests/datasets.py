"""Small data sets in the formats that are read, and a small model."""

import gzip

import numpy as np

from common import formats


def arrays(n_train=6, n_test=4):
    random = np.random.default_rng(0)
    return {
        "x_train": random.integers(0, 256, (n_train, 28, 28), np.uint8),
        "y_train": random.integers(0, 10, n_train, np.uint8),
        "x_test": random.integers(0, 256, (n_test, 28, 28), np.uint8),
        "y_test": random.integers(0, 10, n_test, np.uint8),
    }


def idx(array):
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return b"\0\0\x08" + bytes([array.ndim]) + sizes + array.tobytes()


def write_idx(folder, contents, compress=False):
    folder.mkdir(exist_ok=True)
    for name, array in zip(formats.IDX_FILES, contents.values(), strict=True):
        if compress:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (folder / name).write_bytes(idx(array))


def assert_holds(dataset, contents):
    for key, array in contents.items():
        found = getattr(dataset, key)
        assert np.array_equal(found[..., 0] if key[0] == "x" else found, array)
    assert dataset.x_train.dtype == np.uint8 and dataset.y_train.dtype == np.int32


def change_every_member(path, offset, value):
    """Sets two bytes in the headers of a zip's members, at these places of both kinds of header."""
    raw = bytearray(path.read_bytes())
    for signature, place in ((b"PK\3\4", offset), (b"PK\1\2", offset + 2)):
        start = raw.find(signature)
        while start >= 0:
            raw[start + place : start + place + 2] = value.to_bytes(2, "little")
            start = raw.find(signature, start + 4)
    path.write_bytes(raw)


class Iterations(int):
    """A whole number that can be read as one of TensorFlow's variables."""

    def numpy(self):
        return int(self)


class Counter:
    """Stands in for a model: its weights file holds the iteration."""

    def __init__(self, iterations=0):
        self.iterations = iterations

    @property
    def iterations(self):
        return self._iterations

    @iterations.setter
    def iterations(self, value):
        self._iterations = Iterations(value)

    def save_weights(self, file):
        file.write(str(self.iterations).encode())

    def load_weights(self, file):
        self.iterations = int(file.read())
