"""Images with labels: MNIST, Fashion-MNIST, or a folder or zip with a folder a class."""

import hashlib
import os
from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np

from common import UserError, data
from common.photos import PhotoFiles, open_files

TEST_SHARE = 4  # one in so many of a class's images is for testing, where none are set apart
PARTS = ("train", "test")


def load(config, name: str | None = None) -> tuple[data.Dataset, tuple[str, ...]]:
    """The images that `--dataset` names, and the names of the classes.

    Of a folder or zip, the classes are the folders in `train` and `test`, in capitals or not, by
    name. If there are none of these two, the classes are the first folders, but for those that are
    around all images; and every fourth image, in an order that is shuffled once and for all, is for
    testing. Images may lie deeper, as in a folder for each patient.

    Args:
        config: the settings of augmentation.py.
        name: of the data set, where it is not what `--dataset` names; see `Run.data_name`.

    Returns:
        The data set, images uint8, n×height×width×channels, and its classes' names.

    Raises:
        UserError: there is no such data, there are fewer than two classes, a class has too few
            images, or one of them is broken.
    """
    if config.dataset in data.NAMES:
        dataset = data.load(name or config.dataset, config.data_dir, config.validation_images)
        names = data.class_names(config.dataset)
    else:
        dataset, names = _from_photos(config)
        if config.validation_images:
            dataset = dataset.hold_out(config.validation_images)
    _check_counts(dataset, names, max(config.images), config.validation_images)
    return dataset, names


def _check_counts(dataset, names: tuple[str, ...], most: int, validation_images: int) -> None:
    for label, name in enumerate(names):
        train, test = (int(np.sum(y == label)) for y in (dataset.y_train, dataset.y_test))
        if train < most:
            raise UserError(
                f"--images {most}: there are {train} training images of {name} in {dataset.source}"
            )
        if test == 0 and validation_images:
            raise UserError(f"--validation-images {validation_images}: none of them is of {name}")
        if test == 0:
            raise UserError(f"{dataset.source}: has no test images of {name}")


def _from_photos(config) -> tuple[data.Dataset, tuple[str, ...]]:
    path = Path(os.path.expanduser(config.data_dir or config.dataset))  # photos may have moved
    if not os.path.exists(path):
        raise UserError(
            f"--data-dir {path}: is no folder and no zip"
            if config.data_dir
            else f"--dataset {path}: is no folder, no zip, and none of {', '.join(data.NAMES)}"
        )
    files = open_files(path, ["**/*"])
    parts = divide(files)
    names = tuple(sorted(set(parts["train"].values())))
    if len(names) < 2:
        raise UserError(
            f"{path}: has {len(names)} folders with images; a folder for each of two or more "
            "classes is wanted, itself or in train and test"
        )
    unknown = sorted(set(parts["test"].values()) - set(names))
    if unknown:
        raise UserError(f"{path}: there are no training images of {unknown[0]}, which is in test")
    counts = " and ".join(f"{len(parts[part])} {part} images" for part in PARTS)
    print(f"reading {counts} from {path}")
    digest, arrays = hashlib.sha256(), {}
    for part in PARTS:
        photos, hashes = files.read(list(parts[part]), config.size, keep=True)
        digest.update(f"{part} {len(photos)} ".encode() + hashes)
        arrays[f"x_{part}"] = photos if config.color else _grey(photos)
        labels = [names.index(name) for name in parts[part].values()]
        arrays[f"y_{part}"] = np.array(labels, np.int32)
    if twice := _in_both(arrays["x_train"], arrays["x_test"]):
        print(f"{twice} test images are also training images; their accuracy says little")
    return data.Dataset("photos", str(path), **arrays), names


def _in_both(train: np.ndarray, test: np.ndarray) -> int:
    """How many test images are, pixel by pixel, training images."""
    known = {image.tobytes() for image in train}
    return sum(image.tobytes() in known for image in test)


def divide(files: PhotoFiles) -> dict[str, dict[str, str]]:
    """The classes of training and of test images by the files' names, in an order that is shuffled.

    Prints by what they are divided.

    Raises:
        UserError: images lie in no class's folder, or there are none of one of the two parts.
    """
    placed = place(files)
    shuffled = [files.names[i] for i in np.random.default_rng(0).permutation(len(files.names))]
    parts: dict[str, dict[str, str]] = {part: {} for part in PARTS}
    if any(part for part, _ in placed.values()):
        for name in shuffled:
            part, class_name = placed[name]
            if part:
                parts[part][name] = class_name
        if missing := [part for part in PARTS if not parts[part]]:
            raise UserError(f"{files.path}: has no images of classes in {missing[0]}")
        if others := len(files.names) - sum(map(len, parts.values())):
            print(f"{others} images lie in neither train nor test, and are left out")
        return parts
    print("there are no folders train and test: every fourth image of a class is for testing")
    seen = Counter[str]()
    for name in shuffled:
        _, class_name = placed[name]
        seen[class_name] += 1
        parts["test" if seen[class_name] % TEST_SHARE == 0 else "train"][name] = class_name
    return parts


def place(files: PhotoFiles) -> dict[str, tuple[str, str]]:
    """Where each image belongs, by its file's name: "train", "test" or "", and its class.

    Raises:
        UserError: an image lies in no class's folder.
    """
    folders = {name: PurePosixPath(name).parts[:-1] for name in files.names}
    around = 0  # how many folders are around all images, as in many zips; these are no class
    while len({inside[: around + 1] for inside in folders.values()}) == 1 and all(
        len(inside) > around + 1 for inside in folders.values()
    ):
        around += 1
    placed = {}
    for name, inside in folders.items():
        number = next((i for i, folder in enumerate(inside) if folder.lower() in PARTS), None)
        part = "" if number is None else inside[number].lower()
        below = inside[around:] if number is None else inside[number + 1 :]
        if not below:
            raise UserError(f"{files.path}: {name} lies in no class's folder")
        placed[name] = (part, below[0])
    return placed


def _grey(photos: np.ndarray) -> np.ndarray:
    """RGB, n×height×width×3, to n×height×width×1."""
    return np.round(photos.mean(axis=-1, keepdims=True, dtype=np.float32)).astype(np.uint8)


def draw(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Indices of `count` images of each class, by the seed; fewer are the first of more.

    Args:
        labels: of all images, n, from 0.
    """
    random = np.random.default_rng(seed)
    classes = range(labels.max() + 1)
    return np.concatenate(
        [random.permutation(np.flatnonzero(labels == label))[:count] for label in classes]
    )
