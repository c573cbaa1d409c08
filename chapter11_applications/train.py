"""Runs the three programs of chapter 11, one after the other.

    python chapter11_applications/train.py                    all three
    python chapter11_applications/augmentation.py             a GAN's images for a classifier
    python chapter11_applications/design.py                   new designs of clothes
    python chapter11_applications/text_to_image.py            StackGAN: images from captions

Each takes flags of its own, and can be resumed by itself.
"""

import sys
from pathlib import Path

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import cli, series

PROGRAMS = ("augmentation", "design", "text_to_image")

main = series.program("chapter11_applications", __doc__, PROGRAMS)

if __name__ == "__main__":
    cli.run(main)
