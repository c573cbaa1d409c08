"""Trains a chapter's presets over several seeds and prints the results beside the published ones.

    python benchmarks/quality.py chapter03_gan                                quick and book
    python benchmarks/quality.py chapter03_gan --presets book --seeds 0 1     two runs
    python benchmarks/quality.py chapter10_adversarial --flags=--defend       more flags for it
    python benchmarks/quality.py chapter12_looking_ahead/attention            one of several

The runs stay in --output-dir; what is finished there is not trained again, so this can be stopped
and started as one likes.
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
    from common.training import program_file

    settings = loops.presets(chapter)[preset]
    words = [arguments.dataset, preset, *re.findall(r"[\w.]+", arguments.flags), f"seed{seed}"]
    folder = Path(arguments.output_dir) / chapter / "-".join(filter(None, words))
    if not (folder / "results.json").exists():
        command = [sys.executable, program_file(chapter), "--output-dir", folder]
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
    results = json.loads((folder / "results.json").read_text())
    return flat(results), fid_by_iteration(folder / "history.csv")


def flat(results):
    """Results by one name each: chapter 5's are those of several games, "minimax fid" and so on."""
    by_name = {}
    for name, content in results.items():
        if isinstance(content, dict):
            by_name |= {f"{name} {inner}": value for inner, value in flat(content).items()}
        else:
            by_name[name] = content
    return by_name


def fid_by_iteration(history):
    """The FID by the iteration; chapter 5 compares games, whose histories are each their own."""
    if not history.exists():
        return {}
    with open(history) as file:
        rows = list(csv.DictReader(file))
    return {int(row["iteration"]): float(row["fid"]) for row in rows if "fid" in row}


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


def main():
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flags.add_argument(
        "chapter", choices=loops.programs(), metavar="CHAPTER", help=", ".join(loops.programs())
    )
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
        help="default: the preset's",
    )
    flags.add_argument("--data-dir", metavar="DIR")
    flags.add_argument("--output-dir", metavar="DIR", default="runs/quality")
    arguments = flags.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    measure_chapter(arguments.chapter, arguments)


if __name__ == "__main__":
    main()
