"""Two domains of images: from a folder, a zip, the paper's sets, or two classes of a labelled set.

A folder or zip holds trainA, trainB, testA and testB, itself or in one folder of its own, as the
data sets of the paper do.
"""

import dataclasses
import hashlib
import os
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from chapter09_cyclegan import download
from common import UserError, data
from common.photos import PhotoFiles, open_files, resize

PARTS = ("trainA", "trainB", "testA", "testB")
MEMORY = 2 * 2**30  # bytes of decoded training images; more are read from disk as they are needed


@dataclasses.dataclass(frozen=True)
class Domains:
    """Images uint8, n×size×size×channels: arrays, or `StreamedPhotos` where they are many."""

    source: str
    names: tuple[str, str]  # "A" and "B", or two classes' names
    train_A: Any
    train_B: Any
    test_A: np.ndarray
    test_B: np.ndarray
    sha256: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.train_A.shape[1:]

    def describe(self) -> dict[str, Any]:
        """What a run's config.json says of its data; equal hashes mean equal data."""
        return {
            "source": self.source,
            "training_images": [len(self.train_A), len(self.train_B)],
            "test_images": [len(self.test_A), len(self.test_B)],
            "sha256": self.sha256,
        }

    def check_batch_size(self, batch_size: int) -> None:
        """Raises a UserError if a domain has fewer training images than a batch needs."""
        for name, part in zip(self.names, (self.train_A, self.train_B), strict=True):
            if batch_size > len(part):
                raise UserError(
                    f"--batch-size {batch_size} is more than the {len(part)} training images of "
                    f"{name}"
                )


def is_grey(name: str) -> bool:
    """Whether a data set has one channel: classes of MNIST or Fashion-MNIST, and no photos."""
    return name.split(":")[0] in data.NAMES


def load_domains(
    name: str,
    size: int,
    folder: str | None = None,
    validation_images: int = 0,
    memory: int = MEMORY,
) -> Domains:
    """Finds two domains, looks at every image, and keeps them decoded, if memory allows.

    Args:
        name: SET:CLASS:CLASS, as fashion_sample:sneaker:ankle-boot; one of the paper's sets, as
            apple2orange; or the path of a folder or zip.
        size: height and width that all images are brought to, whatever their shape.
        folder: the only place to look for a named set; None for the folder that the environment's
            GANS_DATA names, then Keras' cache, then a download.
        validation_images: if not 0, so many of the last training images of each domain take the
            test images' place.
        memory: bytes; if the training images need more, they are read from disk in training.

    Raises:
        UserError: there is no such data, it cannot be downloaded, a domain is empty, an image is
            broken, or the zip is.
    """
    if is_grey(name):
        return _two_classes(name, size, folder, validation_images)
    files = _find(name, folder)
    parts = _parts(files)
    if validation_images:
        for domain in "AB":
            held = _hold_out(parts["train" + domain], validation_images, f"train{domain}")
            parts["train" + domain], parts["test" + domain] = held
    keep = sum(len(parts[part]) for part in PARTS[:2]) * size * size * 3 <= memory
    print(f"reading {sum(map(len, parts.values()))} images from {files.path}")
    found, digest = {}, hashlib.sha256()
    for part in PARTS:
        found[part], part_digest = files.read(parts[part], size, keep or part.startswith("test"))
        digest.update(f"{part} {len(parts[part])} ".encode() + part_digest)
    return Domains(
        source=str(files.path),
        names=("A", "B"),
        train_A=found["trainA"],
        train_B=found["trainB"],
        test_A=found["testA"],
        test_B=found["testB"],
        sha256=digest.hexdigest(),
    )


def _find(name: str, folder: str | None) -> PhotoFiles:
    """The files of a data set that is named, or of a path."""
    if name not in download.NAMES:
        path = Path(os.path.expanduser(folder or name))  # photos may have moved
        if not os.path.exists(path):
            raise UserError(
                f"--data-dir {folder}: is no folder and no zip"
                if folder
                else f"--dataset {name}: is no folder, no zip, none of {', '.join(download.NAMES)},"
                f" and not SET:CLASS:CLASS with a SET of {', '.join(data.NAMES)}"
            )
        return _open(path)
    if place := data.named_folder(folder):
        for path in (place / name, place / f"{name}.zip"):
            if os.path.exists(path):
                return _open(path)
    if folder:
        raise UserError(f"--data-dir {place}: holds neither a folder {name} nor {name}.zip")
    return _open(download.fetch(f"{download.ORIGIN}{name}.zip", download.cached(name)))


def _open(path: Path) -> PhotoFiles:
    return open_files(path, [f"{depth}{part}/*" for part in PARTS for depth in ("", "*/")])


def _parts(files: PhotoFiles) -> dict[str, list[str]]:
    """The names of the image files by part.

    Raises:
        UserError: a part is empty or not there, or there are several data sets.
    """
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    homes = set()
    for name in files.names:
        folder = PurePosixPath(name).parent
        if folder.name in PARTS:
            homes.add(folder.parent)
            parts[folder.name].append(name)
    if len(homes) > 1:
        listed = ", ".join("its own" if home.name == "" else str(home) for home in sorted(homes))
        raise UserError(f"{files.path}: holds several data sets: {listed}")
    missing = ", ".join(part for part in PARTS if not parts[part])
    if missing:
        raise UserError(
            f"{files.path}: has no images in {missing}; it must hold {', '.join(PARTS)}"
        )
    return parts


def _hold_out(train, count: int, name: str):
    """Training images, or their names, without the last so many; and these."""
    if count >= len(train):
        raise UserError(f"--validation-images {count}: there are {len(train)} of {name}")
    return train[:-count], train[-count:]


def _two_classes(name: str, size: int, folder: str | None, validation_images: int) -> Domains:
    """Two classes of MNIST or Fashion-MNIST, grey."""
    set_name, *chosen = name.split(":")
    names = data.class_names(set_name)
    if len(chosen) != 2 or chosen[0] == chosen[1] or not set(chosen) <= set(names):
        raise UserError(
            f"--dataset {name}: must be {set_name}:CLASS:CLASS, with two classes of "
            f"{', '.join(names)}; a folder of that name is ./{set_name}"
        )
    dataset = data.load(set_name, folder)
    parts, digest = {}, hashlib.sha256()
    for domain, class_name in zip("AB", chosen, strict=True):
        label = names.index(class_name)
        train = dataset.x_train[dataset.y_train == label]
        test = dataset.x_test[dataset.y_test == label]
        if validation_images:
            train, test = _hold_out(train, validation_images, class_name)
        parts["train" + domain], parts["test" + domain] = train, test
    for part in PARTS:
        digest.update(f"{part} {len(parts[part])} ".encode() + parts[part].tobytes())
        some = range(0, len(parts[part]), 500)  # at a time: they are float32 in between
        parts[part] = np.concatenate([resize(parts[part][i : i + 500], size, size) for i in some])
    return Domains(
        source=f"{dataset.source}: {name}",
        names=(chosen[0], chosen[1]),
        train_A=parts["trainA"],
        train_B=parts["trainB"],
        test_A=parts["testA"],
        test_B=parts["testB"],
        sha256=digest.hexdigest(),
    )
