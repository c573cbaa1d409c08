"""Programs: from flags to a run, and how a program's end reaches the terminal.

Imports no TensorFlow, so that `--help` and a mistake in a flag are answered at once.
"""

import contextlib
import errno
import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from common import UserError, flags, machine, opening

# Of what is printed to: a full disk, or one that fails.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def program(
    chapter: str, description: str, presets: Mapping[str, Any], train: Callable
) -> Callable[[list[str] | None], dict | None]:
    """A chapter's `main`: reads the flags, opens the run, and trains.

    Args:
        chapter: the name of its folder, or, if it has several programs, with the program's:
            "chapter11_applications/design". Runs are kept under that name.
        description: what `--help` begins with.
        presets: the chapter's settings by name.
        train: given the settings and a `training.TrainingRun`, trains, and returns what
            results.json holds. It imports TensorFlow, which takes seconds, and so is called when
            the flags are known to be right.
    """

    def main(argv: list[str] | None = None) -> dict | None:
        options, typed = flags.parse(description, presets, argv)
        dry_run = options.pop("dry_run")
        devices = machine.take_options(options)
        cluster = machine.cluster_of(devices)
        if cluster and not dry_run:
            machine.train_together(cluster, devices, chapter, presets, typed, options, train, run)
        opened = opening.open_run(chapter, presets, typed, **options)
        if opened is None:
            print(f"{options['output_dir']}: the run is finished")
            return None
        config = opened.config
        if dry_run:
            _show({"preset": opened.preset, **config.shown()})
            return None
        opened.machine_flags = machine.typed_flags(devices)
        opened.device = setup(config.seed, config.precision, devices["deterministic"])
        machine.use_devices(opened, devices)
        with opened.resumable():
            return train(config, opened)

    return main


def setup(seed: int, precision: str = "float32", deterministic: bool = True) -> str:
    """Imports TensorFlow, Keras and Matplotlib, and sets them up: see `device.setup`."""
    machine.prepare()
    from common import device

    return device.setup(seed, precision, deterministic)


def run(main: Callable) -> None:
    """Calls a main as a program: what goes wrong is one line, and the exit code 2.

    That is a mistake of the user's, a full disk, or too little memory; what else goes wrong is a
    mistake of ours, and has its traceback. Ctrl-C is exit code 130, as shells have it.
    """
    _prepare_streams()
    warnings.filterwarnings("ignore", module="PIL")  # of what cameras write into photos
    # Without an NVIDIA driver, TensorFlow logs as an error that it found none. It does no harm.
    gpu = shutil.which("nvidia-smi") is not None
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1" if gpu else "3")
    try:
        try:
            main()
        except (UserError, KeyboardInterrupt):  # these lines go to stderr, which may still be there
            try:
                sys.stdout.flush()
            except OSError:
                _drop_output()
            raise
        finally:
            sys.stdout.flush()
    except UserError as error:
        _fail(error, error.code)
    except KeyboardInterrupt as interrupt:
        print(f"\n{str(interrupt) or 'Stopped.'}", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        if _is_closed_pipe(error):  # train.py | head
            _drop_output()
            sys.exit(1)
        if error.errno not in DISK_ERRORS or error.filename:
            raise
        _drop_output()
        _fail(f"what is printed cannot be written: {error.strerror}")
    except Exception as error:
        if problem := _nondeterministic(error):
            _fail(
                f"{problem} Programs that train go without it by --no-deterministic (the bits may "
                "differ each time); by CUDA_VISIBLE_DEVICES=-1 any program computes on the CPU"
            )
        if not _is_of_memory(error):
            raise
        _fail("this does not fit in memory; smaller batches, images or networks need less")


def _prepare_streams() -> None:
    """What is printed reaches the terminal, whatever that can encode, or whether it is there."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # the shell has closed it
            setattr(sys, name, open(os.devnull, "w", errors="backslashreplace"))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _is_closed_pipe(error: OSError) -> bool:
    if sys.platform == "win32" and error.errno == errno.EINVAL:
        return error.filename is None
    return isinstance(error, BrokenPipeError)


def _drop_output() -> None:
    """What is still to be printed goes nowhere: Python prints it when it ends, which would fail."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(reason: Any, code: int = 2) -> None:
    """Ends the program with one line."""
    with contextlib.suppress(OSError):  # it may be full, too
        print("error: " + " ".join(str(reason).split()), file=sys.stderr)
    sys.exit(code)


def _nondeterministic(error: Exception) -> str | None:
    """What TensorFlow says of an operation that has no deterministic form on a GPU."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow and isinstance(error, tensorflow.errors.UnimplementedError):
        found = re.search(r"A deterministic GPU implementation of [^\n]*?\.", str(error))
        return found and found.group()
    return None


def _is_of_memory(error: Exception) -> bool:
    """Whether NumPy, Python or TensorFlow, if it is loaded, has not got the memory it wanted."""
    tensorflow = sys.modules.get("tensorflow")
    kinds = (tensorflow.errors.ResourceExhaustedError,) if tensorflow else ()
    return isinstance(error, (MemoryError, *kinds))


def _show(settings: Mapping[str, Any]) -> None:
    """Prints settings, one a line."""
    width = max(map(len, settings)) + 2
    for name, value in settings.items():
        print(f"{name.replace('_', '-'):<{width}}{'-' if value is None else flags.shown(value)}")
