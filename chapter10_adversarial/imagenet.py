"""Fools ImageNet classifiers with photos of your own, as GANs in Action does (chapter 10).

    python chapter10_adversarial/imagenet.py cat.jpg                        into anything else
    python chapter10_adversarial/imagenet.py cat.jpg --target zebra         into a zebra
    python chapter10_adversarial/imagenet.py --noise --target zebra         even noise
    python chapter10_adversarial/imagenet.py cat.jpg --model mobilenet      a small classifier

Keras downloads the classifier's weights once (ResNet50's are 100 MB). What comes out goes into
runs/chapter10_imagenet/NUMBER, a folder for each photo: comparison.png has the original, what was
added to it, and the sum, with what the classifier sees; adversarial.png is the image itself.
"""

import argparse
import hashlib
import sys
from pathlib import Path

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np

from common import UserError, cli

# Of the noise, in 0 to 255: the ranges of GANs in Action, chapter 10.
MEANS = (50, 85, 120, 155, 190)
DEVIATIONS = (10, 17, 24, 31, 38)


def build_parser() -> argparse.ArgumentParser:
    parser = cli.plain_parser(__doc__)
    parser.add_argument("photos", nargs="*", metavar="PHOTO", help="an image file, of any size")
    parser.add_argument(
        "--noise",
        action="store_true",
        help="what the classifier sees in Gaussian noise; with --target, noise is attacked too",
    )
    model = parser.add_argument_group("classifier")
    model.add_argument(
        "--model",
        default="resnet50",
        metavar="NAME",
        help="a classifier of keras.applications (default: resnet50, the book's)",
    )
    model.add_argument(
        "--weights",
        default="imagenet",
        metavar="FILE",
        help="its weights (default: imagenet, which Keras downloads)",
    )
    model.add_argument(
        "--alpha",
        type=cli.positive_float,
        metavar="X",
        help="its width, of those that have several, as MobileNet: 0.25, 0.5, 0.75 or 1",
    )
    attack = parser.add_argument_group("attack")
    aim = attack.add_mutually_exclusive_group()
    aim.add_argument(
        "--target", metavar="CLASS", help="what shall be seen (default: anything but what is)"
    )
    aim.add_argument(
        "--label",
        metavar="CLASS",
        help="what shall not be seen (default: what the classifier sees in the photo)",
    )
    attack.add_argument(
        "--epsilon",
        type=cli.non_negative_float,
        metavar="X",
        help="how far a value may be changed, from 1 to 255 (default: 4; with --target 8)",
    )
    attack.add_argument(
        "--steps", type=cli.positive_int, default=40, metavar="N", help="steps of PGD (default: 40)"
    )
    attack.add_argument(
        "--step-size",
        type=cli.positive_float,
        default=0.1,
        metavar="X",
        help="the length of these steps, times epsilon (default: 0.1)",
    )
    attack.add_argument(
        "--seed",
        type=cli.seed_int,
        default=0,
        metavar="N",
        help="seed of all that is random (default: 0)",
    )
    parser.add_argument(
        "--output-dir",
        metavar="DIR",
        help="where the pictures go (default: runs/chapter10_imagenet/NUMBER)",
    )
    return parser


def read_options(argv: list[str] | None) -> argparse.Namespace:
    """The command line, with the epsilon that goes with it.

    Raises:
        UserError: something in it cannot be.
    """
    options = build_parser().parse_args(argv)
    if not options.photos and not options.noise:
        raise UserError("give a photo, or --noise (see --help)")
    for path in options.photos:
        if not Path(path).is_file():
            raise UserError(f"{path}: there is no such file")
    if options.epsilon is None:
        options.epsilon = 4.0 if options.target is None else 8.0
    if options.epsilon < 1:
        raise UserError(f"--epsilon {options.epsilon:g} is less than 1, so no image file shows it")
    if options.epsilon > 255:
        raise UserError(f"--epsilon {options.epsilon:g} is more than 255, all that a value can be")
    if options.steps * options.step_size < 1:
        raise UserError(
            f"--steps {options.steps} of --step-size {options.step_size:g} do not get as far as "
            "epsilon; take more or longer ones"
        )
    return options


def read(path: str, size: int) -> np.ndarray:
    """A photo as the classifier sees it: its middle square, float32, size×size×3, whole numbers
    from 0 to 255."""
    import keras

    from common import images

    photo = images.read_photo(path, path).astype(np.float32)
    square = keras.ops.image.resize(photo, (size, size), antialias=True, crop_to_aspect_ratio=True)
    return np.clip(np.round(keras.ops.convert_to_numpy(square)), 0, 255)


def gaussian_noise(size: int, seed: int) -> np.ndarray:
    """An image of noise for each mean and standard deviation: 25×size×size×3, 0 to 255."""
    random = np.random.default_rng(seed)
    noise = [random.normal(m, d, (size, size, 3)) for m in MEANS for d in DEVIATIONS]
    return np.clip(np.round(noise), 0, 255).astype(np.float32)


def probabilities(classifier, pictures: np.ndarray) -> np.ndarray:
    """n×1000, of images n×size×size×3."""
    import keras

    parts = [classifier(pictures[i : i + 10]) for i in range(0, len(pictures), 10)]
    logits = keras.ops.cast(keras.ops.concatenate(parts), "float32")
    return keras.ops.convert_to_numpy(keras.ops.softmax(logits))


def best(shares: np.ndarray, classes, count: int = 5) -> dict[str, float]:
    """The likeliest classes of one image and their probabilities, best first."""
    order = np.argsort(-shares, kind="stable")[:count]
    return {classes.title(i): float(shares[i]) for i in order}


def fool(classifier, classes, picture: np.ndarray, options) -> tuple:
    """Attacks one image, size×size×3, with PGD, and with noise of the same size.

    Args:
        options: with `target`, the name of the class to be seen, or `label`, of the one that is not
            to be seen any more; if there is neither, that is the one that is seen.

    Returns:
        The adversarial image, and the likeliest classes, by what is looked at: "before", "after",
        "after, saved" (rounded to whole numbers, as in a file), "noise".
    """
    from chapter10_adversarial import applications, attacks

    before = probabilities(classifier, picture[np.newaxis])[0]
    named = options.label if options.target is None else options.target
    common = {
        "logits": classifier,
        "images": picture[np.newaxis],
        "labels": [before.argmax() if named is None else classes.number(named)],
        "epsilon": options.epsilon,
        "bounds": applications.BOUNDS,
        "targeted": options.target is not None,
        "seed": (options.seed, 0),
    }
    changed = attacks.pgd(**common, steps=options.steps, step_size=options.step_size).numpy()
    # As a file can hold it: whole numbers, and those within epsilon.
    whole = np.floor(options.epsilon)
    saved = picture + np.clip(np.round(changed[0] - picture), -whole, whole)
    shown = np.stack([changed[0], saved, attacks.noise(**common).numpy()[0]])
    after, after_saved, noise = (
        best(shares, classes) for shares in probabilities(classifier, shown)
    )
    seen = {
        "before": best(before, classes),
        "after": after,
        "after, saved": after_saved,
        "noise": noise,
    }
    return saved, seen


def main(argv: list[str] | None = None) -> dict:
    options = read_options(argv)
    from common import runs

    where = argparse.Namespace(output_dir=options.output_dir, resume=None)
    del options.output_dir
    run = runs.open_run("chapter10_imagenet", options, where)

    from chapter10_adversarial import applications, figures
    from common import device, images

    device.setup(options.seed)
    classifier = applications.Classifier(options.model, options.weights, options.alpha)
    classes = applications.Classes(options.weights)
    for named in (options.target, options.label):
        if named is not None:
            classes.number(named)  # a mistake in it is told before anything is written
    items = [(path, read(path, classifier.size)) for path in options.photos]
    noise = gaussian_noise(classifier.size, options.seed) if options.noise else None
    if noise is not None and options.target is not None:
        items.append(("noise", noise[len(noise) // 2]))

    sources, digest = list(options.photos), hashlib.sha256()
    for _, picture in items:
        digest.update(picture)
    if noise is not None:
        sources.append("noise")
        digest.update(noise)
    run.start({"source": ", ".join(sources), "sha256": digest.hexdigest()})
    results = {"attacked": []}
    if noise is not None:
        results["noise"] = look_at_noise(classifier, classes, noise, run)
    for number, (name, picture) in enumerate(items, start=1):
        adversarial, seen = fool(classifier, classes, picture, options)
        print(f"\n{name}, epsilon {options.epsilon:g} of 255")
        print_table(seen)
        pixels = [picture.astype(np.uint8), adversarial.astype(np.uint8)]
        page = figures.photo(*pixels, seen["before"], seen["after, saved"], options.epsilon)
        folder = f"{number:02d}-{Path(name).stem[:80]}"
        run.write(f"{folder}/comparison.png", page)
        run.write(f"{folder}/adversarial.png", images.png(pixels[1]))
        results["attacked"].append({"image": name, "folder": folder, "seen": seen})
    run.write_json("results.json", results)
    print(f"\npictures: {run.path}")
    return results


def look_at_noise(classifier, classes, noise: np.ndarray, run) -> list[dict]:
    """noise_grid.png and a table: what is seen in Gaussian noise, by mean and deviation."""
    from chapter10_adversarial import figures

    rows = []
    for i, shares in enumerate(probabilities(classifier, noise)):
        mean, deviation = MEANS[i // len(DEVIATIONS)], DEVIATIONS[i % len(DEVIATIONS)]
        ((name, confidence),) = best(shares, classes, count=1).items()
        rows.append({"mean": mean, "deviation": deviation, "class": name, "confidence": confidence})
        print(f"noise, mean {mean:>3}, deviation {deviation:>2}: {name}, {confidence:.0%}")
    captions = [f"{row['class']}\n{row['confidence']:.0%}" for row in rows]
    run.write(
        "noise_grid.png", figures.noise_grid(noise.astype(np.uint8), captions, MEANS, DEVIATIONS)
    )
    return rows


def print_table(seen: dict[str, dict[str, float]]) -> None:
    """The likeliest classes in columns."""
    width = 30
    print("".join(f"{title:<{width}}" for title in seen))
    for line in zip(*(shares.items() for shares in seen.values()), strict=True):
        cells = (f"{share:>6.1%} {name}" for name, share in line)
        print("".join(f"{cell[: width - 2]:<{width}}" for cell in cells).rstrip())


if __name__ == "__main__":
    cli.run(main)
