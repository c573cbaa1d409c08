"""Translates pictures of your own with the generators of a finished run of chapter 9.

    python chapter09_cyclegan/translate.py latest --direction AtoB apple.jpg     one picture
    python chapter09_cyclegan/translate.py 3 --direction BtoA my_oranges/        a folder, run 3

The results go into the run's folder, under translated/, each time into a new one; contact_sheet.png
shows each original with its translation to the right.
"""

import sys
from pathlib import Path

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np

from common import UserError, cli


def build_parser():
    parser = cli.run_parser(__doc__, optional=False)
    parser.add_argument("paths", nargs="+", metavar="PATH", help="an image, or a folder of images")
    parser.add_argument(
        "--direction", required=True, choices=["AtoB", "BtoA"], help="from which domain to which"
    )
    parser.add_argument(
        "--size",
        type=cli.positive_int,
        metavar="N",
        help="pixels of the shorter side to translate at, at least 32 (default: what the run was "
        "trained at; it knows things of that size)",
    )
    return parser


def find(paths: list[str], is_image) -> list[Path]:
    """The image files that are named, and those in the folders that are.

    Args:
        is_image: tells by a file's name.

    Raises:
        UserError: there is no such file, or no image in a folder.
    """
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(f for f in path.iterdir() if is_image(f.name) and f.is_file())
            if not inside:
                raise UserError(f"{path}: holds no images")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise UserError(f"{path}: there is no such file")
    return found


def fit(shape: tuple[int, int], shorter: int) -> tuple[int, int]:
    """Height and width of an image of this shape when its shorter side has so many pixels."""
    height, width = shape
    scale = shorter / min(height, width)
    return round(height * scale), round(width * scale)


def translate(generator, picture: np.ndarray) -> np.ndarray:
    """One image, float in [-1, 1], height×width×channels, of any size from 32×32 on, translated.

    The generator takes multiples of 16: the borders are mirrored up to there, and cut off again.
    """
    height, width, _ = picture.shape
    padded = np.pad(picture, ((0, -height % 16), (0, -width % 16), (0, 0)), mode="symmetric")
    return np.asarray(generator(padded[np.newaxis], training=False))[0, :height, :width]


def contact_sheet(originals, translations, side: int) -> np.ndarray:
    """Pairs of images, float in [-1, 1], each pair side by side: for `images.grid`, 2 columns.

    Each is brought into a white square of side×side.
    """
    import tensorflow as tf

    page = np.ones((2 * len(originals), side, side, originals[0].shape[-1]), np.float32)
    for i, pair in enumerate(zip(originals, translations, strict=True)):
        for j, picture in enumerate(pair):
            scale = side / max(picture.shape[:2])
            height, width = (max(1, round(length * scale)) for length in picture.shape[:2])
            top, left = (side - height) // 2, (side - width) // 2
            smaller = tf.image.resize(picture, (height, width), antialias=True)
            page[2 * i + j, top : top + height, left : left + width] = smaller
    return page


def main(argv: list[str] | None = None) -> Path:
    options = build_parser().parse_args(argv)
    if options.size is not None and options.size < 32:
        raise UserError(f"--size {options.size} is less than 32")
    from common import folders, runs

    run = runs.find_trained("chapter09_cyclegan", options.run)

    import tensorflow as tf

    from chapter09_cyclegan import data
    from common import device, images
    from common.data import scale

    files = find(options.paths, data.is_image)
    size = options.size or run.config.size
    device.setup(0)
    generator = run.load_model("g_AB.keras" if options.direction == "AtoB" else "g_BA.keras")
    channels = generator.input_shape[-1]

    originals = []
    for file in files:
        photo = images.read_photo(file, str(file))
        if max(photo.shape[:2]) > 20 * min(photo.shape[:2]):
            raise UserError(f"{file}: is more than 20 times as long as it is wide")
        photo = data.resize(photo, *fit(photo.shape[:2], size))
        grey = channels == 1
        originals.append(scale(tf.image.rgb_to_grayscale(photo).numpy() if grey else photo))
    translations = [translate(generator, picture) for picture in originals]

    folder = folders.make_next(run.path / "translated")
    names = {"contact_sheet"}
    for file, translated in zip(files, translations, strict=True):
        name, number = file.stem, 1
        while name.casefold() in names:  # of the same name, in another folder or format
            number += 1
            name = f"{file.stem}-{number}"
        names.add(name.casefold())
        pixels = images.grid(translated[np.newaxis], columns=1, zoom=1, gap=0)
        run.write(f"translated/{folder.name}/{name}.png", images.png(pixels))
    sheet = contact_sheet(originals, translations, max(size, 96))
    columns = 2 if len(files) < 4 else 6
    page = images.grid(sheet, columns=columns, zoom=1, gap=4)
    run.write(f"translated/{folder.name}/contact_sheet.png", images.png(page))
    print(f"{len(files)} translated into {folder}")
    return folder


if __name__ == "__main__":
    cli.run(main)
