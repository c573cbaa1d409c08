"""Finding, numbering and locking the folders of runs. Imports no TensorFlow."""

import argparse
from pathlib import Path
from typing import TextIO

from common import UserError
from common.files import TEMPORARY

try:
    import fcntl
except ImportError:  # Windows: there, two programs in one run's folder are not kept apart
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


def find_unfinished(home: Path, options: argparse.Namespace) -> Path:
    """The folder of the unfinished run that --resume and --output-dir name."""
    if options.output_dir and options.resume != "latest":
        raise UserError("--resume RUN and --output-dir both name a run; give one of them")
    if options.resume == "latest" and not options.output_dir:
        runs = sorted(home.glob("[0-9]*/config.json"), reverse=True)
        for folder in [path.parent for path in runs]:
            if not (folder / "results.json").exists() and lock(folder):  # and nobody trains it
                return folder
        raise UserError(f"nothing to resume: there is no unfinished run in {home}")
    folder = Path(options.output_dir) if options.output_dir else folder_of(home, options.resume)
    if not (folder / "config.json").exists():
        raise UserError(f"nothing to resume: {folder} holds no run")
    if (folder / "results.json").exists():
        raise UserError(f"nothing to resume: the run in {folder} is finished")
    return folder


def find_finished(home: Path, name: str) -> Path:
    """The folder of a finished run: named by path or number, or the "latest"."""
    if name == "latest":
        finished = sorted(home.glob("[0-9]*/results.json"))
        if not finished:
            raise UserError(f"there is no finished run in {home}; train one first, or name a run")
        return finished[-1].parent
    folder = folder_of(home, name)
    if not (folder / "config.json").exists():
        raise UserError(f"{folder}: holds no run")
    if not (folder / "results.json").exists():
        raise UserError(f"{folder}: the run is not finished; train.py --resume goes on with it")
    return folder


def folder_of(home: Path, name: str) -> Path:
    """The folder of a run that is named by its path or its number."""
    folder = Path(name)
    if not folder.exists() and name.isdecimal():
        folder = home / f"{int(name):04d}"
    return folder


def lock(folder: Path) -> TextIO | None:
    """An open file that keeps others off the run until it is closed; None if they have it.

    The operating system lets go of it too when the program ends, however it ends.

    Raises:
        UserError: the folder can't be written to.
    """
    try:
        file = open(folder / LOCK, "w")
    except OSError as error:
        raise UserError(f"{folder}: cannot be written to: {error.strerror}") from error
    try:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def refuse_used(folder: Path) -> None:
    """Raises a UserError if an existing folder can't take a new run."""
    if not folder.is_dir():
        raise UserError(f"--output-dir {folder}: is not a folder")
    if (folder / "results.json").exists():
        raise UserError(f"--output-dir {folder}: holds a finished run; name another folder")
    if (folder / "config.json").exists():
        raise UserError(
            f"--output-dir {folder}: holds an unfinished run; add --resume to go on with it"
        )
    names = [path.name for path in folder.iterdir() if path.name != LOCK]
    if any(not name.startswith(TEMPORARY) for name in names):
        raise UserError(f"--output-dir {folder}: is not empty; name another folder")


def make_next(home: Path) -> Path:
    """Makes the first free numbered folder; two runs that start at once get two."""
    home.mkdir(parents=True, exist_ok=True)
    number = max([int(path.name) for path in home.iterdir() if path.name.isdigit()], default=0)
    while True:
        number += 1
        try:
            (home / f"{number:04d}").mkdir()
            return home / f"{number:04d}"
        except FileExistsError:
            continue
