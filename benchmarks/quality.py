"""Trains a chapter's presets over several seeds and prints the results beside the published ones.

    python benchmarks/quality.py chapter03_gan                                quick and book
    python benchmarks/quality.py chapter03_gan --presets book --seeds 0 1     two runs
    python benchmarks/quality.py chapter10_adversarial --flags=--defend       more flags for it
    python benchmarks/quality.py floor                                        what a FID means

The runs stay in --output-dir; what is finished there is not trained again, so this can be stopped
and started as one likes. `floor` measures real images and bad generators
instead of trained ones.
"""

import argparse
import csv
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

import loops

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))


def train(chapter, preset, seed, arguments):
    """Trains one run, or finds it finished; gives its results and its history of FIDs."""
    settings = loops.presets(chapter)[preset]
    words = [arguments.dataset, preset, *re.findall(r"[\w.]+", arguments.flags), f"seed{seed}"]
    folder = Path(arguments.output_dir) / chapter / "-".join(filter(None, words))
    if not (folder / "results.json").exists():
        command = [sys.executable, REPOSITORY / chapter / "train.py", "--output-dir", folder]
        if (folder / "config.json").exists():
            command += ["--resume"]
        else:
            command += [*shlex.split(arguments.flags), "--preset", preset, "--seed", str(seed)]
            command += ["--fid"] if "fid" in type(settings).model_fields else []
            command += ["--dataset", arguments.dataset] if arguments.dataset else []
            command += ["--data-dir", arguments.data_dir] if arguments.data_dir else []
        folder.parent.mkdir(parents=True, exist_ok=True)
        with open(folder.parent / f"{folder.name}.log", "a") as log:
            subprocess.run(command, check=True, stdout=log)
    check_settings(preset, settings, folder, arguments)
    with open(folder / "history.csv") as file:
        rows = list(csv.DictReader(file))
    fids = {int(row["iteration"]): float(row["fid"]) for row in rows if "fid" in row}
    return json.loads((folder / "results.json").read_text()), fids


def check_settings(preset, settings, folder, arguments):
    """Stops if a run that was found has other settings than the preset has now."""
    found = json.loads((folder / "config.json").read_text())["settings"]
    flags = re.findall(r"--(?:no-)?([a-z0-9-]+)", arguments.flags)
    free = {f.replace("-", "_") for f in flags} | {"dataset", "data_dir", "seed", "fid"}
    free |= {"sample_interval"}  # which --iterations changes
    for name, value in json.loads(settings.model_dump_json(exclude=free)).items():
        if found.get(name) != value:
            sys.exit(
                f"{folder} has {name} {found.get(name)}, {preset} has {value} now; "
                "move the folder away"
            )


def table(results, published):
    """Prints mean ± standard deviation of each number over the seeds."""
    for name, value in results[0].items():
        values = [result[name] for result in results]
        line = f"  {name:<36}"
        if isinstance(value, float):
            line += f"{statistics.mean(values):.4g}"
            if len(values) > 1:
                each = ", ".join(f"{value:.4g}" for value in values)
                line += f" ± {statistics.stdev(values):.2g}  ({each})"
        else:
            line += str(value) if len(set(values)) == 1 else ", ".join(map(str, values))
        print(line + (f"  published: {published[name]}" if name in published else ""))


def measure_chapter(chapter, arguments):
    for preset in arguments.presets or loops.measured_presets(chapter):
        runs = [train(chapter, preset, seed, arguments) for seed in arguments.seeds]
        words = [chapter, "--preset", preset, arguments.flags, "seeds", *map(str, arguments.seeds)]
        print(" ".join(filter(None, words)))
        table([results for results, _ in runs], loops.published(chapter, preset))
        if runs[0][1]:
            print("  FID by iteration")
        for iteration in runs[0][1]:
            fids = [fids[iteration] for _, fids in runs]
            print(f"  {iteration:>10}  " + "  ".join(f"{fid:7.2f}" for fid in fids), flush=True)


def measure_floor(arguments):
    """What the metrics say of real images and of generators that are known to be bad."""
    import numpy as np

    from common import data, metrics

    dataset = data.load(arguments.dataset or "mnist", arguments.data_dir)
    images = data.scale(dataset.x_train)
    labels = dataset.y_train
    n = len(dataset.x_test)  # as many as there are real ones, where there are so many
    random = np.random.default_rng(0)
    noise = random.normal(size=(n, 28, 28, 1)).astype(np.float32)
    sets = {
        "training images": images[:n],
        "the same, noise of sd 0.3 added": np.clip(images[:n] + 0.3 * noise, -1, 1),
        "all classes but the 8": images[labels != 8][:n],
        "five classes of ten": images[labels < 5][:n],
        "one class": images[labels == 3][:n],
        "one image of each class": images[[np.argmax(labels == c % 10) for c in range(n)]],
        "uniform noise": random.uniform(-1, 1, noise.shape).astype(np.float32),
    }
    evaluator = metrics.Evaluator(dataset.name, dataset.x_test)
    print(f"{dataset.source}: against {len(dataset.x_test)} test images")
    row = "{:<34}{:>10}{:>10}{:>8}{:>10}{:>11}{:>9}"
    print(row.format("", "images", "FID", "score", "classes", "precision", "recall"))
    for name, pictures in sets.items():
        report = evaluator.report(lambda count, pictures=pictures: pictures[:count], len(pictures))
        print(
            row.format(
                name,
                len(pictures),
                f"{report['fid']:.2f}",
                f"{report['classifier_score']:.2f}",
                report["classes_covered"],
                f"{report['precision']:.3f}",
                f"{report['recall']:.3f}",
            ),
            flush=True,
        )


def main():
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flags.add_argument("what", choices=[*loops.chapters(), "floor"])
    flags.add_argument(
        "--presets",
        nargs="+",
        help="default: quick and book; for chapter 2, where both are one, book; for chapter 9, "
        "whose book needs a GPU, quick",
    )
    flags.add_argument(
        "--flags",
        default="",
        help='more flags for train.py, in one string after an equals sign: --flags="--labeled 50"',
    )
    flags.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    flags.add_argument(
        "--dataset",
        choices=["mnist", "fashion_mnist", "sample", "fashion_sample"],
        help="default: the preset's; for floor mnist",
    )
    flags.add_argument("--data-dir", metavar="DIR")
    flags.add_argument("--output-dir", metavar="DIR", default="runs/quality")
    arguments = flags.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if arguments.what == "floor":
        measure_floor(arguments)
    else:
        measure_chapter(arguments.what, arguments)


if __name__ == "__main__":
    main()
