"""The levels by which networks grow: their sizes and features (Karras et al. 2018, table 2).

Level 0 has images of 4×4, level 1 of 8×8, and so on. No TensorFlow.
"""

GROUP = 4  # images of a group of the mini-batch standard deviation, as in the authors' code
LEAST_FILTERS = 4  # features of a level; with one alone, `pixel_norm` leaves nothing but its sign


def level_of(size: int) -> int:
    """The level of images of this height and width, 4, 8, 16, …: 0, 1, 2, …"""
    return size.bit_length() - 3


def levels_of(size: int) -> int:
    """How many levels lead to images of this height and width."""
    return level_of(size) + 1


def size_of(level: int) -> int:
    """Height and width of a level's images."""
    return 4 * 2**level


def filters_of(level: int, total: int, most: int) -> int:
    """Features of a level: at twice the height and width half as many, but no more than `most`."""
    return min(most, total // size_of(level))


def made_at_once(size: int) -> int:
    """How many images of a size to make at once, so that their features fit into memory."""
    return max(1, min(200, 200 * 32**2 // size**2))
