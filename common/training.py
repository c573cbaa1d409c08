"""What the training of all chapters has in common. Imports TensorFlow only where it trains.

A chapter's `train(config, run)` loads data, builds networks and a model, and then calls the run's
`begin`; `fit` with its `batches`, `callbacks` and `fit_arguments`; and its `finish`. The checkpoint
is written last of what an interval leaves, so that a resumed run repeats the interval that was cut
short, and overwrites what that left.
"""

import contextlib
import csv
import hashlib
import os
import shlex
import signal
import statistics
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from common import UserError, folders
from common.files import InMemory
from common.runs import ADVICE, Run, installed_versions, read_config
from common.settings import Settings

REPOSITORY = Path(__file__).resolve().parent.parent
CHECKPOINT = "checkpoint/latest.weights.h5"
DIGESTS = "checkpoint/digests.json"
DEFAULT_PRESET = "quick"


def open_run(
    chapter: str,
    presets: Mapping[str, Settings],
    typed: Mapping[str, Any],
    *,
    preset: str | None = None,
    output_dir: str | None = None,
    resume: str | None = None,
) -> "TrainingRun":
    """The run that the flags ask for: a new one, or with --resume one that is on disk.

    No run's folder is made yet.

    Args:
        typed: the settings that were typed, as text.
        preset: its name; None, if it was not typed.
        output_dir: the folder, if one was named.
        resume: the folder or number of the run to go on with, or "latest"; None for a new run.

    Raises:
        UserError: a setting is wrong, there is nothing to resume, the run is finished, its settings
            contradict a flag that was typed, or the folder for a new run is not empty.
    """
    home = Path("runs") / chapter
    if resume is None:
        preset = preset or DEFAULT_PRESET
        config = presets[preset].with_flags(typed)
        folder = Path(output_dir) if output_dir else None
        if folder and os.path.lexists(folder):
            folders.refuse_used(folder)
        return TrainingRun(chapter, config, folder, preset=preset, typed=typed)
    folder = folders.find_unfinished(home, resume, output_dir)
    record, config = read_config(folder, chapter, type(presets[DEFAULT_PRESET]))
    if preset not in (None, record.preset):
        _refuse("preset", preset, folder, record.preset)
    for name, value in typed.items():
        # Data may have moved since the run began; its hash says whether it is the same.
        changed = getattr(config.replace(**{name: value}), name)
        if changed != getattr(config, name) and name != "data_dir":
            _refuse(name, value, folder, getattr(config, name))
    config = config.replace(**{name: value for name, value in typed.items() if name == "data_dir"})
    return TrainingRun(chapter, config, folder, preset=record.preset, record=record)


class Digests(BaseModel):
    """A checkpoint's iteration, and SHA-256 of it and of what belongs to it, as that was then."""

    iteration: int
    weights: str
    config: str
    history: str
    timings: str


class Checkpoints(BaseModel):
    """digests.json: those of the checkpoint and of the one before.

    It is written before the checkpoint. A program that is killed in between leaves the one before.
    """

    digests: list[Digests]


class TrainingRun(Run):
    """A run that is trained, from its beginning or from its checkpoint."""

    # Both are set by `schedule`, which `load_data` calls.
    iterations: int  # of the whole run
    interval: int  # from one picture, line of history and checkpoint to the next

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.device = "CPU"
        self.saved_iteration = 0  # of the checkpoint
        self.history: list[dict[str, Any]] = []
        self.timings: list[dict[str, Any]] = []
        self._digests: list[Digests] = []

    def load_data(self) -> Any:
        """The `data.Dataset` that the settings name; and with it the length of the training.

        Raises:
            UserError: it is not to be had, or smaller than a batch.
        """
        from common import data, stream

        config = self.config
        dataset = data.load(config.dataset, config.data_dir, config.validation_images)
        stream.check_batch_size(config.batch_size, dataset.x_train)
        self.schedule(*config.schedule(len(dataset.x_train)))
        if advice := config.advice(len(dataset.x_train)):
            print(advice, file=sys.stderr)
        return dataset

    def schedule(self, iterations: int, interval: int) -> None:
        """Sets how many training steps there will be, and how many lie between two pictures.

        Raises:
            UserError: they are more than can be counted.
        """
        if iterations >= 2**31:
            raise UserError(f"{iterations} iterations are too many: int32 counts them")
        self.iterations, self.interval = iterations, interval

    def begin(self, model, data: dict[str, Any]) -> None:
        """Makes the folder of a new run, or restores the checkpoint of one that is resumed.

        What can be wrong with settings and data should be known before: until here, nothing is
        written.

        Args:
            model: compiled.
            data: what describes the data, as in `start`, with the number of `training_images`.
        """
        self.start(data)
        self.restore(model)
        if self._record and self._record.versions != installed_versions():
            print("other versions than the run was begun with; bits may differ", file=sys.stderr)
        images = data["training_images"]
        count = " and ".join(map(str, images)) if isinstance(images, list) else images
        print(f"{count} training images: {data['source']}")
        print(f"training on the {self.device} into {self.path}")

    def restore(self, model) -> None:
        """Loads the checkpoint, if there is one, into a built model with built optimisers.

        Raises:
            UserError: it is not as it was written, or does not fit the run's settings.
        """
        checkpoint = self.path / CHECKPOINT
        if not os.path.isfile(checkpoint):
            return
        content = self.read(CHECKPOINT)
        try:
            known = Checkpoints.model_validate_json(self.read(DIGESTS), strict=True).digests
        except ValidationError as error:
            raise UserError(f"{self.path / DIGESTS}: is broken. {ADVICE}") from error
        found = [digests for digests in known if digests.weights == _sha256(content)]
        if not found:
            raise UserError(f"{checkpoint}: is not as it was written. {ADVICE}")
        try:
            model.load_weights(InMemory(checkpoint.name, content))
        except Exception as error:  # Keras and h5py raise whatever they come upon
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"{checkpoint}: cannot be loaded: {reason}") from error
        if _sha256(self.read("config.json")) != found[0].config:
            raise UserError(f"{self.path / 'config.json'}: is not as it was written. {ADVICE}")
        self._digests = found
        self.saved_iteration = iteration = found[0].iteration
        if iteration % self.interval or not 0 < iteration <= self.iterations:
            raise UserError(
                f"{checkpoint}: is of iteration {iteration}, but the run has {self.iterations}, in "
                f"intervals of {self.interval}"
            )
        self.history = self._restore_table("history.csv", found[0].history)
        self.timings = self._restore_table("timings.csv", found[0].timings)

    def _restore_table(self, name: str, digest: str) -> list[dict[str, Any]]:
        """The lines of a CSV file that the checkpoint knows; a later interval's is left out."""
        lines = self.read(name).splitlines(keepends=True)
        lines = lines[: 1 + self.saved_iteration // self.interval]
        if _sha256(b"".join(lines)) != digest:
            raise UserError(f"{self.path / name}: is not as it was written. {ADVICE}")
        rows = csv.DictReader(line.decode() for line in lines)
        return [
            {k: int(v) if k == "iteration" else float(v) for k, v in row.items()} for row in rows
        ]

    def save_checkpoint(self, model) -> None:
        """Writes one file with the weights, the optimisers' state and the iteration."""
        file = InMemory("latest.weights.h5")
        model.save_weights(file)
        content = file.getvalue()
        now = Digests(
            iteration=int(model.iterations),
            weights=_sha256(content),
            config=_sha256(self.read("config.json")),
            history=_sha256(self.read("history.csv")),
            timings=_sha256(self.read("timings.csv")),
        )
        self._digests = [now, *self._digests[:1]]
        self.write_json(DIGESTS, Checkpoints(digests=self._digests).model_dump())
        self.write(CHECKPOINT, content)
        self.saved_iteration = now.iteration

    def steps_per_execution(self, most: int = 100) -> int:
        """For `compile`: how many steps run as one program, a number that divides the interval.

        Args:
            most: at most so many; 100 is where more stops paying for the smallest networks. For
                larger ones fewer are enough, and Ctrl-C and the progress bar wait for fewer steps.
        """
        return max(n for n in range(1, most + 1) if self.interval % n == 0)

    def batches(self, images, labels=None, **settings):
        """`stream.batches` with the run's batch size and seed, from the checkpoint's iteration on.

        Args:
            settings: what is to be other than the run's, and the value range.
        """
        from common import stream

        own = {"batch_size": self.config.batch_size, "seed": self.config.seed}
        own["start"] = self.saved_iteration
        return stream.batches(images, labels=labels, **(own | settings))

    def callbacks(self, sample_images: Callable, evaluate: Callable | None = None) -> list:
        """For `fit`: a picture, a line of history and the checkpoint at each interval's end.

        Args:
            sample_images, evaluate: see `callbacks.SaveProgress`.
        """
        from common import callbacks

        return [callbacks.SaveProgress(self, sample_images, evaluate)]

    @property
    def fit_arguments(self) -> dict[str, Any]:
        """For `fit`: a Keras epoch is an interval, so that the progress bar is for one interval."""
        return {
            "epochs": self.iterations // self.interval,
            "initial_epoch": self.saved_iteration // self.interval,
            "steps_per_epoch": self.interval,
            "shuffle": False,  # the stream has shuffled; without this, Keras warns
            "verbose": 1 if sys.stdout.isatty() else 2,
        }

    def record(self, iteration: int, logs: dict[str, float], seconds: float) -> None:
        """Adds a line to history.csv, and to timings.csv the seconds that it took."""
        self.history.append({"iteration": iteration, **logs})
        self.timings.append({"iteration": iteration, "seconds": seconds})
        self.write_csv("history.csv", self.history)
        self.write_csv("timings.csv", self.timings)

    def plot_history(self, panels: dict[str, dict[str, str]], title: str) -> None:
        """history.png; see `images.plot_history`."""
        from common import images

        self.write("history.png", images.plot_history(self.history, panels, title))

    def finish(self, quality: dict[str, Any]) -> dict[str, Any]:
        """Writes progress.gif, and results.json, which marks the run as finished; and prints that.

        Args:
            quality: what is measured of the trained networks, by name.

        Returns:
            What it holds: iterations; seconds (of training, pictures and checkpoints not counted);
            seconds_per_iteration, a median over the intervals but the first (None if it is the only
            one), which includes compiling, as the first after a resume does; the last line of
            history; `quality`; and the data's source.
        """
        from common import images

        assert self._record
        self.write("progress.gif", images.animation((self.path / "samples").glob("[0-9]*.png")))
        seconds = [row["seconds"] for row in self.timings]
        results = {
            "iterations": self.iterations,
            "seconds": sum(seconds),
            "seconds_per_iteration": statistics.median(seconds[1:]) / self.interval
            if seconds[1:]
            else None,
            **{k: v for k, v in self.history[-1].items() if k != "iteration"},
            **quality,
            "data": self._record.data.source,
        }
        self.write_json("results.json", results)
        self._lock.release()
        self._lock = None
        width = max(26, *(len(name) + 2 for name in results))
        for name, value in results.items():
            shown = f"{value:.4g}" if isinstance(value, float) else value
            print(f"{name:<{width}}{shown}")
        return results

    @contextlib.contextmanager
    def resumable(self) -> Iterator[None]:
        """Ends a run at Ctrl-C with a KeyboardInterrupt that says what is kept and how to go on."""
        handler = signal.getsignal(signal.SIGINT)  # `callbacks.SaveProgress` has its own
        try:
            yield
        except KeyboardInterrupt:
            if self._lock is None:  # nothing is on disk yet
                raise
            script = REPOSITORY / self.chapter / "train.py"
            if script.is_relative_to(Path.cwd()):
                script = script.relative_to(Path.cwd())
            command = shlex.join(["python", str(script), "--resume", str(self.path)])
            raise KeyboardInterrupt(
                f"Stopped; what was done up to iteration {self.saved_iteration} is kept. "
                f"Go on with\n  {command}"
            ) from None
        finally:
            if self._lock is not None:
                self._lock.release()
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, handler)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _refuse(name, value, folder, saved):
    raise UserError(
        f"--{name.replace('_', '-')} {value} contradicts the run in {folder}, which has {saved}; "
        "a resumed run keeps its settings"
    )
