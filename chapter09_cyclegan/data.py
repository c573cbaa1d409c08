"""Two domains of images: from a folder, a zip, the paper's sets, or two classes of a labelled set.

A folder or zip holds trainA, trainB, testA and testB, itself or in one folder of its own, as the
data sets of the paper do. Zips are read, never unpacked.
"""

import contextlib
import dataclasses
import hashlib
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
import tensorflow as tf

from chapter09_cyclegan import download
from common import UserError, data, images

PARTS = ("trainA", "trainB", "testA", "testB")
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
THREADS = 4  # that decode; each may hold a photo of many megapixels
LARGEST_FILE = 200 * 2**20  # bytes of an image in a zip, which might unpack to anything
MEMORY = 2 * 2**30  # bytes of decoded training images; more are read from disk as they are needed


@dataclasses.dataclass(frozen=True)
class Domains:
    """Images uint8, n×size×size×channels: arrays, or `Files` that give them by their index."""

    source: str
    names: tuple[str, str]  # "A" and "B", or two classes' names
    train_A: object
    train_B: object
    test_A: object
    test_B: object
    sha256: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.train_A.shape[1:]

    def describe(self) -> dict:
        """What a run's config.json says of its data; equal hashes mean equal data."""
        return {
            "source": self.source,
            "training_images": [len(self.train_A), len(self.train_B)],
            "test_images": [len(self.test_A), len(self.test_B)],
            "sha256": self.sha256,
        }


def load(
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
        folder: where to look for named sets before Keras' cache; the environment's GANS_DATA
            names another.
        validation_images: if not 0, so many of the last training images of each domain take the
            test images' place.
        memory: bytes; if the training images need more, they are read from disk in training.

    Raises:
        UserError: there is no such data, it cannot be downloaded, a domain is empty, an image is
            broken, or the zip is.
    """
    if name.split(":")[0] in data.NAMES:
        return _two_classes(name, size, folder, validation_images)
    files = _find(name, folder)
    parts = dict(files.parts)
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
    return Domains(str(files.path), ("A", "B"), *found.values(), digest.hexdigest())


@contextlib.contextmanager
def reading_errors(domains: Domains):
    """Turns TensorFlow's error about an image that cannot be read any more into ours."""
    try:
        yield
    except tf.errors.OpError:
        for part in (domains.train_A, domains.train_B):
            if isinstance(part, Streamed) and part.error:
                raise part.error from None
        raise


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Brings images, uint8, (n×)h×w×channels, to a size; smooths what it makes smaller."""
    resized = tf.image.resize(pixels, (height, width), antialias=True)
    return np.clip(np.round(resized.numpy()), 0, 255).astype(np.uint8)


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image, and not of one that a Mac or a camera hides."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES and not Path(name).name.startswith(".")


class Streamed:
    """Images that are read when they are asked for: `streamed[indices]` is n×size×size×3, uint8."""

    def __init__(self, files: "Files", names: list[str], size: int):
        self.files, self.names = files, names
        self.shape = (len(names), size, size, 3)
        self.error = None  # that reading ended in; TensorFlow passes on no more than its text

    def __len__(self):
        return len(self.names)

    def __getitem__(self, indices) -> np.ndarray:
        flat = np.reshape(indices, -1)
        try:
            pictures = [self.files.read_image(self.names[i], self.shape[1])[0] for i in flat]
        except UserError as error:
            self.error = error
            raise
        return np.reshape(pictures, (*np.shape(indices), *self.shape[1:]))


class Files:
    """The image files of a folder or a zip.

    Args:
        path: the folder or zip.
        names: of all files in it, relative, with / between folders.
        read_bytes: gives a file's bytes by its name.

    Raises:
        UserError: a name would leave the folder, or one of the four parts is empty or not there.
    """

    def __init__(self, path: Path, names, read_bytes):
        self.path = path
        self.read_bytes = read_bytes
        self.parts = {part: [] for part in PARTS}
        homes = set()
        for name in sorted(set(names)):
            place = PurePosixPath(name)
            if place.is_absolute() or ".." in place.parts:
                raise UserError(f"{path}: is refused, as {name} would lie outside of its folder")
            *home, part, _ = ("", "", *place.parts)
            if part in PARTS and is_image(name) and "__MACOSX" not in place.parts:
                homes.add("/".join(filter(None, home)))
                self.parts[part].append(name)
        if len(homes) > 1:
            listed = ", ".join(home or "its own" for home in sorted(homes))
            raise UserError(f"{path}: holds several data sets: {listed}")
        missing = [part for part in PARTS if not self.parts[part]]
        if missing:
            raise UserError(
                f"{path}: has no images in {', '.join(missing)}; it must hold {', '.join(PARTS)}"
            )

    def read_image(self, name: str, size: int) -> tuple[np.ndarray, bytes]:
        """One image, uint8, size×size×3, and its file's hash."""
        called = f"{self.path}/{name}"
        try:
            raw = self.read_bytes(name)
        except download.ZIP_ERRORS as error:
            raise UserError(f"{called}: cannot be read: {error}") from error
        return resize(images.read_photo(raw, called), size, size), hashlib.sha256(raw).digest()

    def read(self, names: list[str], size: int, keep: bool):
        """Decodes images, so that a broken one is found now and not in the middle of training.

        Args:
            keep: keep them in memory.

        Returns:
            The images, n×size×size×3, or what reads them, and the files' hashes.
        """
        kept = np.empty((len(names), size, size, 3), np.uint8) if keep else None
        digests = bytearray()
        # Pillow warns of what cameras write into files, and decodes without holding Python's lock.
        with warnings.catch_warnings(action="ignore"), ThreadPoolExecutor(THREADS) as pool:
            decoded = pool.map(lambda name: self.read_image(name, size), names)
            for i, (pixels, digest) in enumerate(decoded):
                digests += digest
                if keep:
                    kept[i] = pixels
        return (kept if keep else Streamed(self, names, size)), bytes(digests)


def _find(name, folder):
    """The files of a data set that is named, or of a path."""
    if name not in download.NAMES:
        path = Path(name).expanduser()
        if not path.exists():
            raise UserError(
                f"--dataset {name}: is no folder, no zip, none of {', '.join(download.NAMES)}, and "
                f"not SET:CLASS:CLASS with a SET of {', '.join(data.NAMES)}"
            )
        if folder:
            raise UserError(f"--data-dir has no part in --dataset {name}, which is a path")
        return _open(path)
    for origin, place in data.places(folder):
        for path in (place / name, place / f"{name}.zip"):
            if path.exists():
                return _open(path)
        if folder:
            raise UserError(f"{origin} {place}: holds neither a folder {name} nor {name}.zip")
    return _open(download.fetch(f"{download.ORIGIN}{name}.zip", download.cached(name)))


def _open(path):
    if path.is_dir():
        found = [f for part in PARTS for depth in ("", "*/") for f in path.glob(f"{depth}{part}/*")]
        names = [file.relative_to(path).as_posix() for file in found]
        return Files(path, names, lambda name: (path / name).read_bytes())
    try:
        archive = zipfile.ZipFile(path)
    except download.ZIP_ERRORS as error:
        raise UserError(f"{path}: is neither a folder nor a whole zip: {error}") from error

    def read_bytes(name):
        size = archive.getinfo(name).file_size
        if size > LARGEST_FILE:
            raise OSError(f"it has {size:,} bytes")
        return archive.read(name)

    return Files(path, archive.namelist(), read_bytes)


def _hold_out(train, count, name):
    """Training images, or their names, without the last so many; and these."""
    if count >= len(train):
        raise UserError(f"--validation-images {count}: there are {len(train)} of {name}")
    return train[:-count], train[-count:]


def _two_classes(name, size, folder, validation_images):
    """Two classes of MNIST or Fashion-MNIST, grey."""
    set_name, *chosen = name.split(":")
    names = data.class_names(set_name)
    if len(chosen) != 2 or chosen[0] == chosen[1] or not set(chosen) <= set(names):
        raise UserError(
            f"--dataset {name}: must be {set_name}:CLASS:CLASS, with two classes of "
            f"{', '.join(names)}"
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
    found = [parts[part] for part in PARTS]
    return Domains(f"{dataset.source}: {name}", tuple(chosen), *found, digest.hexdigest())
