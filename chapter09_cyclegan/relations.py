"""What translations keep of their originals, and how far they are one-to-one, in finished runs.

    python chapter09_cyclegan/relations.py              the latest run
    python chapter09_cyclegan/relations.py 4 5 6        means of three, as of three seeds

For runs of two classes of MNIST or Fashion-MNIST, with the test images, or with those that the run
held out by --validation-images. Each run's folder gets relations.json, and relations.png: originals
from the darkest to the lightest, their translations, and these translated back; above from A to B,
below from B to A.

Each figure is also measured without any translation: of the original images, as they are
("untranslated"), and of real images of the target, each beside an original that it has nothing to
do with ("unrelated").
"""

import statistics
import sys
from pathlib import Path
from typing import Annotated, get_args

import numpy as np
from pydantic import Field

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from chapter09_cyclegan import train
from chapter09_cyclegan.properties import properties, rank_correlation, silhouette_overlap
from common import UserError, cli, flags, runs
from common.flags import POSITIONAL
from common.settings import DigitSet, Folder, Frozen

SHOWN = 10  # originals of each domain in the picture
FIGURES = {  # keys of relations.json, what the table calls them, and their format
    "label_accuracy": ("classified as the target", ".1%"),
    "fid": ("FID", ".1f"),
    "recall": ("recall", ".2f"),
    "shade": ("rank correlation of shade", ".2f"),
    "contrast": ("rank correlation of contrast", ".2f"),
    "size": ("rank correlation of size", ".2f"),
    "strongest": ("strongest of all nine correlations", ".2f"),
    "overlap": ("overlap of silhouettes", ".2f"),
    "retrieval": ("found again after the cycle", ".1%"),
}
TRANSLATORS = ("translated", "untranslated", "unrelated")


class Settings(Frozen):
    """Which runs."""

    runs: Annotated[list[str], POSITIONAL] = Field(default_factory=lambda: ["latest"])
    """finished runs of the same classes, their folders or numbers, or latest"""
    data_dir: Folder | None = None
    """where the runs' data is, if it has moved"""


def main(argv: list[str] | None = None) -> list[dict]:
    settings = flags.read(__doc__, Settings, argv)
    found = [
        runs.find_trained("chapter09_cyclegan", train.Settings, name) for name in settings.runs
    ]
    check_classes(found)
    cli.setup(seed=0)
    measured = [measure_run(run, settings.data_dir) for run in found]
    _, *names = found[0].config.dataset.split(":")
    print(table(names, measured))
    return measured


def check_classes(found: list) -> None:
    """Raises a UserError if runs are not of the same two classes of a labelled set."""
    first = found[0].config.dataset
    for run in found:
        if run.config.dataset.split(":")[0] not in get_args(DigitSet):
            raise UserError(f"{run.path}: is a run of {run.config.dataset}, which has no classes")
        if run.config.dataset != first:
            raise UserError(
                f"{run.path}: is a run of {run.config.dataset}, {found[0].path} one of {first}; "
                "give runs of the same"
            )


def measure_run(run, data_dir: str | None) -> dict[str, dict[str, dict[str, float]]]:
    """Writes relations.json and relations.png into a run's folder.

    Returns:
        What relations.json holds: for the directions "AB" and "BA", for each of TRANSLATORS, the
        FIGURES (`retrieval` of "translated" alone).
    """
    from chapter09_cyclegan.domains import load_domains
    from chapter09_cyclegan.evaluation import translate
    from common import data, images

    config = run.config
    data_dir = data_dir or config.data_dir
    name = run.data_name(data_dir)
    domains = load_domains(name, config.size, data_dir, config.validation_images)
    run.check_data(domains.describe())
    any_size = [(None, None, None, 1)]
    generators = {name: run.load_model(f"g_{name}", any_size, any_size) for name in ("AB", "BA")}
    test = {"A": data.scale(domains.test_A), "B": data.scale(domains.test_B)}
    training = {"A": domains.train_A, "B": domains.train_B}
    classes = data.class_names(config.dataset.split(":")[0])
    labels = {domain: classes.index(name) for domain, name in zip("AB", domains.names, strict=True)}

    results, rows = {}, []
    for source, target in (("A", "B"), ("B", "A")):
        originals = test[source]
        translated = translate(generators[source + target], originals)
        returned = translate(generators[target + source], translated)
        unrelated = np.resize(data.scale(training[target][: len(originals)]), originals.shape)
        evaluator = make_evaluator(config.dataset, test[target])
        made = dict(zip(TRANSLATORS, (translated, originals, unrelated), strict=True))
        measured = {
            kind: measure(originals, some, evaluator, labels[target]) for kind, some in made.items()
        }
        measured["translated"]["retrieval"] = retrieval(originals, returned)
        results[source + target] = measured
        shown = from_dark_to_light(originals)
        rows += [originals[shown], translated[shown], returned[shown]]
    run.write_json("relations.json", results)
    page = images.grid(np.concatenate(rows), len(shown), zoom=max(1, 96 // config.size))
    run.write("relations.png", images.png(page))
    return results


def make_evaluator(dataset: str, targets: np.ndarray):
    """A `metrics.Evaluator`; targets are real test images, float in [-1, 1]."""
    from common import data, metrics

    name = data.NAMES[dataset.split(":")[0]]
    return metrics.Evaluator(name, as_the_classifier_sees(targets))


def as_the_classifier_sees(images: np.ndarray) -> np.ndarray:
    """Images, float in [-1, 1], brought to 28×28: all that are compared go this way."""
    import keras

    return keras.ops.convert_to_numpy(keras.ops.image.resize(images, (28, 28), antialias=True))


def measure(originals: np.ndarray, made: np.ndarray, evaluator, label: int) -> dict[str, float]:
    """What was made of each original, against the target's test images, and against the original.

    Args:
        originals, made: float in [-1, 1], n×height×width×1.
        evaluator: a `metrics.Evaluator` of the target class.
        label: of the target class.

    Returns:
        The FIGURES but `retrieval`. `strongest` is the largest rank correlation, without its sign,
        of any property of the originals with any of what was made: a relation need not be of
        shade with shade.
    """
    report = evaluator.report(
        lambda _: as_the_classifier_sees(made), len(made), np.full(len(made), label)
    )
    before, after = properties(originals), properties(made)
    crossed = [rank_correlation(one, other) for one in before.values() for other in after.values()]
    return {
        **{name: report[name] for name in ("label_accuracy", "fid", "recall")},
        **{name: rank_correlation(before[name], after[name]) for name in before},
        "strongest": max(map(abs, crossed)),
        "overlap": silhouette_overlap(originals, made),
    }


def retrieval(originals: np.ndarray, returned: np.ndarray) -> float:
    """The share of originals that are, of all, the nearest to what came back of them.

    1 where the translations tell all originals apart; 1/n where all are translated into one image.
    """
    from common import metrics

    nearest, _ = metrics.nearest(returned, originals)
    return float(np.mean(nearest == np.arange(len(originals))))


def from_dark_to_light(images: np.ndarray) -> np.ndarray:
    """The numbers of SHOWN images, from the middle of as many equal parts by their shades."""
    order = np.argsort(properties(images)["shade"])
    return order[((np.arange(SHOWN) + 0.5) / SHOWN * len(order)).astype(int)]


def table(names: list[str], measured: list[dict]) -> str:
    """Both directions, as text; of several runs the mean ± standard deviation."""
    A, B = names
    lines = [f"{'':<30}{f'{A} to {B}':>18}{'':30}{f'{B} to {A}':>18}"]
    lines += [" " * 30 + "".join(f"{kind:>18}" for kind in TRANSLATORS * 2)]
    for key, (label, form) in FIGURES.items():
        cells = [
            spread([run[direction][kind].get(key) for run in measured], form)
            for direction in ("AB", "BA")
            for kind in TRANSLATORS
        ]
        lines.append(f"{label:<30}" + "".join(f"{cell:>18}" for cell in cells))
    return "\n".join(lines)


def spread(values: list, form: str) -> str:
    """Mean and, of several, standard deviation as text; of none, nothing."""
    if None in values:
        return ""
    text = f"{statistics.mean(values):{form}}"
    return text + (f" ± {statistics.stdev(values):{form}}" if len(values) > 1 else "")


if __name__ == "__main__":
    cli.run(main)
