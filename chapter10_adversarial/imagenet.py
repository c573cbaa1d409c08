"""Fools ImageNet classifiers with photos of your own, as GANs in Action does (chapter 10).

    python chapter10_adversarial/imagenet.py cat.jpg                        into anything else
    python chapter10_adversarial/imagenet.py cat.jpg --target zebra         into a zebra
    python chapter10_adversarial/imagenet.py --noise --target zebra         even Gaussian noise
    python chapter10_adversarial/imagenet.py cat.jpg --model mobilenet      a small classifier
    python chapter10_adversarial/imagenet.py cat.jpg --attack fgsm --confidence 0.9
                                    by the smallest step that makes the classifier sure of another

Keras downloads the classifier's weights once (ResNet50's are 100 MB). What comes out goes into
runs/chapter10_imagenet/NUMBER, a folder for each photo: comparison.png has the original, what was
added to it, and the sum, with what the classifier sees; adversarial.png is the image itself.
"""

import hashlib
import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import cli, flags, runs
from common.flags import POSITIONAL
from common.settings import Count, Folder, Frozen, Seed


def _epsilon(given: dict[str, Any]) -> float:
    """What --epsilon is by default."""
    if given.get("confidence") is not None:
        return 64.0
    return 4.0 if given.get("target") is None else 8.0


class Settings(Frozen):
    """GANs in Action, chapter 10: a photo, a classifier, and an attack."""

    photos: Annotated[list[str], POSITIONAL] = Field(default_factory=list)
    """image files: PNG, JPEG, WebP, BMP, GIF or TIFF, of up to 50 million pixels"""
    noise: bool = False
    """what the classifier sees in images of Gaussian noise; with --target, one is attacked too"""
    model: str = "resnet50"  # the book's
    """a classifier of keras.applications"""
    weights: str = "imagenet"
    """its weights: a file, or imagenet, which Keras downloads"""
    alpha: PositiveFloat | None = None
    """its width, of those that have several, as MobileNet: 0.25, 0.5, 0.75 or 1"""
    target: str | None = None
    """the class that the classifier is to see (default: any other than it sees now)"""
    label: str | None = None
    """the class that the classifier is to miss (default: the one that it sees in the photo)"""
    also: str | None = None
    """another classifier, which is shown what was made for the first: does the attack transfer?"""
    also_weights: str = "imagenet"
    """its weights: a file, or imagenet, which Keras downloads"""
    also_alpha: PositiveFloat | None = None
    """its width, of those that have several"""
    attack: Literal["fgsm", "pgd", "apgd"] = "pgd"
    """fgsm: a single step; pgd: many; apgd: many, of lengths that it chooses itself"""
    confidence: Annotated[float, Field(gt=0, lt=1)] | None = None
    """how sure the classifier is to be of a wrong class (or of the target), from 0 to 1: the
    smallest of the epsilons 1, 2 … up to --epsilon is taken that gets there"""
    epsilon: Annotated[float, Field(ge=1, le=255, default_factory=_epsilon)]
    """how far a value of 0 to 255 may be changed; below 1, no image file would show it (with
    --target: 8, with --confidence: 64)"""
    steps: Count = 40
    """steps of PGD and Auto-PGD"""
    step_size: PositiveFloat = 0.1
    """the length of PGD's steps, times epsilon"""
    seed: Seed = 0
    """seed of all that is random"""
    output_dir: Annotated[Folder | None, Field(exclude=True)] = None
    """where the pictures go (default: runs/chapter10_imagenet/NUMBER)"""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if not self.photos and not self.noise:
            raise ValueError("give a photo, or --noise (see --help)")
        if self.target is not None and self.label is not None:
            raise ValueError("--target and --label both name a class; give one of them")
        for path in self.photos:
            if not os.path.isfile(path):
                raise ValueError(f"{path}: there is no such file")
        self._check_effects()
        if self.also is None and {"also_weights", "also_alpha"} & self.model_fields_set:
            raise ValueError("--also-weights and --also-alpha have no part without --also")
        if self.attack == "pgd" and self.steps * self.step_size < 1:
            raise ValueError(
                f"--steps {self.steps} of --step-size {self.step_size:g} do not get as far as "
                "epsilon; take more or longer ones"
            )
        return self

    def _check_effects(self) -> None:
        """A ValueError for a flag that was typed and would change nothing."""
        typed = self.model_fields_set
        nothing_attacked = not self.photos and self.target is None
        for name in ("attack", "also", "confidence", "label", "epsilon", "steps", "step_size"):
            if name in typed and nothing_attacked:
                raise ValueError(
                    f"{_flag(name)} needs an attack: give a photo, or --noise with --target"
                )
        for name, attacks in (("steps", ("pgd", "apgd")), ("step_size", ("pgd",))):
            if name in typed and self.attack not in attacks:
                raise ValueError(f"{_flag(name)} has no part in --attack {self.attack}")


def _flag(name):
    return "--" + name.replace("_", "-")


def main(argv: list[str] | None = None) -> dict:
    config = flags.read(__doc__, Settings, argv)
    run = runs.new("chapter10_imagenet", config, config.output_dir)

    # TensorFlow takes seconds to load, so it is left until the flags are known to be right.
    cli.setup(config.seed)
    from chapter10_adversarial import applications, attacks, gaussian_noise, photos

    classifier = applications.Classifier(config.model, config.weights, config.alpha)
    classes = applications.Classes(config.weights)
    other = None
    if config.also is not None:
        other = applications.Classifier(
            config.also, config.also_weights, config.also_alpha, flags="also"
        )
    name_of_class = config.label if config.target is None else config.target
    label = None if name_of_class is None else classes.number(name_of_class)
    targeted = config.target is not None
    attack: Any = {
        "fgsm": lambda seed, **given: attacks.fgsm(**given),  # nothing in it is random
        "pgd": partial(attacks.pgd, steps=config.steps, step_size=config.step_size),
        "apgd": partial(attacks.apgd, steps=config.steps),
    }[config.attack]

    images = [(photo, photos.read(photo, classifier.size)) for photo in config.photos]
    noise = gaussian_noise.draw(classifier.size, config.seed) if config.noise else None
    if noise is not None and targeted:
        images.append(("noise", noise[len(noise) // 2]))
    run.start(describe(config.photos, images, noise))

    results: dict[str, Any] = {"attacked": []}
    if noise is not None:
        results["noise"] = gaussian_noise.classify(classifier, classes, noise, run)
    for number, (name, image) in enumerate(images, start=1):
        found = photos.fool(
            classifier,
            classes,
            image,
            attack,
            label=label,
            targeted=targeted,
            **config.model_dump(include={"epsilon", "confidence", "seed"}),
        )
        print(f"\n{name}, epsilon {found.epsilon:g} of 255")
        if found.already:
            does = "sees" if targeted else "does not see"
            print(f"before the attack, too, the classifier {does} {name_of_class}")
        if config.confidence is not None and not found.enough:
            print(
                f"no epsilon up to {config.epsilon:g} makes the classifier "
                f"{config.confidence:.0%} sure; the one that comes closest is shown"
            )
        photos.print_table(found.seen)
        folder = photos.folder_name(number, name)
        photos.write(run, folder, image, found)
        result: dict[str, Any] = {"image": name, "folder": folder, "epsilon": found.epsilon}
        result |= {"fooled": found.fooled, "seen": found.seen}
        if other is not None:
            result["also"] = photos.transfer(other, classes, image, found, targeted)
            print(f"what {config.also} sees:")
            photos.print_table(result["also"]["seen"])
        results["attacked"].append(result)
    run.write_json("results.json", results)
    print(f"\n{summary(results['attacked'], config)}pictures: {run.path}")
    return results


def summary(attacked: list[dict], config: Settings) -> str:
    """How many images fooled the classifier, and the other one: a line each; none for no image."""
    lines = ""
    if attacked:
        fooled = sum(result["fooled"] for result in attacked)
        confidence = f", with {config.confidence:.0%} or more" if config.confidence else ""
        lines += f"{fooled} of {len(attacked)} fooled {config.model}{confidence}\n"
    if attacked and config.also is not None:
        fooled = sum(result["also"]["fooled"] for result in attacked)
        lines += f"{fooled} of {len(attacked)} fooled {config.also}, which they were not made for\n"
    return lines


def describe(sources, images, noise) -> dict[str, str]:
    """What config.json says of the images that the classifier is shown."""
    digest = hashlib.sha256()
    for _, image in images:
        digest.update(image)
    if noise is not None:
        sources = [*sources, "noise"]
        digest.update(noise)
    return {"source": ", ".join(sources), "sha256": digest.hexdigest()}


if __name__ == "__main__":
    cli.run(main)
