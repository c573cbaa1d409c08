"""Translates pictures of your own with the generators of a finished run of chapter 9.

    python chapter09_cyclegan/translate.py latest --direction AtoB apple.jpg     one picture
    python chapter09_cyclegan/translate.py 3 --direction BtoA my_oranges/        a folder, run 3

The results go into the run's folder, under translated/, each time into a new one; contact_sheet.png
shows each original, the first 60 at most, with its translation to the right.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from chapter09_cyclegan import train
from common import UserError, cli, flags, folders, runs
from common.files import shortened
from common.flags import POSITIONAL
from common.settings import Frozen

# Pixels of a translation. For each, the U-Net's activations take several hundred bytes, and the
# paper's ResNet keeps several tensors of 64 float32 numbers.
LARGEST = 4_000_000
SHEET = 60  # originals on the contact sheet, at most: it is held in memory as a whole


class Settings(Frozen):
    """Which run to translate with, and what."""

    run: Annotated[str, POSITIONAL]
    """a finished run, its folder or number, or latest"""
    paths: Annotated[list[str], POSITIONAL]
    """an image, or a folder of images"""
    direction: Literal["AtoB", "BtoA"]
    """from which domain to which"""
    size: Annotated[int, Field(ge=32, le=4096)] | None = None
    """pixels of the shorter side to translate at, 32 to 4096 (default: what the run was trained
    at; it knows things of that size)"""


def main(argv: list[str] | None = None) -> Path:
    settings = flags.read(__doc__, Settings, argv)
    run = runs.find_trained("chapter09_cyclegan", train.Settings, settings.run)

    cli.setup(seed=0)
    from chapter09_cyclegan.domains import is_grey
    from common import images

    files = find_images(settings.paths)
    size = settings.size or run.config.size
    grey = is_grey(run.config.dataset)
    images_of_any_size = (None, None, None, 1 if grey else 3)
    network = "g_AB" if settings.direction == "AtoB" else "g_BA"
    generator = run.load_model(network, [images_of_any_size], [images_of_any_size])

    shapes = [check_photo(file, size) for file in files]
    folder = folders.make_next(run.path / "translated")
    side = min(max(size, 96), 256)  # of a square of the contact sheet
    names = picture_names(files)
    pairs: list[np.ndarray] = []
    for file, shape, name in zip(files, shapes, names, strict=True):
        original = read_original(file, shape, grey)
        translated = translate(generator, original)
        pixels = images.grid(translated[np.newaxis], columns=1, zoom=1, gap=0)
        run.write(f"translated/{folder.name}/{name}.png", images.png(pixels))
        if len(pairs) < 2 * SHEET:
            pairs += [in_square(original, side), in_square(translated, side)]
    page = images.grid(np.stack(pairs), columns=2 if len(files) < 4 else 6, zoom=1, gap=4)
    run.write(f"translated/{folder.name}/contact_sheet.png", images.png(page))
    print(f"{len(files)} translated into {folder}")
    return folder


def find_images(paths: list[str]) -> list[Path]:
    """The image files that are named, and those in the folders that are named.

    Raises:
        UserError: there is no such file, or no image in a folder.
    """
    from common.photos import is_image

    found = []
    for path in map(Path, paths):
        if os.path.isdir(path):
            try:
                names = sorted(filter(is_image, os.listdir(path)))
            except OSError as error:
                raise UserError(f"{path}: cannot be read: {error.strerror}") from error
            inside = [path / name for name in names if os.path.isfile(path / name)]
            if not inside:
                raise UserError(f"{path}: holds no images")
            found += inside
        elif os.path.isfile(path):
            found.append(path)
        else:
            raise UserError(f"{path}: there is no such file")
    return found


def check_photo(file: Path, shorter: int) -> tuple[int, int]:
    """Height and width that a photo is brought to.

    Args:
        shorter: pixels of its shorter side.

    Raises:
        UserError: the file is no image, far longer than it is wide, or too large then.
    """
    from common import images

    shape = images.read_photo(file, str(file)).shape[:2]
    if max(shape) > 20 * min(shape):
        raise UserError(f"{file}: is more than 20 times as long as it is wide")
    height, width = fit(shape, shorter)
    if height * width > LARGEST:
        raise UserError(
            f"{file}: would be translated at {height}×{width} pixels, for which memory may not do; "
            "give a smaller --size"
        )
    return height, width


def read_original(file: Path, shape: tuple[int, int], grey: bool) -> np.ndarray:
    """An image of this height and width, float in [-1, 1], h×w×channels (1 if grey, else 3)."""
    import tensorflow as tf

    from common import images
    from common.data import scale
    from common.photos import resize

    photo = resize(images.read_photo(file, str(file)), *shape)
    return scale(tf.image.rgb_to_grayscale(photo).numpy() if grey else photo)


def fit(shape: tuple[int, int], shorter: int) -> tuple[int, int]:
    """Height and width of an image of this shape when its shorter side has so many pixels."""
    height, width = shape
    scale = shorter / min(height, width)
    return round(height * scale), round(width * scale)


def translate(generator, image: np.ndarray) -> np.ndarray:
    """One image, float in [-1, 1], height×width×channels, of any size from 32×32 on, translated.

    The generator takes multiples of 16: the borders are mirrored up to there, and cut off again.
    """
    height, width, _ = image.shape
    padded = np.pad(image, ((0, -height % 16), (0, -width % 16), (0, 0)), mode="symmetric")
    return np.asarray(generator(padded[np.newaxis], training=False))[0, :height, :width]


def picture_names(files: list[Path]) -> list[str]:
    """A name for each translation, after its original, and no two alike."""
    names: list[str] = []
    taken = {"contact_sheet"}
    for file in files:
        stem = shortened(file.stem, 200)
        name, number = stem, 1
        while name.casefold() in taken:  # of the same name, in another folder or format
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


def in_square(image: np.ndarray, side: int) -> np.ndarray:
    """An image, float in [-1, 1], brought into a white square of side×side."""
    import tensorflow as tf

    square = np.ones((side, side, image.shape[-1]), np.float32)
    scale = side / max(image.shape[:2])
    height, width = (max(1, round(length * scale)) for length in image.shape[:2])
    top, left = (side - height) // 2, (side - width) // 2
    smaller = tf.image.resize(image, (height, width), antialias=True)
    square[top : top + height, left : left + width] = smaller
    return square


if __name__ == "__main__":
    cli.run(main)
