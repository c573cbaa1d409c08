"""Grids, PNG, GIF and plots, read back and looked at."""

import io
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image  # Pillow, by which imageio reads and writes

from common import UserError, images


def test_grid_lays_out_row_by_row():
    levels = np.array([-1, -0.5, 0, 0.5, 1], "float32")
    page = images.grid(levels[:, None, None, None] * np.ones((5, 4, 6, 1)), 3, zoom=2, gap=1)
    assert page.shape == (2 * 8 + 3, 3 * 12 + 4) and page.dtype == np.uint8
    assert np.all(page[:, 0] == 255) and np.all(page[9] == 255)  # the gaps are white
    tiles = [page[1:9, 1:13], page[1:9, 14:26], page[1:9, 27:39], page[10:18, 1:13]]
    for tile, grey in zip(tiles, [0, 64, 128, 191], strict=True):
        assert np.all(tile == grey)
    assert np.all(page[10:18, 27:39] == 255)  # the place that no image fills


def test_grid_clips_and_keeps_colour():
    colours = np.array([[5, -5, 0]], "float32").reshape(1, 1, 1, 3)
    page = images.grid(colours, 1, zoom=1, gap=0)
    assert page.tolist() == [[[255, 0, 128]]]


def test_enlarging_is_bilinear():
    row = np.array([0, 4, 8], "float32").reshape(1, 1, 3, 1)
    for enlarged in (images.enlarge(row), images.enlarge(row.swapaxes(1, 2)).swapaxes(1, 2)):
        assert enlarged.shape == (1, 2, 6, 1) and enlarged.dtype == np.float32
        for line in enlarged[0, :, :, 0]:
            assert line.tolist() == [0, 1, 3, 5, 7, 8]


def test_png_round_trip():
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9), np.uint8)
    assert np.array_equal(images.read(io.BytesIO(images.png(pixels))), pixels)


@pytest.mark.parametrize("frames", [1, 5])
def test_gif_has_every_frame_and_holds_the_last(frames):
    import imageio.v3 as imageio

    pictures = [np.full((8, 8), 40 * i, np.uint8) for i in range(frames)]
    encoded = images.gif(pictures, seconds=1)
    decoded = images.read(encoded)
    assert [int(frame[0, 0, 0]) for frame in decoded] == [40 * i for i in range(frames)]
    last = imageio.immeta(encoded, index=frames - 1, extension=".gif")
    assert last["duration"] == 2000


def test_plot_history_draws_every_panel():
    history = [{"iteration": i, "a": i, "b": -i} for i in range(5)]
    one = images.read(io.BytesIO(images.plot_history(history, {"x": {"a": "A"}}, "title")))
    two = images.read(
        io.BytesIO(images.plot_history(history, {"x": {"a": "A"}, "y": {"b": "B"}}, "title"))
    )
    assert two.shape[1] == 2 * one.shape[1] and one.shape[0] == two.shape[0]
    assert np.mean(two[..., :3] < 128) > 0.005  # there is ink


def test_animation_is_in_order_and_thinned(tmp_path):
    paths = []
    for number in (*range(300), 999_000, 1_000_000):
        paths.append(tmp_path / f"{number:06d}.png")
        paths[-1].write_bytes(images.png(np.full((4, 4), number % 251, np.uint8)))
    frames = images.read(images.animation(paths, most=12))[:, 0, 0, 0]
    assert len(frames) == 12
    assert frames[0] == 0 and frames[-1] == 1_000_000 % 251
    whole = images.read(images.animation(paths, most=1000))[:, 0, 0, 0]
    assert whole.tolist() == [n % 251 for n in (*range(300), 999_000, 1_000_000)]


@pytest.mark.parametrize("raw", [b"", b"text", images.png(np.zeros((5, 4), np.uint8))])
def test_a_picture_that_was_changed_is_named(tmp_path, raw):
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path in paths:
        path.write_bytes(images.png(np.zeros((4, 4), np.uint8)))
    paths[1].write_bytes(raw)
    with pytest.raises(UserError, match=r"/1\.png: (cannot be read as a|is of another size)"):
        images.animation(paths)


def encoded(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def photos():
    """One photo in many guises, and what it is then read as."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    photo = Image.fromarray(pixels)
    grey = np.asarray(photo.convert("L"))
    palette = photo.convert("P")
    opacity = np.tile(np.linspace(0, 255, 30).astype(np.uint8), (20, 1))
    see_through = photo.copy()
    see_through.putalpha(Image.fromarray(opacity))
    share = opacity[..., np.newaxis] / 255
    on_white = np.round(pixels * share + 255 * (1 - share))
    hidden = palette.copy()
    without = np.asarray(palette.convert("RGB")).copy()
    without[np.asarray(palette) == 7] = 255
    turned = Image.Exif()
    turned[0x0112] = 6
    frames = {"save_all": True, "append_images": [photo.convert("L")]}
    three = grey[..., np.newaxis].repeat(3, axis=-1)
    return {
        "colour": (encoded(photo, "PNG"), pixels, 0),
        "grey": (encoded(photo.convert("L"), "PNG"), three, 0),
        "black and white": (encoded(photo.convert("1"), "PNG"), None, 0),
        "16 bits": (encoded(Image.fromarray(grey.astype(np.uint16) * 257), "PNG"), three, 0),
        "grey and transparent": (encoded(photo.convert("LA"), "PNG"), three, 0),
        "palette": (encoded(palette, "PNG"), np.asarray(palette.convert("RGB")), 0),
        "palette and transparent": (encoded(hidden, "PNG", transparency=7), without, 0),
        "transparent": (encoded(see_through, "PNG"), on_white, 1),
        "four inks": (encoded(photo.convert("CMYK"), "TIFF"), pixels, 0),
        "animated": (encoded(palette, "GIF", **frames), np.asarray(palette.convert("RGB")), 0),
        "turned": (encoded(photo, "TIFF", exif=turned), np.rot90(pixels, -1), 0),
    }


@pytest.mark.parametrize("kind", photos())
def test_photos_are_read_as_they_are_meant_to_be_seen(kind, tmp_path):
    raw, expected, tolerance = photos()[kind]
    read = images.read_photo(raw, "photo")
    assert read.dtype == np.uint8 and read.ndim == 3 and read.shape[-1] == 3
    if expected is None:
        assert set(np.unique(read)) == {0, 255}
    else:
        assert read.shape == expected.shape
        assert np.max(np.abs(read.astype(int) - expected)) <= tolerance
    (tmp_path / "photo").write_bytes(raw)
    assert np.array_equal(images.read_photo(tmp_path / "photo", "photo"), read)


@pytest.mark.parametrize("what", ["text", "nothing", "half", "fractions"])
def test_what_is_no_photo_is_named(what):
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    raw = {
        "text": b"hello",
        "nothing": b"",
        "half": encoded(photo, "JPEG")[:900],
        "fractions": encoded(photo.convert("F"), "TIFF"),
    }[what]
    with pytest.raises(UserError, match=r"^my photo\.jpg: ") as error:
        images.read_photo(raw, "my photo.jpg")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["EPS", "PPM", "ICO", "TGA", "PDF"])
def test_other_formats_than_photos_have_are_not_opened(kind, tmp_path):
    """Some start other programs, as EPS does Ghostscript; the name does not decide."""
    raw = encoded(Image.new("RGB", (16, 16)), kind)
    with pytest.raises(UserError, match=r"cat\.jpg: .* none of PNG, JPEG, WEBP, BMP, GIF, TIFF"):
        images.read_photo(raw, "cat.jpg")
    (tmp_path / "cat.jpg").write_bytes(raw)
    with pytest.raises(UserError, match=r"cat\.jpg: .* none of PNG"):
        images.read_photo(tmp_path / "cat.jpg", "cat.jpg")


@pytest.mark.parametrize("kind", images.PHOTO_FORMATS)
def test_all_formats_of_photos_are_read(kind):
    photo = Image.new("RGB", (16, 24), (200, 100, 50))
    read = images.read_photo(encoded(photo, kind), "photo")
    assert read.shape == (24, 16, 3) and np.max(np.abs(read - np.array([200, 100, 50.0]))) < 6


@pytest.mark.parametrize("side", [7_072, 20_000])  # for us, and for Pillow itself
def test_a_photo_too_large_is_told_by_its_header_alone(side):
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + side.to_bytes(4, "big") * 2
    header += b"\x08\x02\0\0\0"
    header += zlib.crc32(header[12:]).to_bytes(4, "big") + b"\0\0\0\0IDAT" + b"\x35\xaf\x06\x1e"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `cli.run` silences Pillow's
        with pytest.raises(UserError, match=r"^huge: has more than 50 million pixels"):
            images.read_photo(header, "huge")


def test_a_photo_of_a_phone_is_not_too_large():
    raw = encoded(Image.new("1", (6_144, 8_136)), "PNG")
    assert images.read_photo(raw, "photo").shape == (8_136, 6_144, 3)
