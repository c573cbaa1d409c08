"""Translates pictures of your own with the generators of a finished run of chapter 9.

    python chapter09_cyclegan/translate.py latest --direction AtoB apple.jpg     one picture
    python chapter09_cyclegan/translate.py 3 --direction BtoA my_oranges/        a folder, run 3

The results go into the run's folder, under translated/, each time into a new one; contact_sheet.png
shows each original with its translation to the right.
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
from common import UserError, cli, folders, runs
from common.cli import POSITIONAL
from common.files import shortened
from common.settings import Frozen


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
    settings = cli.read(__doc__, Settings, argv)
    run = runs.find_trained("chapter09_cyclegan", train.Settings, settings.run)

    cli.setup(seed=0)
    from chapter09_cyclegan.domains import is_grey

    files = find_images(settings.paths)
    size = settings.size or run.config.size
    grey = is_grey(run.config.dataset)
    shape = (None, None, None, 1 if grey else 3)
    generator = run.load_model(f"g_{settings.direction.replace('to', '')}", [shape], [shape])

    originals = read_originals(files, size, grey)
    translations = [translate(generator, original) for original in originals]
    folder = folders.make_next(run.path / "translated")
    save(run, f"translated/{folder.name}", files, originals, translations, max(size, 96))
    print(f"{len(files)} translated into {folder}")
    return folder


def find_images(paths: list[str]) -> list[Path]:
    """The image files that are named, and those in the folders that are named.

    Raises:
        UserError: there is no such file, or no image in a folder.
    """
    from chapter09_cyclegan.photos import is_image

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


def read_originals(files: list[Path], shorter: int, grey: bool) -> list[np.ndarray]:
    """Images, float in [-1, 1], height×width×channels (1 if grey, else 3).

    Args:
        shorter: pixels that the shorter side of each is brought to.

    Raises:
        UserError: a file is no image, or far longer than it is wide.
    """
    import tensorflow as tf

    from chapter09_cyclegan.photos import resize
    from common import images
    from common.data import scale

    originals = []
    for file in files:
        photo = images.read_photo(file, str(file))
        if max(photo.shape[:2]) > 20 * min(photo.shape[:2]):
            raise UserError(f"{file}: is more than 20 times as long as it is wide")
        photo = resize(photo, *fit(photo.shape[:2], shorter))
        originals.append(scale(tf.image.rgb_to_grayscale(photo).numpy() if grey else photo))
    return originals


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


def save(run, folder: str, files: list[Path], originals, translations, side: int) -> None:
    """Writes the translations into a folder of the run's, and a contact sheet.

    Args:
        files: that the translations are named after.
        side: pixels of a square of the contact sheet.
    """
    from common import images

    names = {"contact_sheet"}
    for file, translated in zip(files, translations, strict=True):
        stem = shortened(file.stem, 200)
        name, number = stem, 1
        while name.casefold() in names:  # of the same name, in another folder or format
            number += 1
            name = f"{stem}-{number}"
        names.add(name.casefold())
        pixels = images.grid(translated[np.newaxis], columns=1, zoom=1, gap=0)
        run.write(f"{folder}/{name}.png", images.png(pixels))
    sheet = contact_sheet(originals, translations, side)
    page = images.grid(sheet, columns=2 if len(files) < 4 else 6, zoom=1, gap=4)
    run.write(f"{folder}/contact_sheet.png", images.png(page))


def contact_sheet(originals, translations, side: int) -> np.ndarray:
    """Pairs of images, float in [-1, 1], each pair side by side: for `images.grid`, 2 columns.

    Each is brought into a white square of side×side.
    """
    import tensorflow as tf

    page = np.ones((2 * len(originals), side, side, originals[0].shape[-1]), np.float32)
    for i, pair in enumerate(zip(originals, translations, strict=True)):
        for j, image in enumerate(pair):
            scale = side / max(image.shape[:2])
            height, width = (max(1, round(length * scale)) for length in image.shape[:2])
            top, left = (side - height) // 2, (side - width) // 2
            smaller = tf.image.resize(image, (height, width), antialias=True)
            page[2 * i + j, top : top + height, left : left + width] = smaller
    return page


if __name__ == "__main__":
    cli.run(main)
