"""A run's folder: settings, history, pictures, checkpoint, results. Imports no TensorFlow.

Every file is written under a temporary name and then renamed, so that it is whole or not there,
whenever the program is killed. The checkpoint is written last of what an interval leaves, so that
a resumed run repeats the interval that was cut short, and overwrites what that left.
"""

import argparse
import contextlib
import csv
import io
import json
import os
import platform
import shlex
import signal
import statistics
import sys
import threading
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from common import UserError, folders

REPOSITORY = Path(__file__).resolve().parent.parent
CHECKPOINT = "checkpoint/latest.weights.h5"
PACKAGES = ("tensorflow", "keras", "numpy")


def open_run(chapter: str, config: argparse.Namespace, options: argparse.Namespace) -> "Run":
    """The run that the flags ask for: a new one, or with --resume one that is on disk.

    For a resumed run, `config` is set to what its config.json holds. Nothing is written yet.

    Raises:
        UserError: there is nothing to resume, the run is finished, its settings contradict a flag
            that was given, or the folder for a new run is not empty.
    """
    home = Path("runs") / chapter
    if options.resume is None:
        folder = Path(options.output_dir) if options.output_dir else None
        if folder and folder.exists():
            folders.refuse_used(folder)
        return Run(chapter, config, folder, home)
    folder = folders.find_unfinished(home, options)
    saved = folders.read_config(folder, chapter)
    for name, value in options.given.items():
        if name in saved["settings"] and value != saved["settings"][name] and name != "data_dir":
            flag = "--" + name.replace("_", "-")
            raise UserError(
                f"{flag} {value} contradicts the run in {folder}, which has "
                f"{saved['settings'][name]}; a resumed run keeps its settings"
            )
    vars(config).update({**saved["settings"], **_data_dir(options)})
    return Run(chapter, config, folder, home, saved)


def find_trained(chapter: str, name: str = "latest") -> "Run":
    """A finished run, for the programs that use what it has trained.

    Args:
        name: the run's folder or number, or "latest".

    Raises:
        UserError: there is no such run, it is another chapter's, or it is not finished.
    """
    home = Path("runs") / chapter
    if name == "latest":
        finished = sorted(home.glob("[0-9]*/results.json"))
        if not finished:
            raise UserError(f"there is no finished run in {home}; train one first, or name a run")
        folder = finished[-1].parent
    else:
        folder = folders.folder_of(home, name)
    if not (folder / "config.json").exists():
        raise UserError(f"{folder}: holds no run")
    saved = folders.read_config(folder, chapter)
    if not (folder / "results.json").exists():
        raise UserError(f"{folder}: the run is not finished; train.py --resume goes on with it")
    return Run(chapter, argparse.Namespace(**saved["settings"]), folder, home, saved)


class Run:
    """One run's folder. `config` holds its settings; `path` is None until `start`."""

    def __init__(self, chapter, config, path, home, saved=None):
        self.chapter = chapter
        self.config = config
        self.path = path
        self._home = home
        self._saved = saved  # config.json of a run that is resumed
        self._lock = None
        self.saved_iteration = 0  # of the checkpoint
        self.stop_requested = False
        self.history: list[dict[str, float]] = []
        self.timings: list[dict[str, float]] = []

    def start(self, data: dict) -> None:
        """Makes the folder and writes config.json, or checks that a resumed run fits its own.

        Args:
            data: what describes the data, from `data.Dataset.describe`.

        Raises:
            UserError: the folder can't be written to, or the data is not what the run began with.
        """
        record = {
            "chapter": self.chapter,
            "settings": vars(self.config),
            "data": data,
            "versions": {"python": platform.python_version()}
            | {package: _version(package) for package in PACKAGES},
        }
        if self._saved is None:
            try:
                self.path = self.path or folders.make_next(self._home)
                self.path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                where = self.path or self._home
                raise UserError(f"{where}: cannot be written to: {error.strerror}") from error
        self._lock = folders.lock(self.path)
        if self._lock is None:
            raise UserError(f"{self.path}: another program is training this run")
        if self._saved is None:
            folders.refuse_used(self.path)  # by a program that began after `open_run` looked
            self.write_json("config.json", record)
            return
        self.check_data(data)
        if record["versions"] != self._saved["versions"]:
            print("other versions than the run was begun with; bits may differ", file=sys.stderr)
        for leftover in self.path.rglob(folders.TEMPORARY + "*"):  # of a run that was killed
            leftover.unlink()

    def check_data(self, data: dict) -> None:
        """Raises a UserError if data, as described, is not what a run on disk began with."""
        if data["sha256"] != self._saved["data"]["sha256"]:
            raise UserError(
                f"{self.path} was begun with other data ({self._saved['data']['source']}); "
                f"found now: {data['source']}; --data-dir names a folder with the former"
            )

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Gives a temporary path to write to, which then takes the place of the file `name`.

        Raises:
            UserError: the file can't be written, as on a full disk.
        """
        target = self.path / name
        temporary = target.with_name(folders.TEMPORARY + target.name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except OSError as error:
            raise UserError(f"{target}: cannot be written: {error.strerror or error}") from error

    def write(self, name: str, content: bytes) -> None:
        """Writes a file whole, or not at all."""
        with self.writing(name) as temporary:
            temporary.write_bytes(content)

    def write_json(self, name: str, content: dict) -> None:
        """Writes a dict as JSON."""
        self.write(name, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())

    def write_csv(self, name: str, rows: list[dict]) -> None:
        """Writes dicts of the same keys as CSV, a line each."""
        text = io.StringIO()
        writer = csv.DictWriter(text, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        self.write(name, text.getvalue().encode())

    def restore(self, model) -> int:
        """Loads the checkpoint, if there is one, into a built model with built optimisers.

        Returns:
            The iterations that are done, 0 for a new run.
        """
        if self.path is None or not (checkpoint := self.path / CHECKPOINT).exists():
            return 0
        try:
            model.load_weights(checkpoint)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{checkpoint}: cannot be loaded: {error}") from error
        self.saved_iteration = int(model.iterations)
        self.history = _read_csv(self.path / "history.csv", self.saved_iteration)
        self.timings = _read_csv(self.path / "timings.csv", self.saved_iteration)
        return self.saved_iteration

    def save_checkpoint(self, model) -> None:
        """Writes one file with the weights, the optimisers' state and the iteration."""
        with self.writing(CHECKPOINT) as temporary:
            model.save_weights(temporary)
        self.saved_iteration = int(model.iterations)

    def save_model(self, name: str, model) -> None:
        """Writes a network that `keras.models.load_model` reads without any of our code."""
        with self.writing(name) as temporary:
            model.save(temporary)

    def load_model(self, name: str):
        """Reads a network that `save_model` has written."""
        import keras  # here, so that a mistake in a flag need not wait for TensorFlow

        try:
            return keras.models.load_model(self.path / name, compile=False)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            reason = (str(error).splitlines() or [""])[0]
            raise UserError(f"{self.path / name}: cannot be loaded: {reason}") from error

    def record(self, iteration: int, logs: dict[str, float], seconds: float) -> None:
        """Adds a line to history.csv, and to timings.csv the seconds that it took."""
        self.history.append({"iteration": iteration, **logs})
        self.timings.append({"iteration": iteration, "seconds": seconds})
        self.write_csv("history.csv", self.history)
        self.write_csv("timings.csv", self.timings)

    def finish(self, quality: dict) -> dict:
        """Writes results.json, which marks the run as finished, and prints what it holds.

        Args:
            quality: what is measured of the trained networks, by name.

        Returns:
            What it holds: iterations; seconds (of training, pictures and checkpoints not counted);
            seconds_per_iteration, a median over the intervals after the first, which includes
            compiling (None if it is the only one); the last line of history; `quality`; and the
            data's source.
        """
        interval = self.config.sample_interval
        seconds = [row["seconds"] for row in self.timings]
        results = {
            "iterations": self.config.iterations,
            "seconds": sum(seconds),
            "seconds_per_iteration": statistics.median(seconds[1:]) / interval
            if seconds[1:]
            else None,
            **{k: v for k, v in self.history[-1].items() if k != "iteration"},
            **quality,
            "data": folders.read_config(self.path, self.chapter)["data"]["source"],
        }
        self.write_json("results.json", results)
        self._lock = None
        width = max(26, *(len(name) + 2 for name in results))
        for name, value in results.items():
            shown = f"{value:.4g}" if isinstance(value, float) else value
            print(f"{name:<{width}}{shown}")
        return results

    def end_training(self) -> None:
        """From here on Ctrl-C is raised at once, where it was held back until now."""
        if self.stop_requested:
            raise KeyboardInterrupt
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.default_int_handler)

    @contextlib.contextmanager
    def resumable(self) -> Iterator[None]:
        """Ends a run at Ctrl-C with a KeyboardInterrupt that says what is kept and how to go on.

        Python raises KeyboardInterrupt wherever it is, and in a finaliser nobody hears it. So the
        first Ctrl-C only sets `stop_requested`, which `callbacks.SaveRun` looks at between blocks
        of iterations; a second one is raised at once.
        """

        def request_stop(signal_number, frame):
            self.stop_requested = True
            signal.signal(signal.SIGINT, signal.default_int_handler)

        in_main_thread = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGINT, request_stop) if in_main_thread else None
        try:
            yield
        except KeyboardInterrupt:
            script = REPOSITORY / self.chapter / "train.py"
            if script.is_relative_to(Path.cwd()):
                script = script.relative_to(Path.cwd())
            command = shlex.join(["python", str(script), "--resume", str(self.path)])
            raise KeyboardInterrupt(
                f"Stopped; what was done up to iteration {self.saved_iteration} is kept. "
                f"Go on with\n  {command}"
            ) from None
        finally:
            if in_main_thread:
                signal.signal(signal.SIGINT, before)


def _data_dir(options: argparse.Namespace) -> dict:
    """Data may have moved since the run began; its hash says whether it is the same."""
    return {k: v for k, v in options.given.items() if k == "data_dir"}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # tensorflow-cpu, say
        return None


def _read_csv(path: Path, last: int) -> list[dict]:
    """The rows up to iteration `last`."""
    try:
        with open(path, newline="") as file:
            return [
                {
                    key: int(value) if key == "iteration" else float(value)
                    for key, value in row.items()
                }
                for row in csv.DictReader(file)
                if int(row["iteration"]) <= last
            ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
