"""Compares the speed of a chapter's training with the book's own loop, in turns in one run.

    python benchmarks/speed.py                       every chapter that has a loop
    python benchmarks/speed.py chapter03_gan         one

The loops are in loops/. The book's loop and ours train on the same images: MNIST, or in chapter 9
noise, which takes as long. Times depend on the machine and on what else it does, so the two take
turns, each going first in every second round, and what counts is their ratio. Each has a process of
its own, as ours runs with deterministic operations and the book's loop does not.

Chapters 5 and 6 are compared with PyTorch in eager mode. Chapter 10 attacks rather than trains, and
is compared with the adversarial-robustness-toolbox. These need pip install -r
benchmarks/requirements.txt.
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import loops

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))
LOOPS = loops.compared()
ROUNDS = 5


def prepare(chapter, which, precision, data_dir):
    """In a process of its own: makes one of the two loops and compiles it."""
    global train
    from common import cli, data

    ours = which == "ours"
    cli.setup(0, precision if ours else "float32", deterministic=ours)
    dataset = data.load("mnist", data_dir)
    train = getattr(LOOPS[chapter], which)(dataset)
    train(LOOPS[chapter].our_iterations if ours else 5)


def milliseconds(iterations):
    """In the same process: milliseconds an iteration."""
    started = time.perf_counter()
    train(iterations)
    return (time.perf_counter() - started) * 1000 / iterations


def take_turns(chapter, precision, data_dir):
    """Pairs of milliseconds an iteration, the book's loop and ours, one a round."""
    iterations = {
        "books": LOOPS[chapter].books_iterations,
        "ours": LOOPS[chapter].our_iterations,
    }
    with (
        ProcessPoolExecutor(1, get_context("spawn")) as books,
        ProcessPoolExecutor(1, get_context("spawn")) as ours,
    ):
        processes = {"books": books, "ours": ours}
        for which, process in processes.items():
            process.submit(prepare, chapter, which, precision, data_dir).result()
        turns = []
        for number in range(ROUNDS):
            order = ("books", "ours") if number % 2 == 0 else ("ours", "books")
            taken = {
                which: processes[which].submit(milliseconds, iterations[which]).result()
                for which in order
            }
            turns.append((taken["books"], taken["ours"]))
        return turns


def short_run(chapter, precision, data_dir, folder):
    """The chapter's train.py, and its flags for a run with the settings that are compared."""
    script = REPOSITORY / chapter.split()[0] / "train.py"
    command = [script, "--preset", getattr(LOOPS[chapter], "preset", "book")]
    command += ["--output-dir", f"{folder}/run", *LOOPS[chapter].short, "--precision", precision]
    if "--dataset" not in command:
        command += ["--data-dir", data_dir] if data_dir else []
    return command


def peak_memory(chapter, precision, data_dir):
    """GiB that the chapter's train.py holds at its peak, with the settings that are compared; NaN
    on Windows, which does not tell.
    """
    if not hasattr(os, "wait4"):
        return math.nan
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, *short_run(chapter, precision, data_dir, folder)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{chapter.split()[0]}/train.py failed")
    return usage.ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)  # bytes there, else KiB


def main():
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    chapters = list(dict.fromkeys(name.split()[0] for name in LOOPS))
    flags.add_argument("chapters", nargs="*", metavar="CHAPTER", help=", ".join(chapters))
    flags.add_argument(
        "--data-dir", metavar="DIR", help="MNIST from this folder, rather than the bundled one"
    )
    arguments = flags.parse_args()
    for name in arguments.chapters:
        if name not in chapters:
            flags.error(f"there is no chapter {name}; choose from {', '.join(chapters)}")

    row = "{:<28}{:<16}{:>16}{:>10}{:>24}{:>10}"
    print(f"milliseconds an iteration, medians of {ROUNDS} turns; the book's loop is in float32")
    print(row.format("", "ours in", "the book's loop", "ours", "times as fast (range)", "peak GiB"))
    chosen = arguments.chapters or chapters
    for name in [name for name in LOOPS if name.split()[0] in chosen]:
        for precision in LOOPS[name].precisions:
            turns = take_turns(name, precision, arguments.data_dir)
            ratios = [books / ours for books, ours in turns]
            print(
                row.format(
                    name,
                    precision,
                    f"{statistics.median(books for books, _ in turns):.1f}",
                    f"{statistics.median(ours for _, ours in turns):.2f}",
                    f"{statistics.median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f})",
                    f"{peak_memory(name, precision, arguments.data_dir):.2f}",
                ),
                flush=True,
            )


if __name__ == "__main__":
    from common import cli

    cli.run(main)
