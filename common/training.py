"""What the training of all chapters has in common. Imports TensorFlow only where it trains.

A chapter's `train(config, run)` loads data, builds networks and a model, and then calls the run's
`begin`; `fit` with its `batches`, `callbacks` and `fit_arguments`; and its `finish`. The checkpoint
is written last of what an interval leaves, so that a resumed run repeats the interval that was cut
short, and overwrites what that left.
"""

import contextlib
import json
import os
import shlex
import signal
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from common import UserError, checkpoints
from common.folders import REPOSITORY
from common.replicas import ONE, Replicas
from common.runs import Run


def program_file(chapter: str) -> Path:
    """The program whose runs are kept in runs/CHAPTER: for "chapter03_gan" the train.py in it; for
    "chapter11_applications/design", of a chapter with several programs, the design.py in it."""
    path = REPOSITORY / chapter
    return path.with_suffix(".py") if "/" in chapter else path / "train.py"


def command_line(chapter: str, *flags: str) -> str:
    """What starts a program with these flags, as one types it in the current folder.

    Args:
        chapter: see `program_file`.
    """
    script = program_file(chapter)
    with contextlib.suppress(OSError, ValueError):  # elsewhere, or in a deleted folder
        script = script.relative_to(Path.cwd())
    quote = subprocess.list2cmdline if sys.platform == "win32" else shlex.join
    return quote(["python", str(script), *flags])


class TrainingRun(Run):
    """A run that is trained, from its beginning or from its checkpoint."""

    # All three are set by `schedule`, which `load_data` calls; of a run in parts, in each part.
    iterations: int  # of the whole run
    interval: int  # from one picture, line of history and checkpoint to the next
    unit = "iteration"  # what is counted; or "image" where batches have several sizes

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.device = "CPU"  # or "GPU"
        self.strategy: Any = None  # for several devices
        self.workers: Any = None  # on several machines
        self.replicas = ONE
        self.machine_flags: list[str] = []  # see `machine.typed_flags`
        self.saved_iteration = 0  # of the checkpoint
        self.history: list[dict[str, Any]] = []
        self.timings: list[dict[str, Any]] = []
        self._digests: checkpoints.Digests | None = None  # of the checkpoint

    def use_devices(self, strategy: Any, workers: Any = None) -> None:
        """Sets which devices train.

        Args:
            strategy: `tf.distribute`'s; None for one device.
            workers: a `workers.Workers`, if the devices are of several machines.

        Raises:
            UserError: the settings' batches cannot be divided among them.
        """
        self.strategy, self.workers = strategy, workers
        if strategy:
            count = strategy.num_replicas_in_sync
            own = count // (len(workers.addresses) if workers else 1)
            first = own * workers.cluster.number if workers else 0
            self.replicas = Replicas(count, range(first, first + own))
        self.config.check_replicas(self.replicas)

    @property
    def is_chief(self) -> bool:
        """Whether this program writes: it trains alone, or is the first of several."""
        return self.workers is None or self.workers.cluster.is_chief

    @property
    def xla(self) -> bool:
        """For `compile`: whether XLA compiles the training step."""
        return self.config.compiles(self.device)

    def scope(self) -> contextlib.AbstractContextManager:
        """In it, networks, models and optimisers are made that train on all devices."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def write(self, name: str, content: bytes) -> None:
        if self.is_chief:
            super().write(name, content)

    def load_data(self) -> Any:
        """The `data.Dataset` that the settings name; and with it the length of the training.

        Raises:
            UserError: it is not to be had, or smaller than a batch.
        """
        from common import data, stream

        config = self.config
        name = self.data_name(config.data_dir)
        dataset = data.load(name, config.data_dir, config.validation_images)
        stream.check_batch_size(config.batch_size, dataset.x_train)
        self.schedule(*config.schedule(len(dataset.x_train)))
        self.print_advice(len(dataset.x_train))
        return dataset

    def print_advice(self, images: int) -> None:
        """Prints what the settings advise, trained on so many images, if they advise anything."""
        if self.is_chief and (advice := self.config.advice(images)):
            print(advice, file=sys.stderr)

    def schedule(self, iterations: int, interval: int, unit: str = "iteration") -> None:
        """Sets how many training steps there will be, and how many lie between two pictures.

        Args:
            unit: "iteration"; or "image", for these to be numbers of training images, as the
                model's `iterations` then is, too.

        Raises:
            UserError: they are more than can be counted.
        """
        if iterations >= 2**31:
            raise UserError(f"{iterations} {unit}s are too many: at most {2**31 - 1} are counted")
        self.iterations, self.interval, self.unit = iterations, interval, unit

    def begin(self, model, data: dict[str, Any]) -> None:
        """Makes the folder of a new run, or restores the checkpoint of one that is resumed.

        What can be wrong with settings and data should be known before: until here, nothing is
        written.

        Args:
            model: compiled.
            data: what describes the data, as in `start`, with the number of `training_images`.
        """
        if self.workers:
            self.workers.compare({"data": data["sha256"]})
        with self._share_errors():
            if self.is_chief:
                self.start(data)
        self.restore(model)
        images = data["training_images"]
        count = " and ".join(map(str, images)) if isinstance(images, list) else images
        print(f"{count} training images: {data['source']}")
        print(f"training on {self._describe_devices(model)} into {self.path}")

    @contextlib.contextmanager
    def _share_errors(self) -> Iterator[None]:
        """With several workers, an error of the chief's within it ends all of them."""
        problem: UserError | None = None
        try:
            yield
        except UserError as error:
            problem = error
        if self.workers:
            message = self.workers.broadcast(str(problem or "").encode() if self.is_chief else None)
            if message and not self.is_chief:
                raise UserError(f"worker 0: {message.decode()}")
        if problem:
            raise problem

    def restore(self, model) -> None:
        """Loads the checkpoint, if there is one, into a built model with built optimisers.

        Raises:
            UserError: it is not as it was written, or does not fit the run's settings.
        """
        with self._share_errors():
            content = self._find_checkpoint() if self.is_chief else None
        if self.workers:
            content = self._share_checkpoint(content)
        if content is not None:
            checkpoints.load(self, model, content)

    def _find_checkpoint(self) -> bytes | None:
        found = checkpoints.find(self)
        if found is None:
            return None
        self._digests, content = found
        iteration = self._digests.iteration
        if iteration % self.interval or not 0 < iteration <= self.iterations:
            raise UserError(
                f"{self.path / checkpoints.CHECKPOINT}: is of {self.unit} {iteration}, but the run "
                f"has {self.iterations}, in intervals of {self.interval}"
            )
        lines = iteration // self.interval
        self.history = checkpoints.table(self, "history.csv", lines, self._digests.history)
        self.timings = checkpoints.table(self, "timings.csv", lines, self._digests.timings)
        self.saved_iteration = iteration
        return content

    def _share_checkpoint(self, content: bytes | None) -> bytes | None:
        """The chief's checkpoint, at each worker: they may not see its folder."""
        state = {
            "path": str(self.path),
            "iteration": self.saved_iteration,
            "history": self.history,
            "timings": self.timings,
        }
        received = json.loads(
            self.workers.broadcast(json.dumps(state).encode() if self.is_chief else None)
        )
        self.path = Path(received["path"])
        self.saved_iteration = received["iteration"]
        self.history, self.timings = received["history"], received["timings"]
        return self.workers.broadcast(content) if self.saved_iteration else None

    @staticmethod
    def picture(iteration: int) -> str:
        """The name of the picture after so many iterations."""
        return f"samples/{iteration:06d}.png"

    def save_checkpoint(self, model) -> None:
        """Writes one file with the weights, the optimisers' state and the iteration."""
        content = checkpoints.content_of(model)
        iteration = int(model.iterations.numpy())
        if self.is_chief:
            self._digests = checkpoints.save(self, iteration, content, self._digests)
        self.saved_iteration = iteration

    def steps_per_execution(self, most: int = 100, steps: int | None = None) -> int:
        """For `compile`: how many steps run as one program, a number that divides the interval.

        Args:
            most: at most so many; 100 is where more stops paying for the smallest networks. For
                larger ones fewer are enough, and Ctrl-C and the progress bar wait for fewer steps.
            steps: of an interval, where that is not counted in steps.
        """
        steps = steps or self.interval
        return max(n for n in range(1, most + 1) if steps % n == 0)

    def batches(self, images, labels=None, **settings):
        """`stream.batches` with the run's batch size and seed, from the checkpoint's iteration on.

        Args:
            settings: what is to be other than the run's, and the value range.
        """
        from common import stream

        own = {"batch_size": self.config.batch_size, "seed": self.config.seed}
        own["start"] = self.saved_iteration
        own["replicas"] = self.replicas
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
        self.history.append({self.unit: iteration, **logs})
        self.timings.append({self.unit: iteration, "seconds": seconds})
        self.write_csv("history.csv", self.history)
        self.write_csv("timings.csv", self.timings)

    def plot_history(self, panels: dict[str, dict[str, str]], title: str) -> None:
        """history.png; see `images.plot_history`."""
        from common import images

        self.write("history.png", images.plot_history(self.history, panels, title, self.unit))

    def finish(self, quality: dict[str, Any]) -> dict[str, Any]:
        """Writes progress.gif, and results.json, which marks the run as finished; and prints that.

        Args:
            quality: what is measured of the trained networks, by name.

        Returns:
            What it holds: iterations; seconds (of training, pictures and checkpoints not counted);
            seconds_per_iteration, the median over all intervals but the first, whose time includes
            compiling (None if there was one alone; after a resume, the interval in which the step
            is compiled again counts); the last line of history; `quality`; and the data's source.
        """
        from common import images

        if not self.is_chief:
            self.workers.broadcast(None)  # the chief has finished
            return {}
        assert self._record
        ends = range(0, self.iterations + 1, self.interval)
        pictures = [self.path / self.picture(iteration) for iteration in ends]
        kept = [path for path in pictures if os.path.isfile(path)]  # some may have been moved away
        try:
            film = images.animation(kept) if kept else None
        except UserError as error:  # no reason to lose what was trained
            print(f"no progress.gif: {error}", file=sys.stderr)
        else:
            if film:
                self.write("progress.gif", film)
        seconds = [row["seconds"] for row in self.timings]
        results = {
            f"{self.unit}s": self.iterations,
            "seconds": sum(seconds),
            f"seconds_per_{self.unit}": statistics.median(seconds[1:]) / self.interval
            if seconds[1:]
            else None,
            **{k: v for k, v in self.history[-1].items() if k != self.unit},
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
        if self.workers:
            self.workers.broadcast(b"finished")
        return results

    def _describe_devices(self, model) -> str:
        """What trains, and how, for people."""
        if self.replicas.count == 1:
            what = f"the {self.device}"
        else:
            what = f"{self.replicas.count} devices ({self.device})"
            if self.workers:
                what += f" of {len(self.workers.addresses)} workers"
        compiled = ", compiled by XLA" if getattr(model, "compiled_by_xla", False) else ""
        return f"{what} in {self.config.precision}{compiled}"

    def advice(self) -> str:
        """How to go on when another worker is gone."""
        return f"{self.kept()}. Start all workers again, with the same command and --resume auto"

    def kept(self) -> str:
        """What of a run that ends before its end is kept."""
        if not self.saved_iteration:
            return "no checkpoint was written yet"
        return f"what was done up to {self.unit} {self.saved_iteration} is kept"

    def _flags_again(self) -> list[str]:
        """What config.json does not hold: which devices train, and where the data has moved to."""
        moved = self._record and self.config.data_dir != self._record.settings["data_dir"]
        return [*self.machine_flags, *(["--data-dir", self.config.data_dir] if moved else [])]

    @contextlib.contextmanager
    def resumable(self) -> Iterator[None]:
        """Ends a run at Ctrl-C with a KeyboardInterrupt that says what is kept and how to go on."""
        handler = signal.getsignal(signal.SIGINT)  # `callbacks.SaveProgress` has its own
        try:
            yield
        except KeyboardInterrupt:
            if self._lock is None:  # nothing is on disk yet
                raise
            if self.workers:
                raise KeyboardInterrupt(f"Stopped; {self.advice()}") from None
            command = command_line(self.chapter, "--resume", str(self.path), *self._flags_again())
            raise KeyboardInterrupt(f"Stopped; {self.kept()}. Go on with\n  {command}") from None
        finally:
            if self._lock is not None:
                self._lock.release()
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, handler)
