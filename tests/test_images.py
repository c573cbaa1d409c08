"""Grids, PNG, GIF and plots, read back and looked at."""

import io

import numpy as np
import pytest

from common import images


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


def test_film_is_in_order_and_thinned(tmp_path):
    for number in (999_000, 1_000_000, 0, *range(1, 300)):
        (tmp_path / f"{number:06d}.png").write_bytes(
            images.png(np.full((4, 4), number % 251, np.uint8))
        )
    frames = images.read(images.film(tmp_path.glob("*.png"), most=12))[:, 0, 0, 0]
    assert len(frames) == 12
    assert frames[0] == 0 and frames[-1] == 1_000_000 % 251
    whole = images.read(images.film(tmp_path.glob("*.png"), most=1000))[:, 0, 0, 0]
    assert whole.tolist() == [n % 251 for n in (*range(300), 999_000, 1_000_000)]
