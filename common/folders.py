"""Finding, numbering and locking the folders of runs. Imports no TensorFlow."""

import errno
import os
import re
import sys
from pathlib import Path

import filelock

from common import UserError
from common.files import TEMPORARY

REPOSITORY = Path(__file__).resolve().parent.parent
LOCK = ".lock"
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # as of some network file systems
NUMBER = re.compile("[0-9]{1,9}")


def named(output_dir: str | None) -> Path | None:
    """The folder that --output-dir names; None where it was not given."""
    if output_dir == "":  # as of a variable of the shell that is not set
        raise UserError("--output-dir: names no folder")
    return Path(os.path.expanduser(output_dir)) if output_dir else None


def find_unfinished(home: Path, resume: str, output_dir: Path | None) -> Path:
    """The folder of the unfinished run that --resume and --output-dir name."""
    if output_dir and resume != "latest":
        raise UserError("--resume RUN and --output-dir both name a run; give one of them")
    if resume == "latest" and not output_dir:
        problem = UserError(f"nothing to resume: there is no unfinished run in {home}")
        for folder in reversed(numbered(home)):
            if _holds(folder, "config.json") and not _holds(folder, "results.json"):
                try:
                    held = lock(folder)
                except UserError as error:  # another user's, say; there may be others
                    problem = error
                    continue
                if held:  # no other program is training it
                    held.release()
                    return folder
                problem = UserError(f"{folder}: another program is training this run")
        raise problem
    folder = output_dir or folder_of(home, resume)
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
        raise UserError(f"{folder}: the run is not finished; --resume goes on with it")
    return folder


def folder_of(home: Path, name: str) -> Path:
    """The folder of a run that is named by its path or its number."""
    if NUMBER.fullmatch(name) and not os.path.exists(name):
        return home / f"{int(name):04d}"
    return Path(os.path.expanduser(name))


def numbered(home: Path) -> list[Path]:
    """The numbered folders in a folder, in their order."""
    try:
        names = [name for name in os.listdir(home) if NUMBER.fullmatch(name)]
    except OSError:  # there is none, or it may not be entered
        return []
    return [home / name for name in sorted(names, key=int)]


def _holds(folder: Path, name: str) -> bool:
    return os.path.isfile(folder / name)  # unlike Path.is_file, it never raises


def lock(folder: Path) -> filelock.BaseFileLock | None:
    """A lock that keeps other programs off the run until it is released; None if one has it.

    The operating system lets go of it too when the program ends, however it ends. On a file system
    without locks nobody is kept off, and one line says so.

    Raises:
        UserError: the folder can't be written to.
    """
    held = filelock.FileLock(folder / LOCK, fallback_to_soft=False)
    try:
        held.acquire(blocking=False)
    except filelock.Timeout:
        return None
    except (OSError, NotImplementedError) as error:
        if isinstance(error, NotImplementedError) or error.errno in NO_LOCKS:
            print(f"{folder}: cannot be locked; train it in one program only", file=sys.stderr)
            return held
        raise UserError(f"{folder}: cannot be written to: {error.strerror}") from error
    return held


def refuse_used(folder: Path, resumable: bool = True) -> None:
    """Raises a UserError if an existing folder can't take a new run.

    Args:
        resumable: whether the program knows --resume.
    """
    try:
        names = os.listdir(folder)
    except NotADirectoryError:
        raise UserError(f"--output-dir {folder}: is not a folder") from None
    except OSError as error:
        raise UserError(f"--output-dir {folder}: cannot be read: {error.strerror}") from error
    if "results.json" in names:
        raise UserError(f"--output-dir {folder}: holds a finished run; name another folder")
    if "config.json" in names and resumable:
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
