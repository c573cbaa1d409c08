"""A photo and an ImageNet classifier, attacked with PGD: the experiment of GANs in Action."""

from pathlib import Path

import keras
import numpy as np

from chapter10_adversarial import applications, attacks, figures
from common import images
from common.files import Files, shortened

WIDTH = 30  # of a table's columns


def read(path: str, size: int) -> np.ndarray:
    """A photo as the classifier sees it: its middle square, float32, size×size×3, whole numbers
    from 0 to 255."""
    photo = images.read_photo(path, path).astype(np.float32)
    square = keras.ops.image.resize(photo, (size, size), antialias=True, crop_to_aspect_ratio=True)
    return np.clip(np.round(keras.ops.convert_to_numpy(square)), 0, 255)


def fool(
    classifier,
    classes: applications.Classes,
    image: np.ndarray,
    *,
    label: int | None,
    targeted: bool,
    epsilon: float,
    steps: int,
    step_size: float,
    seed: int,
) -> tuple[np.ndarray, dict[str, dict[str, float]]]:
    """Attacks one image with PGD, and with a random perturbation of the same size.

    Args:
        image: float32, size×size×3, whole numbers from 0 to 255.
        label: the class that is not to be seen any more, by default the one that is seen; with
            `targeted` the class to be seen.
        epsilon: how far a value may be changed, at least 1.
        steps, step_size: of PGD; see `attacks.pgd`.

    Returns:
        The adversarial image, in whole numbers, and the likeliest classes, by what is looked at:
        "before", "after", "after, saved" (rounded to whole numbers, as in a file), "random".
    """
    (before,) = applications.probabilities(classifier, image[np.newaxis])
    given = {
        "logits": classifier,
        "images": image[np.newaxis],
        "labels": [before.argmax() if label is None else label],
        "epsilon": epsilon,
        "bounds": applications.BOUNDS,
        "targeted": targeted,
        "seed": (seed, 0),
    }
    adversarial = attacks.pgd(**given, steps=steps, step_size=step_size).numpy()[0]
    random = attacks.random_perturbation(**given).numpy()[0]

    # As a file can hold it: whole numbers, and those within epsilon.
    limit = np.floor(epsilon)
    saved = image + np.clip(np.round(adversarial - image), -limit, limit)

    shown = np.stack([adversarial, saved, random])
    probabilities = [before, *applications.probabilities(classifier, shown)]
    names = ("before", "after", "after, saved", "random")
    return saved, {
        name: classes.likeliest(of_image)
        for name, of_image in zip(names, probabilities, strict=True)
    }


def write(
    files: Files,
    folder: str,
    image: np.ndarray,
    adversarial: np.ndarray,
    seen: dict[str, dict[str, float]],
    epsilon: float,
) -> None:
    """FOLDER/comparison.png and FOLDER/adversarial.png.

    Args:
        image, adversarial: whole numbers from 0 to 255, size×size×3.
        seen: of `fool`.
    """
    pixels = adversarial.astype(np.uint8)
    page = figures.photo(
        image.astype(np.uint8), pixels, seen["before"], seen["after, saved"], epsilon
    )
    files.write(f"{folder}/comparison.png", page)
    files.write(f"{folder}/adversarial.png", images.png(pixels))


def folder_name(number: int, name: str) -> str:
    """The folder of an attacked image in the run's."""
    return f"{number:02d}-{shortened(Path(name).stem)}"


def print_table(seen: dict[str, dict[str, float]]) -> None:
    """The likeliest classes in columns."""
    print("".join(f"{title:<{WIDTH}}" for title in seen))
    for line in zip(*(shares.items() for shares in seen.values()), strict=True):
        cells = (f"{share:>6.1%} {name}" for name, share in line)
        print("".join(f"{cell[: WIDTH - 2]:<{WIDTH}}" for cell in cells).rstrip())
