"""BigGAN's truncation: precision for recall, with trained generators of chapters 4, 6 and 8.

    python chapter12_looking_ahead/truncation.py              the latest run of each chapter
    python chapter12_looking_ahead/truncation.py runs/chapter04_dcgan/0001 runs/chapter04_dcgan/0002
    python chapter12_looking_ahead/truncation.py --keras-file generator.keras

A generator that was trained with normal noise is given noise without large values (Brock et al.
2019, section 3.1). truncation.png, samples of each generator, table.csv and results.json go into
runs/chapter12_looking_ahead/truncation/NUMBER. Of several runs of a chapter on the same data set,
the plot has the mean: give runs of the same settings, and of several seeds.
"""

import sys
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from chapter12_looking_ahead import generators
from chapter12_looking_ahead.spread import spread
from common import cli, flags, runs
from common.flags import POSITIONAL
from common.settings import DigitSet, Folder, Frozen, Seed

SHOWN = 10  # images of each threshold in the picture
THRESHOLDS = (2.0, 1.5, 1.0, 0.8, 0.6, 0.4, 0.2, 0.1)
MEASURED = ("precision", "recall", "fid")
Threshold = Annotated[float, Field(ge=0.01)]  # below, drawing again would take long


class Settings(Frozen):
    """Which generators, and how far to truncate."""

    runs: Annotated[list[str], POSITIONAL] = Field(default_factory=list)
    """folders of finished runs of chapters 4, 6 and 8, on digits or clothes; without any, and
    without --keras-file, the latest of each"""
    keras_file: list[str] = Field(default_factory=list)
    """generators in .keras files, from noise, or noise and a label, to images in [-1, 1]"""
    dataset: DigitSet | None = None
    """what the generators of --keras-file were trained on (default: mnist); runs know it"""
    data_dir: Folder | None = None
    """a folder with the data set; see chapter 4's train.py"""
    threshold: list[Threshold] = Field(default_factory=lambda: list(THRESHOLDS), min_length=1)
    """noise is drawn again where it is beyond ± this; untruncated noise is always measured, too"""
    images: Annotated[int, Field(ge=65, le=100_000)] = 5_000
    """generated for each threshold, more than the classifier's 64 features"""
    seed: Seed = 0
    """of the noise"""
    output_dir: Annotated[Folder | None, Field(exclude=True)] = None
    """where the pictures go (default: runs/chapter12_looking_ahead/truncation/NUMBER)"""

    @model_validator(mode="after")
    def _dataset_has_a_part(self) -> Self:
        if self.dataset and not self.keras_file:
            raise ValueError("--dataset has no part without --keras-file: runs know theirs")
        return self


def truncated_noise(shape: tuple[int, ...], threshold: float, seed: int) -> np.ndarray:
    """Normal noise whose values beyond ±threshold are drawn again until they are within.

    With the same seed, values that are within two thresholds at once are the same for both.

    Returns:
        float32, of this shape.
    """
    random = np.random.default_rng(seed)
    noise = random.normal(size=shape)
    while np.any(beyond := np.abs(noise) > threshold):
        noise[beyond] = random.normal(size=int(np.sum(beyond)))
    return noise.astype(np.float32)


def main(argv: list[str] | None = None) -> dict:
    """Truncates, measures and writes the pictures; gives what results.json holds: `summarize`."""
    config = flags.read(__doc__, Settings, argv)
    found = [
        generators.of_file(Path(file), config.dataset or "mnist") for file in config.keras_file
    ]
    if config.runs or not found:
        found += generators.find(config.runs)
    run = runs.new("chapter12_looking_ahead/truncation", config, config.output_dir)
    cli.setup(config.seed)
    loaded = generators.load_all(found, named=bool(config.runs or config.keras_file))
    datasets = {one.dataset for one, _ in loaded}
    evaluators = {name: load_evaluator(name, config) for name in sorted(datasets)}
    run.start({"source": ", ".join(str(one.path) for one, _ in loaded), "sha256": ""})

    rows = []
    for number, (one, generator) in enumerate(loaded, start=1):
        print(f"\n{one.path}\n" + ("{:>12}" * 4).format("threshold", *MEASURED))
        evaluator, labels = evaluators[one.dataset]
        samples = {}
        for threshold in [np.inf, *sorted(set(config.threshold), reverse=True)]:
            report, samples[threshold] = measure(generator, evaluator, labels, threshold, config)
            name = {"group": one.group, "generator": str(one.path), "threshold": threshold}
            rows.append(name | report)
            values = "".join(f"{value:>12.3f}" for value in report.values())
            print(f"{threshold:>12g}{values}", flush=True)
        run.write(f"{number:02d}.png", draw_samples(str(one.path), samples))

    results = summarize(rows)
    run.write_csv("table.csv", rows)
    run.write("truncation.png", draw(results))
    run.write_json("results.json", results)
    print(f"\npictures: {run.path}")
    return results


def summarize(rows: list[dict]) -> dict[str, dict]:
    """Of each group and threshold, mean and deviation over its generators of MEASURED."""
    collected: dict[str, dict] = {}
    for row in rows:
        of_group = collected.setdefault(row["group"], {})
        values = of_group.setdefault(f"{row['threshold']:g}", {key: [] for key in MEASURED})
        for key in MEASURED:
            values[key].append(row[key])
    return {
        group: {
            threshold: {key: spread(found) for key, found in values.items()}
            for threshold, values in sweep.items()
        }
        for group, sweep in collected.items()
    }


def load_evaluator(dataset: str, config: Settings):
    """The `metrics.Evaluator` of a data set, and labels as frequent as in its training images."""
    from common import data, metrics

    loaded = data.load(dataset, None if dataset.endswith("sample") else config.data_dir)
    evaluator = metrics.Evaluator(loaded.name, loaded.x_test)
    return evaluator, np.resize(loaded.y_train, config.images)


def measure(generator, evaluator, labels, threshold: float, config: Settings):
    """What MEASURED names, of images of truncated noise; and the first of these images."""
    noise = truncated_noise((config.images, generator.latent_dim), threshold, config.seed)
    images = generator.make(noise, labels)
    report = evaluator.report(lambda count: images[:count], len(images))
    return {key: report[key] for key in MEASURED}, images[:SHOWN]


def draw(results: dict[str, dict]) -> bytes:
    """Precision against recall, and each of MEASURED against the threshold, as PNG.

    Args:
        results: see `summarize`.
    """
    from matplotlib.figure import Figure

    from common import images

    figure = Figure(figsize=(14, 3.8), layout="constrained")
    exchange, *panels = figure.subplots(1, 1 + len(MEASURED))
    measured = [float(threshold) for threshold in next(iter(results.values()))]  # of all groups
    finite = [threshold for threshold in measured if threshold < np.inf]
    none = 2 * max(finite)  # where untruncated noise stands, beyond all thresholds
    places = [min(threshold, none) for threshold in measured]
    for group, sweep in results.items():
        means = {key: [found[key]["mean"] for found in sweep.values()] for key in MEASURED}
        exchange.plot(means["recall"], means["precision"], ".-", label=group)
        exchange.plot(means["recall"][0], means["precision"][0], "k*")
        for ax, key in zip(panels, MEASURED, strict=True):
            deviations = [found[key]["deviation"] or 0 for found in sweep.values()]
            ax.errorbar(places, means[key], deviations, fmt=".-", capsize=2)
    exchange.set(xlabel="recall", ylabel="precision", title="star: untruncated")
    exchange.legend(fontsize=8)
    for ax, key in zip(panels, MEASURED, strict=True):
        ax.set(xlabel="threshold", ylabel="FID" if key == "fid" else key, xscale="log")
        ticks = ["none" if threshold == np.inf else f"{threshold:g}" for threshold in measured]
        ax.set_xticks(places, ticks, rotation=90, fontsize=8)
        ax.minorticks_off()
        ax.set_yscale("log" if key == "fid" else "linear")
    for ax in (exchange, *panels):
        ax.grid(alpha=0.3)
    return images.figure_png(figure)


def draw_samples(title: str, samples: dict[float, np.ndarray]) -> bytes:
    """A row of samples for each threshold, from the same seed, as PNG."""
    from matplotlib.figure import Figure

    from common import images

    figure = Figure(figsize=(8, 0.8 * len(samples) + 0.4), layout="constrained")
    figure.suptitle(title, fontsize=9)
    axes = figure.subplots(len(samples), 1)
    for ax, (threshold, made) in zip(axes, samples.items(), strict=True):
        ax.imshow(images.grid(made, columns=SHOWN), cmap="gray", vmin=0, vmax=255)
        ax.set(xticks=[], yticks=[])
        ax.set_ylabel(f"{threshold:g}", rotation=0, ha="right", va="center")
    return images.figure_png(figure)


if __name__ == "__main__":
    cli.run(main)
