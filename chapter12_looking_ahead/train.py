"""Runs the two programs of chapter 12 that train, one after the other.

    python chapter12_looking_ahead/train.py                   both
    python chapter12_looking_ahead/attention.py               self-attention, on and off
    python chapter12_looking_ahead/membership.py              which images a model was trained on

Each takes flags of its own, and can be resumed by itself. truncation.py trains nothing: it takes
what chapters 4, 6 and 8 have trained.
"""

import sys
from pathlib import Path

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import cli, series

PROGRAMS = ("attention", "membership")

main = series.program("chapter12_looking_ahead", __doc__, PROGRAMS)

if __name__ == "__main__":
    cli.run(main)
