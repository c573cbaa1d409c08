"""Pictures: grids of images, PNG, GIF, and plots of a run's history. All give arrays or bytes."""

import io
from collections.abc import Sequence
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageOps, UnidentifiedImageError

from common import UserError
from common.files import foreign

# Not all that Pillow knows: for some formats it starts another program, as Ghostscript for EPS.
PHOTO_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
MOST_PIXELS = 50_000_000  # of a photo: four at once, decoded and resized, take 4 GiB for a moment
TOO_LARGE = f"has more than {MOST_PIXELS // 10**6} million pixels, for which memory may not do"


def grid(images: np.ndarray, columns: int, *, zoom: int = 3, gap: int = 2) -> np.ndarray:
    """Lays images out row by row on white.

    Args:
        images: float, n×height×width×channels (1 or 3), in [-1, 1]; what lies outside is clipped.
        columns: images in a row.
        zoom: each pixel becomes zoom×zoom, so that 28×28 can be seen on today's screens.
        gap: white pixels between images and around them.

    Returns:
        uint8, height×width (grey) or height×width×3.
    """
    n, height, width, channels = images.shape
    pixels = np.round((np.clip(images, -1, 1) + 1) * 127.5).astype(np.uint8)
    pixels = pixels.repeat(zoom, axis=1).repeat(zoom, axis=2)
    height, width = height * zoom, width * zoom
    rows = -(-n // columns)
    page = np.full(
        (rows * (height + gap) + gap, columns * (width + gap) + gap, channels), 255, np.uint8
    )
    for i, image in enumerate(pixels):
        top = gap + (i // columns) * (height + gap)
        left = gap + (i % columns) * (width + gap)
        page[top : top + height, left : left + width] = image
    return page[..., 0] if channels == 1 else page


def enlarge(pictures: np.ndarray) -> np.ndarray:
    """Twice the height and width, by bilinear interpolation: float, n×h×w×channels.

    Each new pixel's middle lies a quarter of an old pixel beside that of an old one: it is ¾ of
    that pixel and ¼ of its neighbour, along each axis.
    """
    for axis in (1, 2):
        length = pictures.shape[axis]
        neighbours = (np.arange(-1, length - 1), np.arange(1, length + 1))  # before, and after
        halves = [
            0.75 * pictures + 0.25 * pictures.take(places.clip(0, length - 1), axis)
            for places in neighbours
        ]
        shape = (*pictures.shape[:axis], 2 * length, *pictures.shape[axis + 1 :])
        pictures = np.stack(halves, axis + 1).reshape(shape)
    return pictures


def png(pixels: np.ndarray) -> bytes:
    """Encodes uint8 pixels, height×width or height×width×3."""
    return imageio.imwrite("<bytes>", pixels, extension=".png")


def gif(frames: Sequence[np.ndarray], *, seconds: float = 8.0, hold: float = 2.0) -> bytes:
    """Encodes an endless GIF of about the given length, whose last frame stays for `hold` seconds.

    With `hold=0` it stays no longer than the others, as is right for a walk in a circle.
    """
    each = max(40, round(1000 * seconds / len(frames)))
    last = max(each, round(1000 * hold))
    return imageio.imwrite(
        "<bytes>",
        np.stack(frames),
        extension=".gif",
        is_batch=True,
        # A single frame is written as a picture, which has no list of durations.
        duration=[each] * (len(frames) - 1) + [last] if len(frames) > 1 else last,
        loop=0,
    )


def animation(paths: Sequence[Path], most: int = 120) -> bytes:
    """Encodes pictures as a GIF; if there are many, some of them, always the first and the last.

    Raises:
        UserError: one cannot be read, or is of another size than the first.
    """
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(most, len(paths))).round().astype(int))
    frames: list[np.ndarray] = []
    for path in (paths[i] for i in chosen):
        with foreign(path, "cannot be read as a picture"):
            frames.append(read(path))
        if frames[-1].shape != frames[0].shape:
            raise UserError(f"{path}: is of another size than the pictures before it")
    return gif(frames)


def read(path) -> np.ndarray:
    """Reads a picture as it is stored."""
    return imageio.imread(path, plugin="pillow")  # and no other of ImageIO's


def read_photo(file, name: str) -> np.ndarray:
    """Reads a photo as it is meant to be seen: grey, palette, transparent, 16 bits or turned.

    Args:
        file: a path, or the bytes of a file.
        name: what an error calls it.

    Returns:
        uint8, height×width×3. What is transparent is laid on white.

    Raises:
        UserError: it is no image of these formats, too large, or broken.
    """
    opened = io.BytesIO(file) if isinstance(file, bytes) else file
    with foreign(name, "cannot be read as an image"):
        try:
            photo = Image.open(opened, formats=PHOTO_FORMATS)  # reads its header alone
        except UnidentifiedImageError:
            raise ValueError(f"it is none of {', '.join(PHOTO_FORMATS)}") from None
        except Image.DecompressionBombError:  # more pixels than Pillow allows
            raise UserError(f"{name}: {TOO_LARGE}") from None
        with photo:
            if photo.width * photo.height > MOST_PIXELS:
                raise UserError(f"{name}: {TOO_LARGE}")
            return _as_rgb(photo, name)


def _as_rgb(photo: Image.Image, name: str) -> np.ndarray:
    """The first frame, turned as the camera says it was held: uint8, height×width×3."""
    if photo.mode == "F":
        raise UserError(f"{name}: its pixels are fractions, not whole numbers")
    ImageOps.exif_transpose(photo, in_place=True)  # copies would take memory
    if photo.mode.startswith("I"):  # 16 bits
        grey = (np.clip(np.asarray(photo), 0, 65535) // 257).astype(np.uint8)
        return grey[..., np.newaxis].repeat(3, axis=-1)
    if "A" in photo.mode or "transparency" in photo.info:
        see_through = photo.convert("RGBA")
        photo = Image.new("RGB", see_through.size, "white")
        photo.paste(see_through, mask=see_through)
    return np.asarray(photo if photo.mode == "RGB" else photo.convert("RGB"))


def plot_history(
    history: Sequence[dict[str, float]],
    panels: dict[str, dict[str, str]],
    title: str,
    unit: str = "iteration",
) -> bytes:
    """Plots columns of a run's history against the iteration, as PNG.

    Args:
        history: a dict a row, each with "iteration", or what `unit` says.
        panels: for each panel's y-axis label, the columns it shows and their names in the legend.
    """
    figure = Figure(figsize=(5 * len(panels), 3.6), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    iterations = [row[unit] for row in history]
    for ax, (label, columns) in zip(axes, panels.items(), strict=True):
        for column, name in columns.items():
            ax.plot(iterations, [row[column] for row in history], ".-", label=name)
        ax.set(xlabel=unit, ylabel=label)
        if iterations[-1] > 100_000:  # long numbers would run into each other
            ax.locator_params(axis="x", nbins=4)
        ax.grid(alpha=0.3)
        ax.legend()
    return figure_png(figure)


def figure_png(figure: Figure) -> bytes:
    """Encodes a figure of Matplotlib's."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
