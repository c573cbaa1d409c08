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


def load(config) -> tuple[data.Dataset, tuple[str, ...]]:
    """The images that `--dataset` names, and the names of the classes.

    Of a folder or zip, the classes are the folders that images lie in, by name. If these lie in
    `train` and `test`, that says what is trained on; otherwise every fourth image, in an order that
    is shuffled once and for all, is for testing.

    Args:
        config: the settings of augmentation.py.

    Returns:
        The data set, images uint8, n×height×width×channels, and its classes' names.

    Raises:
        UserError: there is no such data, there are fewer than two classes, a class has too few
            images, or one of them is broken.
    """
    if config.dataset in data.NAMES:
        dataset = data.load(config.dataset, config.data_dir, config.validation_images)
        names = data.class_names(config.dataset)
    else:
        dataset, names = _from_photos(config)
        if config.validation_images:
            dataset = dataset.hold_out(config.validation_images)
    _check_counts(dataset, names, max(config.images))
    return dataset, names


def _check_counts(dataset: data.Dataset, names: tuple[str, ...], most: int) -> None:
    for label, name in enumerate(names):
        train, test = (int(np.sum(y == label)) for y in (dataset.y_train, dataset.y_test))
        if train < most:
            raise UserError(
                f"--images {most}: there are {train} training images of {name} in {dataset.source}"
            )
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
    names = tuple(sorted({_class_of(name) for name in parts["train"]}))
    if len(names) < 2:
        raise UserError(
            f"{path}: has {len(names)} folders with images; a folder for each of two or more "
            "classes is wanted, itself or in train and test"
        )
    unknown = sorted({_class_of(name) for name in parts["test"]} - set(names))
    if unknown:
        raise UserError(f"{path}: there are no training images of {unknown[0]}, which is in test")
    counts = " and ".join(f"{len(parts[part])} {part} images" for part in PARTS)
    print(f"reading {counts} from {path}")
    digest, arrays = hashlib.sha256(), {}
    for part in PARTS:
        photos, hashes = files.read(parts[part], config.size, keep=True)
        digest.update(f"{part} {len(photos)} ".encode() + hashes)
        arrays[f"x_{part}"] = photos if config.color else _grey(photos)
        labels = [names.index(_class_of(name)) for name in parts[part]]
        arrays[f"y_{part}"] = np.array(labels, np.int32)
    if twice := _in_both(arrays["x_train"], arrays["x_test"]):
        print(f"{twice} test images are also training images; their accuracy says little")
    return data.Dataset("photos", str(path), **arrays), names


def _in_both(train: np.ndarray, test: np.ndarray) -> int:
    """How many test images are, pixel by pixel, training images."""
    known = {image.tobytes() for image in train}
    return sum(image.tobytes() in known for image in test)


def divide(files: PhotoFiles) -> dict[str, list[str]]:
    """The names of training and of test images, shuffled; prints by what they are divided.

    Raises:
        UserError: images lie in no folder, or there are none of one of the two parts.
    """
    loose = [name for name in files.names if len(PurePosixPath(name).parts) < 2]
    if loose:
        raise UserError(f"{files.path}: {loose[0]} lies in no class's folder")
    shuffled = [files.names[i] for i in np.random.default_rng(0).permutation(len(files.names))]
    in_parts = [name for name in shuffled if _part_of(name) in PARTS]
    if in_parts:
        parts = {part: [n for n in in_parts if _part_of(n) == part] for part in PARTS}
        if missing := [part for part in PARTS if not parts[part]]:
            raise UserError(f"{files.path}: has no images of classes in {missing[0]}")
        if others := len(files.names) - len(in_parts):
            print(f"{others} images lie in neither train nor test, and are left out")
        return parts
    print("there are no folders train and test: every fourth image of a class is for testing")
    parts, seen = {"train": [], "test": []}, Counter[str]()
    for name in shuffled:
        seen[_class_of(name)] += 1
        parts["test" if seen[_class_of(name)] % TEST_SHARE == 0 else "train"].append(name)
    return parts


def _class_of(name: str) -> str:
    """The folder that an image lies in."""
    return PurePosixPath(name).parts[-2]


def _part_of(name: str) -> str:
    """The folder around that of the class, in small letters; "" if there is none."""
    return ("", "", *PurePosixPath(name).parts)[-3].lower()


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
