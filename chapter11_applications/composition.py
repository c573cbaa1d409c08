"""Images for captions: two digits of MNIST, redrawn in a size and by a pen. Without TensorFlow.

Handwriting has all stroke widths, and so "thin" and "bold" would overlap. A digit is therefore
thinned to its skeleton, lines of one pixel, and these are drawn again with a pen of a given width.
"""

import numpy as np

SIDE = 32  # pixels of an image
PATCH = 16  # of a digit's square
EXTENTS = (9.0, 13.0)  # the longer side of a small and of a large digit's skeleton, pixels
PENS = (1.0, 2.3)  # widths of the thin and of the bold pen, pixels
ROOM = 2  # by how many pixels a small digit may be moved towards the other, or away from it
SHIFT = 3  # by how many pixels each digit may be moved across that
AT_ONCE = 500  # digits that are drawn together: their distances take some 50 MB


def thin(strokes: np.ndarray) -> np.ndarray:
    """The skeletons of strokes, bool, n×height×width, by Zhang and Suen (1984).

    A stroke's outermost pixels are taken away again and again, unless that would break it or
    shorten it, until nothing changes.
    """
    strokes = np.pad(strokes, ((0, 0), (1, 1), (1, 1)))
    while True:
        before = strokes
        for first_half in (True, False):
            strokes = strokes & ~_removable(strokes, first_half)
        if np.array_equal(strokes, before):
            return strokes[:, 1:-1, 1:-1]


def _removable(strokes: np.ndarray, first_half: bool) -> np.ndarray:
    """Which pixels go: at the south-east of strokes in the first half, else at the north-west."""
    # The eight neighbours, clockwise from the north.
    ways = ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))
    around = [np.roll(strokes, way, axis=(1, 2)) for way in ways]
    count = np.sum(around, axis=0, dtype=np.uint8)
    begins = sum(
        (~a & b).astype(np.uint8) for a, b in zip(around, around[1:] + around[:1], strict=True)
    )
    north, _, east, _, south, _, west, _ = around
    if first_half:
        at_edge = ~(north & east & south) & ~(east & south & west)
    else:
        at_edge = ~(north & east & west) & ~(north & south & west)
    # 2 to 6 neighbours: inside no pixel goes, and no end of a line. One run of them: none breaks.
    return strokes & (count >= 2) & (count <= 6) & (begins == 1) & at_edge


def redraw(digits: np.ndarray) -> np.ndarray:
    """Digits in all sizes and strokes.

    Args:
        digits: of MNIST, uint8, n×28×28×1.

    Returns:
        uint8, n×2×2×16×16: small and large, each with the thin and the bold pen.
    """
    drawn = np.empty((len(digits), 2, 2, PATCH, PATCH), np.uint8)
    for start in range(0, len(digits), AT_ONCE):
        skeletons = thin(digits[start : start + AT_ONCE, :, :, 0] > 127)
        for size, extent in enumerate(EXTENTS):
            distances = _distances(skeletons, extent)
            for stroke, pen in enumerate(PENS):
                ink = np.clip(pen / 2 + 0.5 - distances, 0, 1)  # smooth over one pixel
                drawn[start : start + AT_ONCE, size, stroke] = np.round(255 * ink)
    return drawn


def _distances(skeletons: np.ndarray, extent: float) -> np.ndarray:
    """From each pixel of a patch to the nearest of a skeleton, n×16×16, pixels.

    The skeleton's longer side is scaled to `extent`, and its middle to that of the patch.
    """
    n = len(skeletons)
    image, rows, columns = np.nonzero(skeletons)
    counts = np.bincount(image, minlength=n)
    position = np.arange(len(image)) - np.repeat(np.cumsum(counts) - counts, counts)
    # n×points×2; an image with fewer points than others has further ones far away.
    points = np.full((n, counts.max(), 2), np.nan, np.float32)
    points[image, position] = np.stack([rows, columns], axis=1)
    low, high = np.nanmin(points, axis=1), np.nanmax(points, axis=1)
    scale = extent / np.maximum((high - low).max(axis=1), 1)
    points = (points - (low + high)[:, None] / 2) * scale[:, None, None]
    points = np.nan_to_num(points, nan=1e3)
    axis = np.arange(PATCH, dtype=np.float32) - (PATCH - 1) / 2
    vertical = (axis[:, None] - points[:, None, :, 0]) ** 2  # n×16×points
    horizontal = (axis[:, None] - points[:, None, :, 1]) ** 2
    squares = vertical[:, :, None] + horizontal[:, None]  # n×16×16×points
    return np.sqrt(squares.min(axis=-1))


def compose(
    facts: np.ndarray, drawn: np.ndarray, labels: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Images of which what captions say is true; what they leave free is drawn at random.

    Args:
        facts: n×7, see `captions.facts_of`.
        drawn, labels: digits, as `redraw` gives them, m×2×2×16×16, and which digit each is, m.

    Returns:
        uint8, n×32×32×1.
    """
    n = len(facts)
    of_digit = [np.flatnonzero(labels == digit) for digit in range(10)]
    canvas = np.zeros((n, SIDE + 2 * ROOM, SIDE + 2 * ROOM), np.uint8)
    for number in range(2):
        size, stroke, digit = facts[:, 1 + 3 * number : 4 + 3 * number].T
        size = np.where(size < 0, random.integers(0, 2, n), size)
        stroke = np.where(stroke < 0, random.integers(0, 2, n), stroke)
        along = ROOM + PATCH * number + (size == 0) * random.integers(-ROOM, ROOM + 1, n)
        across = ROOM + (SIDE - PATCH) // 2 + random.integers(-SHIFT, SHIFT + 1, n)
        choice = random.random(n)
        for i in range(n):
            mine = of_digit[digit[i]]
            patch = drawn[mine[int(choice[i] * len(mine))], size[i], stroke[i]]
            y, x = (along[i], across[i]) if facts[i, 0] else (across[i], along[i])
            target = canvas[i, y : y + PATCH, x : x + PATCH]
            np.maximum(target, patch, out=target)
    return canvas[:, ROOM:-ROOM, ROOM:-ROOM, None]
