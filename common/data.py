"""Data sets by name."""

import contextlib
import dataclasses
import hashlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from common import UserError, formats

MNIST = Path(__file__).resolve().parent / "mnist"  # all of it, bundled
SAMPLE = (4_000, 1_000)  # training and test images of --dataset sample: the first of MNIST
SAMPLES = Path(__file__).resolve().parent / "samples"
FASHION_SAMPLE = "bundled sample"  # the source of the bundled part of Fashion-MNIST
ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"  # as keras.datasets
TIMEOUT = 15  # seconds that a download may stand still before it is given up
NAMES = {  # what --dataset takes: which data set that is
    "mnist": "mnist",
    "fashion_mnist": "fashion_mnist",
    "sample": "mnist",
    "fashion_sample": "fashion_mnist",
}
CLASS_NAMES = {
    "mnist": tuple("0123456789"),
    "fashion_mnist": (
        "t-shirt",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle-boot",
    ),
}


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images uint8, n×28×28×1, 0 to 255; labels int32, n, from 0. `source` says where from.

    Of photos, n×size×size×1 or ×3.
    """

    name: str  # "mnist" or "fashion_mnist"; of chapter 11's photos, "photos"
    source: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    def hold_out(self, count: int) -> "Dataset":
        """The last so many training images in the test images' place: settings are chosen on them.

        Raises:
            UserError: no training images would be left.
        """
        if not 0 < count < len(self.x_train):
            raise UserError(
                f"--validation-images {count} leaves none of {len(self.x_train)} training images"
            )
        return dataclasses.replace(
            self,
            x_train=self.x_train[:-count],
            y_train=self.y_train[:-count],
            x_test=self.x_train[-count:],
            y_test=self.y_train[-count:],
        )

    def describe(self) -> dict:
        """What a run's config.json says of its data; equal descriptions mean equal data."""
        digest = hashlib.sha256()
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            digest.update(np.ascontiguousarray(array).data)
        return {
            "source": self.source,
            "training_images": len(self.x_train),
            "test_images": len(self.x_test),
            "sha256": digest.hexdigest(),
        }


def load(name: str, folder: str | None = None, validation_images: int = 0) -> Dataset:
    """Loads MNIST or Fashion-MNIST whole into memory (55 MB).

    Args:
        name: "mnist" or "fashion_mnist"; "sample", the first images of MNIST; or "fashion_sample",
            the bundled part of Fashion-MNIST.
        folder: a folder that holds `mnist.npz` in Keras' layout or the four IDX files, gzipped or
            not, itself or in a folder `mnist` in it.
        validation_images: if not 0, so many of the last training images take the test images'
            place, so that settings can be chosen without looking at the test images.

    Looks in `folder`. Without one, MNIST is the bundled one. Fashion-MNIST is looked for in the
    folder that the environment's GANS_DATA names, then in Keras' cache, and then downloaded into
    that; where the download fails, the bundled part stands in, and one line says so.

    Raises:
        UserError: there is no data set of that name, the folder is missing or holds no such data,
            a file in it is broken, or there are not so many training images.
    """
    dataset = _load(name, folder)
    return dataset.hold_out(validation_images) if validation_images else dataset


def _load(name: str, folder: str | None) -> Dataset:
    _check_name(name)
    if folder and name.endswith("sample"):
        raise UserError(f"--data-dir has no part in --dataset {name}, which is bundled")
    if name == "sample":
        source = f"bundled MNIST, the first {SAMPLE[0]:,} and {SAMPLE[1]:,} images"
        return Dataset("mnist", source, *formats.read_idx("mnist", MNIST, SAMPLE))
    if name == "fashion_sample":
        return _fashion_sample()
    if name == "mnist" and folder is None:
        return Dataset(name, "bundled MNIST", *formats.read_idx(name, MNIST))
    searched = ""
    if place := named_folder(folder):
        if found := _from_folder(name, place):
            return found
        origin = "--data-dir" if folder else "GANS_DATA"
        searched = f"{origin} {place}: holds neither {name}.npz nor IDX files of {name}"
        if folder:
            raise UserError(searched)
    try:
        return _fashion_from_keras()
    except UserError:
        raise
    except Exception as error:  # get_file raises a plain Exception when the network fails
        sample = _fashion_sample()
        reason = " ".join(str(error).split())
        print(
            f"{name} could not be downloaded ({reason}); going on with the bundled sample of "
            f"{len(sample.x_train)} training images: expect plainer pictures, fewer kinds of them, "
            "and other figures than the README's. "
            + (searched or "--data-dir names a folder that has all of it."),
            file=sys.stderr,
        )
        return sample


def named_folder(folder: str | None) -> Path | None:
    """Where to look for data before a download: --data-dir, or else what GANS_DATA names, if either
    is given.

    Args:
        folder: what --data-dir names.

    Raises:
        UserError: it is not there, or cannot be read.
    """
    named = folder or os.environ.get("GANS_DATA")
    if not named:
        return None
    origin, place = "--data-dir" if folder else "GANS_DATA", Path(os.path.expanduser(named))
    if not os.path.isdir(place):
        raise UserError(f"{origin} {place}: there is no such folder")
    try:
        os.listdir(place)
    except OSError as error:
        raise UserError(f"{origin} {place}: cannot be read: {error.strerror}") from error
    return place


def scale(images: np.ndarray) -> np.ndarray:
    """Images uint8, 0 to 255, as float32 in [-1, 1], the range of the networks."""
    return images.astype(np.float32) / 127.5 - 1


def class_names(name: str) -> tuple[str, ...]:
    """What the labels 0 to 9 of a data set stand for; a UserError if there is none of that name."""
    _check_name(name)
    return CLASS_NAMES[NAMES[name]]


def _check_name(name: str) -> None:
    if name not in NAMES:
        raise UserError(f"there is no data set {name}; choose from {', '.join(NAMES)}")


def _fashion_sample() -> Dataset:
    arrays = formats.read_npz("fashion_mnist", SAMPLES / "fashion_mnist.npz")
    return Dataset("fashion_mnist", FASHION_SAMPLE, *arrays)


def _from_folder(name: str, folder: Path) -> Dataset | None:
    spellings = (name, name.replace("_", "-"))
    subfolders = [folder / spelling for spelling in spellings]
    for place in [folder, *subfolders]:
        for npz in [place / f"{spelling}.npz" for spelling in spellings]:
            if os.path.isfile(npz):
                return Dataset(name, str(npz), *formats.read_npz(name, npz))
    for place in [*subfolders, folder]:
        if any(place.glob("*-ubyte*")):
            return Dataset(name, str(place), *formats.read_idx(name, place))
    return None


def _fashion_from_keras() -> Dataset:
    """Fashion-MNIST from Keras' cache, or downloaded into it by Keras."""
    import keras  # here, as it takes seconds, and all other data does without

    with socket_timeout(TIMEOUT):
        for file in formats.IDX_FILES:
            path = keras.utils.get_file(
                f"{file}.gz", f"{ORIGIN}{file}.gz", cache_subdir="datasets/fashion-mnist"
            )
    folder = Path(path).parent
    try:
        return Dataset("fashion_mnist", str(folder), *formats.read_idx("fashion_mnist", folder))
    except UserError as error:  # a download that was killed leaves half a file
        raise UserError(f"{error}; delete it, and it is downloaded again") from error


@contextlib.contextmanager
def socket_timeout(seconds: float) -> Iterator[None]:
    """Within it, connections that stand still for so long are given up."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
