"""Trains a chapter's presets over several seeds and prints the results beside the published ones.

    python benchmarks/quality.py chapter03_gan                                quick and book
    python benchmarks/quality.py chapter03_gan --presets book --seeds 0 1     two runs
    python benchmarks/quality.py chapter10_adversarial --flags=--defend       more flags for it
    python benchmarks/quality.py chapter12_looking_ahead/attention            one of several

The runs stay in --output-dir; what is finished there is not trained again, so this can be stopped
and started as one likes. Runs of other settings or other data are refused before anything is
trained; those of other code, or of other versions of Python and of packages, are named in a line,
and averaged.
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


def folder_of(chapter, preset, seed, arguments):
    """Where the run with this seed is, or will be."""
    words = [arguments.dataset, preset, *re.findall(r"[\w.]+", arguments.flags), f"seed{seed}"]
    return Path(arguments.output_dir) / chapter / "-".join(filter(None, words))


def check_found(preset, settings, folder, arguments):
    """Looks at a run that is on disk, finished or not, before anything is trained.

    Exits with a line if it has other settings than the preset has now, or other data than would be
    trained on now (of photos, `check_same_data` compares the runs with each other). If it was begun
    with other code or other versions of Python or of packages, a line says so.
    """
    from common import data, runs

    if not (folder / "config.json").exists():
        return
    record = record_of(folder)
    found = record["settings"]
    flags = re.findall(r"--(?:no-)?([a-z0-9-]+)", arguments.flags)
    free = {f.replace("-", "_") for f in flags} | {"dataset", "data_dir", "seed", "fid"}
    free |= {"sample_interval"}  # which --iterations changes
    for name, value in json.loads(settings.model_dump_json(exclude=free)).items():
        if found.get(name) != value:
            sys.exit(
                f"{folder} has {name} {found.get(name)}, {preset} has {value} now; "
                "move the folder away"
            )
    if found.get("dataset") in data.NAMES:
        now = data.load(found["dataset"], arguments.data_dir, found["validation_images"])
        if now.describe()["sha256"] != record["data"]["sha256"]:
            sys.exit(
                f"{folder} has other data ({record['data']['source']}) than there is now "
                f"({now.source}); move the folder away, or give its --data-dir"
            )
    others = [
        f"{name} {record['versions'].get(name)} (now {version})"
        for name, version in runs.versions_of(record["chapter"]).items()
        if record["versions"].get(name) != version
    ]
    if others:
        print(f"{folder} was begun with {', '.join(others)}", file=sys.stderr)


def record_of(folder):
    """A run's config.json."""
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


def train(chapter, preset, settings, seed, arguments):
    """Trains one run, or finds it finished; gives its folder."""
    from common.training import program_file

    folder = folder_of(chapter, preset, seed, arguments)
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
            if subprocess.run(command, stdout=log).returncode:
                sys.exit(f"{folder}: the run failed; what it said is above and in {log.name}")
    return folder


def check_same_data(folders):
    """Exits with a line if runs whose figures would be averaged were trained on different data."""
    by_hash = {record_of(folder)["data"]["sha256"]: folder for folder in folders}
    if len(by_hash) > 1:
        several = " and ".join(map(str, by_hash.values()))
        sys.exit(f"{several} were trained on different data; move away what is not meant")


def results_of(folder):
    return flat(json.loads((folder / "results.json").read_text(encoding="utf-8")))


def flat(results):
    """Results by one name each: chapter 5's are those of several games, "minimax fid" and so on."""
    by_name = {}
    for name, content in results.items():
        if isinstance(content, dict):
            by_name |= {f"{name} {inner}": value for inner, value in flat(content).items()}
        else:
            by_name[name] = content
    return by_name


def fids_of(history):
    """What history.csv counts, "iteration" or in chapter 6 "image", and the FID after so many.

    It is empty if there is none, as in chapter 5, where each game has a history of its own.
    """
    if not history.exists():
        return "", {}
    with open(history) as file:
        reader = csv.DictReader(file)
        unit = reader.fieldnames[0]
        return unit, {int(row[unit]): float(row["fid"]) for row in reader if "fid" in row}


def table(results, published):
    """Prints each number over the seeds."""
    for name in dict.fromkeys(name for result in results for name in result):
        line = f"  {name:<36}{over_seeds([result.get(name) for result in results])}"
        print(line + (f"  published: {published[name]}" if name in published else ""))


def over_seeds(values):
    """Mean ± standard deviation of the seeds' values, and each of them; or the only value.

    A seed may have none, as where a game diverged: it is a dash, and has no part in the two.
    """
    numbers = [value for value in values if value is not None]
    each = [shown(value) for value in values]
    if not any(isinstance(value, float) for value in numbers):
        return each[0] if len(set(each)) == 1 else ", ".join(each)
    line = f"{statistics.mean(numbers):.4g}"
    if len(numbers) > 1:
        line += f" ± {statistics.stdev(numbers):.2g}"
    return line + (f"  ({', '.join(each)})" if len(each) > 1 else "")


def shown(value):
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def measure_chapter(chapter, arguments):
    presets = loops.presets(chapter)
    chosen = arguments.presets or loops.measured_presets(chapter)
    for preset in chosen:
        if preset not in presets:
            sys.exit(f"--presets {preset}: {chapter} has {', '.join(presets)}")
        for seed in arguments.seeds:
            folder = folder_of(chapter, preset, seed, arguments)
            check_found(preset, presets[preset], folder, arguments)
    for preset in chosen:
        folders = [
            train(chapter, preset, presets[preset], seed, arguments) for seed in arguments.seeds
        ]
        check_same_data(folders)
        words = [chapter, "--preset", preset, arguments.flags, "seeds", *map(str, arguments.seeds)]
        print(" ".join(filter(None, words)))
        table([results_of(folder) for folder in folders], loops.published(chapter, preset))
        units, fids = zip(*(fids_of(folder / "history.csv") for folder in folders), strict=True)
        if fids[0]:
            print(f"  FID by {units[0]}")
        for count in fids[0]:
            print(f"  {count:>10}  " + "  ".join(f"{of_seed[count]:7.2f}" for of_seed in fids))
        sys.stdout.flush()


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
        help="default: quick and book; quick alone where book needs a GPU or hours, and in "
        "chapters 11 and 12; in chapter 2, where both are one, book; in chapter 7 feature-matching "
        "besides",
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
    from common import cli

    cli.run(main)
