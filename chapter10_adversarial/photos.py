"""A photo and an ImageNet classifier that is attacked: the experiment of GANs in Action."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from chapter10_adversarial import applications, attacks, calling, figures
from common import images
from common.files import Files, shortened

WIDTH = 30  # of a table's columns


def read(path: str, size: int) -> np.ndarray:
    """A photo as the classifier sees it: its middle square, float32, size×size×3, whole numbers
    from 0 to 255."""
    photo = images.read_photo(path, path).astype(np.float32)
    square = keras.ops.image.resize(photo, (size, size), antialias=True, crop_to_aspect_ratio=True)
    return np.clip(np.round(keras.ops.convert_to_numpy(square)), 0, 255)


@dataclasses.dataclass(frozen=True)
class Attacked:
    """What has become of an image.

    Args:
        label: the class that was not to be seen any more; or the target, to be seen.
        image: whole numbers from 0 to 255, as in a file: float32, size×size×3.
        epsilon: how far its values may differ from the original's.
        enough: whether the classifier sees in it what the attack was after, with the confidence
            that was asked for.
        already: whether it did so before the attack, with whatever confidence.
        seen: the likeliest classes, by what is looked at: "before", "after", "after, saved" (in
            whole numbers, as in a file), "random".
    """

    label: int
    image: np.ndarray
    epsilon: float
    enough: bool
    already: bool
    seen: dict[str, dict[str, float]]

    @property
    def fooled(self) -> bool:
        """Whether the attack has achieved what it was after."""
        return self.enough and not self.already


def fool(
    classifier,
    classes: applications.Classes,
    image: np.ndarray,
    attack: Callable,
    *,
    label: int | None,
    targeted: bool,
    epsilon: float,
    confidence: float | None,
    seed: int,
) -> Attacked:
    """Attacks one image, and changes it by a random perturbation of the same size.

    Args:
        image: float32, size×size×3, whole numbers from 0 to 255.
        attack: a function of `attacks`, whose own settings it has, and which takes a seed.
        label: the class that is not to be seen any more, by default the one that is seen; with
            `targeted` the class to be seen.
        epsilon: how far a value may be changed, at least 1.
        confidence: None, or a probability: of epsilons 1, 2 … up to `epsilon` the smallest one is
            taken with which the classifier gives as much to a wrong class (the target); if none is
            enough, the one that comes nearest.
    """
    (before,) = applications.probabilities(classifier, image[np.newaxis])
    wanted = int(before.argmax()) if label is None else label
    epsilons = np.array([epsilon] if confidence is None else np.arange(1.0, np.floor(epsilon) + 1))

    def change(how, epsilons, seed):
        return how(
            logits=classifier,
            images=np.repeat(image[np.newaxis], len(epsilons), axis=0),
            labels=np.full(len(epsilons), wanted),
            epsilon=epsilons,
            bounds=applications.BOUNDS,
            targeted=targeted,
            batch_size=applications.BATCH_SIZE,
            seed=seed,
        ).numpy()

    found: list[tuple[np.ndarray, ...]] = []
    for part, part_seed in calling.parts(len(epsilons), applications.BATCH_SIZE, (seed, 0)):
        tried = epsilons[part]
        adversarial = change(attack, tried, part_seed)
        # As a file can hold it: whole numbers, and those within epsilon.
        limits = np.floor(tried)[:, None, None, None].astype(np.float32)
        saved = image + np.clip(np.round(adversarial - image), -limits, limits)
        probabilities = applications.probabilities(classifier, saved)
        fooled, confidences = _success(probabilities, wanted, targeted)
        enough = fooled & (confidences >= (confidence or 0))
        found.append((tried, adversarial, saved, probabilities, confidences, enough))
        if enough.any():
            break  # larger ones are not asked for
    tried, adversarial, saved, probabilities, confidences, enough = map(
        np.concatenate, zip(*found, strict=True)
    )
    chosen = int(enough.argmax() if enough.any() else confidences.argmax())

    random = change(attacks.random_perturbation, tried[chosen : chosen + 1], (seed, 0))
    after, by_random = applications.probabilities(
        classifier, np.concatenate([adversarial[chosen : chosen + 1], random])
    )
    seen = {
        "before": before,
        "after": after,
        "after, saved": probabilities[chosen],
        "random": by_random,
    }
    return Attacked(
        label=wanted,
        image=saved[chosen],
        epsilon=float(tried[chosen]),
        enough=bool(enough[chosen]),
        already=bool(_success(before[np.newaxis], wanted, targeted)[0][0]),
        seen={name: classes.likeliest(of_image) for name, of_image in seen.items()},
    )


def _success(probabilities, wanted, targeted):
    """Whether the classifier sees what an attack is after, and how surely: bool and float, n."""
    best = probabilities.argmax(axis=1)
    if targeted:
        return best == wanted, probabilities[:, wanted]
    return best != wanted, np.delete(probabilities, wanted, axis=1).max(axis=1)


def transfer(
    other, classes: applications.Classes, image: np.ndarray, found: Attacked, targeted: bool
) -> dict:
    """What another classifier sees in an image before and after an attack that was not made for it.

    Returns:
        `seen`: the likeliest classes "before" and "after". `fooled`: whether it saw the label
        before, and does not afterwards; with `targeted`, whether it sees the target afterwards
        only.
    """
    both = keras.ops.image.resize(
        np.stack([image, found.image]), (other.size, other.size), antialias=True
    )
    both = np.clip(np.round(keras.ops.convert_to_numpy(both)), 0, 255)
    before, after = applications.probabilities(other, both)
    saw, sees = before.argmax() == found.label, after.argmax() == found.label
    fooled = (sees and not saw) if targeted else (saw and not sees)
    seen = {"before": classes.likeliest(before), "after": classes.likeliest(after)}
    return {"seen": seen, "fooled": bool(fooled)}


def write(files: Files, folder: str, image: np.ndarray, found: Attacked) -> None:
    """FOLDER/comparison.png and FOLDER/adversarial.png.

    Args:
        image: the original, whole numbers from 0 to 255, size×size×3.
    """
    pixels = found.image.astype(np.uint8)
    page = figures.photo(
        image.astype(np.uint8),
        pixels,
        found.seen["before"],
        found.seen["after, saved"],
        found.epsilon,
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
