"""Finding, numbering and locking the folders of runs. Imports no TensorFlow."""

import argparse
import json
from pathlib import Path
from typing import TextIO

from common import UserError

try:
    import fcntl
except ImportError:  # Windows: there, two programs in one run's folder are not kept apart
    fcntl = None

LOCK = ".lock"
TEMPORARY = ".writing-"  # how the names of files begin that are not whole yet


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


def read_config(folder: Path, chapter: str) -> dict:
    """What a run's config.json holds; a UserError if it is broken or of another chapter."""
    path = folder / "config.json"
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    try:
        whole = isinstance(saved["settings"], dict) and saved["data"]["sha256"]
    except (KeyError, TypeError):
        whole = False
    if not whole:
        raise UserError(f"{path}: is not a run's")
    if saved["chapter"] != chapter:
        raise UserError(f"{folder} is a run of {saved['chapter']}, not of {chapter}")
    return saved
