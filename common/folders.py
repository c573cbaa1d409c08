"""Finding, numbering and locking the folders of runs. Imports no TensorFlow."""

import os
from pathlib import Path
from typing import TextIO

from common import UserError
from common.files import TEMPORARY

try:
    import fcntl
except ImportError:  # Windows: there, two programs in one run's folder are not kept apart
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


def find_unfinished(home: Path, resume: str, output_dir: str | None) -> Path:
    """The folder of the unfinished run that --resume and --output-dir name."""
    if output_dir and resume != "latest":
        raise UserError("--resume RUN and --output-dir both name a run; give one of them")
    if resume == "latest" and not output_dir:
        for folder in reversed(numbered(home)):
            if _holds(folder, "config.json") and not _holds(folder, "results.json"):
                if file := lock(folder):  # no other program is training it
                    file.close()
                    return folder
        raise UserError(f"nothing to resume: there is no unfinished run in {home}")
    folder = Path(output_dir) if output_dir else folder_of(home, resume)
    if not _holds(folder, "config.json"):
        raise UserError(f"nothing to resume: {folder} holds no run")
    if _holds(folder, "results.json"):
        raise UserError(
            f"nothing to resume: the run in {folder} is finished; begin a new one to train longer"
        )
    return folder


def find_finished(home: Path, name: str) -> Path:
    """The folder of a finished run: named by path or number, or the "latest"."""
    if name == "latest":
        for folder in reversed(numbered(home)):
            if _holds(folder, "results.json"):
                return folder
        raise UserError(f"there is no finished run in {home}; train one first, or name a run")
    folder = folder_of(home, name)
    if not _holds(folder, "config.json"):
        raise UserError(f"{folder}: holds no run")
    if not _holds(folder, "results.json"):
        raise UserError(f"{folder}: the run is not finished; train.py --resume goes on with it")
    return folder


def folder_of(home: Path, name: str) -> Path:
    """The folder of a run that is named by its path or its number."""
    if name.isdecimal() and not os.path.exists(name):
        return home / f"{int(name):04d}"
    return Path(name)


def numbered(home: Path) -> list[Path]:
    """The numbered folders in a folder, in their order."""
    names = os.listdir(home) if os.path.isdir(home) else []
    return [home / name for name in sorted(filter(str.isdecimal, names), key=int)]


def _holds(folder: Path, name: str) -> bool:
    return os.path.exists(folder / name)  # unlike Path.exists, it never raises


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
    except BlockingIOError:
        file.close()
        return None
    except (
        OSError
    ):  # a file system without locks: there, as on Windows, programs are not kept apart
        pass
    return file


def refuse_used(folder: Path) -> None:
    """Raises a UserError if an existing folder can't take a new run."""
    try:
        names = os.listdir(folder)
    except NotADirectoryError:
        raise UserError(f"--output-dir {folder}: is not a folder") from None
    except OSError as error:
        raise UserError(f"--output-dir {folder}: cannot be read: {error.strerror}") from error
    if "results.json" in names:
        raise UserError(f"--output-dir {folder}: holds a finished run; name another folder")
    if "config.json" in names:
        raise UserError(
            f"--output-dir {folder}: holds an unfinished run; add --resume to go on with it"
        )
    if any(name != LOCK and not name.startswith(TEMPORARY) for name in names):
        raise UserError(f"--output-dir {folder}: is not empty; name another folder")


def make_next(home: Path) -> Path:
    """Makes the first free numbered folder; two runs that start at once get two."""
    home.mkdir(parents=True, exist_ok=True)
    number = max([int(path.name) for path in numbered(home)], default=0)
    while True:
        number += 1
        try:
            (home / f"{number:04d}").mkdir()
            return home / f"{number:04d}"
        except FileExistsError:
            continue
