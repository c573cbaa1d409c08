"""Photos of a folder or a zip: listed, checked, decoded, and brought to one size.

Zips are read, never unpacked.
"""

import contextlib
import hashlib
import os
import zipfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
import tensorflow as tf

from common import UserError, images
from common.files import foreign

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
THREADS = 4  # that decode; each may hold a photo of many megapixels
LARGEST_FILE = 200 * 2**20  # bytes of an image's file; in a zip, it might unpack to anything


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image, and not of one that a Mac or a camera hides."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES and not Path(name).name.startswith(".")


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Brings images, uint8, (n×)h×w×channels, to a size; smooths where they become smaller."""
    if pixels.shape[-3:-1] == (height, width):
        return pixels
    resized = tf.image.resize(pixels, (height, width), antialias=True)
    return np.clip(np.round(resized.numpy()), 0, 255).astype(np.uint8)


class TooSmall(UserError):
    """A photo has fewer pixels than it is to have."""


class PhotoFiles:
    """The image files of a folder or a zip.

    Args:
        path: the folder or zip.
        names: of all files in it, relative, with / between folders.
        read_bytes: gives a file's bytes by its name.

    Attributes:
        names: of the image files, sorted.

    Raises:
        UserError: a name would leave the folder.
    """

    enlarge = True  # images smaller than they are to be; otherwise these are refused

    def __init__(self, path: Path, names: Iterable[str], read_bytes: Callable[[str], bytes]):
        self.path = path
        self.read_bytes = read_bytes
        self.names = []
        for name in sorted(set(names)):
            place = PurePosixPath(name)
            if place.is_absolute() or ".." in place.parts:
                raise UserError(f"{path}: is refused, as {name} would lie outside of its folder")
            if is_image(name) and "__MACOSX" not in place.parts:
                self.names.append(name)

    def read_image(self, name: str, size: int) -> tuple[np.ndarray, bytes]:
        """One image, uint8, size×size×3, and its file's hash.

        Raises:
            UserError: it cannot be read, is broken, or too small.
        """
        full_name = f"{self.path}/{name}"
        with foreign(full_name):
            raw = self.read_bytes(name)
        photo = images.read_photo(raw, full_name)
        height, width, _ = photo.shape
        if min(height, width) < size and not self.enlarge:
            raise TooSmall(f"{full_name}: has {width}×{height} pixels, fewer than --size {size}")
        return resize(photo, size, size), hashlib.sha256(raw).digest()

    def read(self, names: Sequence[str], size: int, keep: bool):
        """Decodes images, so that a broken one is found now and not in the middle of training.

        Args:
            keep: keep them in memory.

        Returns:
            The images, n×size×size×3, or `StreamedPhotos`; and the files' hashes.

        Raises:
            UserError: one cannot be read or is broken, or some are too small.
        """
        kept = np.empty((len(names), size, size, 3), np.uint8) if keep else None
        digests = bytearray()
        too_small = []

        def look(name):
            try:
                return self.read_image(name, size)
            except TooSmall as error:
                return error

        with ThreadPoolExecutor(THREADS) as pool:  # Pillow decodes without holding Python's lock
            for i, found in enumerate(pool.map(look, names)):
                if isinstance(found, TooSmall):
                    too_small.append(found)
                    continue
                pixels, digest = found
                digests += digest
                if kept is not None:
                    kept[i] = pixels
        if too_small:
            more = len(too_small) - 1
            raise UserError(f"{too_small[0]}{f'; {more} more are too small, too' if more else ''}")
        return (StreamedPhotos(self, names, size) if kept is None else kept), bytes(digests)


class StreamedPhotos:
    """Images that are read when they are asked for: `photos[indices]` is n×size×size×3, uint8."""

    def __init__(self, files: PhotoFiles, names: Sequence[str], size: int):
        self.files, self.names = files, names
        self.shape = (len(names), size, size, 3)
        self.pool = ThreadPoolExecutor(THREADS)  # Pillow decodes without holding Python's lock
        self.expected: dict[int, Future] = {}  # that are being read, by index
        # What reading ended in; TensorFlow passes on no more than its text.
        self.error: UserError | None = None

    def __len__(self):
        return len(self.names)

    def __getitem__(self, indices) -> np.ndarray:
        flat = np.reshape(indices, -1)
        try:
            expected, self.expected = self.expected, {}
            reading = [expected.get(int(i)) or self._begin(int(i)) for i in flat]
            decoded = [each.result() for each in reading]
        except UserError as error:
            self.error = error
            raise
        return np.reshape(decoded, (*np.shape(indices), *self.shape[1:]))

    def expect(self, indices) -> None:
        """Begins to read what will be asked for next, while the present images are trained on."""
        wanted = [int(i) for i in np.reshape(indices, -1)]
        self.expected = {i: self.expected.get(i) or self._begin(i) for i in wanted}

    def _begin(self, index: int) -> Future:
        return self.pool.submit(self._read, index)

    def _read(self, index: int) -> np.ndarray:
        return self.files.read_image(self.names[index], self.shape[1])[0]


@contextlib.contextmanager
def reading_errors(*sources):
    """Turns TensorFlow's error about an image that cannot be read any more into a UserError.

    Args:
        sources: what training reads: arrays, or `StreamedPhotos`.
    """
    try:
        yield
    except tf.errors.OpError:
        for part in sources:
            if isinstance(part, StreamedPhotos) and part.error:
                raise part.error from None
        raise


def open_files(path: Path, patterns: Sequence[str]) -> PhotoFiles:
    """The image files of a folder or a zip.

    Args:
        patterns: glob patterns of the files of a folder that are listed; of a zip, all files are.

    Raises:
        UserError: the path is neither a folder nor a whole zip, or a name would leave the folder.
    """
    if os.path.isdir(path):
        try:
            found = [file for pattern in patterns for file in path.glob(pattern)]
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error}") from error
        names = [file.relative_to(path).as_posix() for file in found]

        def read_file(name):
            file = path / name
            if not os.path.isfile(file):  # a device or a pipe might never end
                raise OSError("it is not a regular file")
            _check_length(file.stat().st_size)
            return file.read_bytes()

        return PhotoFiles(path, names, read_file)
    if not os.path.isfile(path):
        raise UserError(f"{path}: is neither a folder nor a zip")
    with foreign(path, "is neither a folder nor a whole zip"):
        archive = zipfile.ZipFile(path)

    def read_member(name):
        _check_length(archive.getinfo(name).file_size)
        return archive.read(name)

    return PhotoFiles(path, archive.namelist(), read_member)


def _check_length(length: int) -> None:
    if length > LARGEST_FILE:
        raise OSError(f"it has {length:,} bytes, and files of up to {LARGEST_FILE:,} are read")
