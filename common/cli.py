"""Programs: flags made from settings, and how a program's end reaches the terminal.

Imports no TensorFlow, so that `--help` and a mistake in a flag are answered at once.
"""

import argparse
import contextlib
import errno
import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from common import UserError, machine, training
from common.settings import Frozen, Settings

POSITIONAL = "positional"  # Annotated[str, POSITIONAL] marks an argument without a flag
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # a file system, or what is printed to
METAVARS = {int: "N", float: "X", str: "TEXT"}
F = TypeVar("F", bound=Frozen)


class _Parser(argparse.ArgumentParser):
    def __init__(self, description: str, add_help: bool = True):
        super().__init__(
            description=description,
            allow_abbrev=False,
            add_help=add_help,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message):
        raise UserError(f"{message} (see --help)")


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
        options, typed = _parse(description, presets, argv)
        dry_run = options.pop("dry_run")
        devices = machine.take_options(options)
        cluster = machine.cluster_of(devices)
        if cluster and not dry_run:
            machine.train_together(cluster, devices, chapter, presets, typed, options, train, run)
        opened = training.open_run(chapter, presets, typed, **options)
        if opened is None:
            print(f"{options['output_dir']}: the run is finished")
            return None
        config = opened.config
        if dry_run:
            _show({"preset": opened.preset, **config.shown()})
            return None
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


def read(description: str, settings: type[F], argv: list[str] | None) -> F:
    """The settings of a program without presets, as those that use what a run has trained.

    Raises:
        UserError: a flag is unknown, or its value is not one that it takes.
    """
    parser = _Parser(description)
    fields = settings.model_fields
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in fields.items()
        if not field.is_required()
    }
    _add_flags(parser, settings, fields, defaults)
    return settings.check(vars(parser.parse_args(argv)))


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
        finally:
            sys.stdout.flush()
    except UserError as error:
        _fail(error, error.code)
    except KeyboardInterrupt as interrupt:
        print(f"\n{str(interrupt) or 'Stopped.'}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # train.py | head
        _drop_output()
        sys.exit(1)
    except OSError as error:
        if error.errno not in FULL or error.filename:
            raise
        _drop_output()
        _fail(f"what is printed cannot be written: {error.strerror}")
    except Exception as error:
        if problem := _nondeterministic(error):
            _fail(f"{problem} --no-deterministic trains without it; the bits may differ each time")
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


def _parse(description, presets, argv) -> tuple[dict[str, Any], dict[str, Any]]:
    """A run's options (preset, output_dir, resume, dry_run), and the settings that were typed."""
    preset: dict[str, Any] = {"choices": list(presets)}
    first = _Parser(description, add_help=False)  # for --help, which shows that preset's values
    first.add_argument("--preset", default=training.DEFAULT_PRESET, **preset)
    name = first.parse_known_args(argv)[0].preset
    chosen: Settings = presets[name]

    parser = _Parser(description)
    preset["help"] = (
        "named settings, which the flags below override one by one "
        f"(default: {training.DEFAULT_PRESET})"
    )
    parser.add_argument("--preset", **preset)
    fields = type(chosen).model_fields
    own = type(chosen).__annotations__
    shared = [name for name in fields if name not in own]
    for title, names in (("data and training", shared), ("this chapter", own)):
        group = parser.add_argument_group(title)
        _add_flags(group, type(chosen), names, chosen.model_dump(), name)
    run = parser.add_argument_group("run")
    run.add_argument(
        "--output-dir", metavar="DIR", help="the run's folder (default: runs/CHAPTER/NUMBER)"
    )
    run.add_argument(
        "--resume",
        nargs="?",
        const="latest",
        metavar="RUN",
        help="go on with the latest unfinished run, or with RUN, its folder or number; auto: as "
        "--resume, or begin a run if there is none; stop if the one in --output-dir is finished",
    )
    run.add_argument("--dry-run", action="store_true", help="print the settings and stop")
    machine.add_options(parser)
    options = vars(parser.parse_args(argv))
    return options, {name: options.pop(name) for name in list(options) if name in fields}


def _add_flags(
    parser: Any,
    settings: type[Frozen],
    names: Iterable[str],
    defaults: Mapping[str, Any],
    source: str = "default",
) -> None:
    """Adds a flag for each field of these names; its type, choices and help are the field's.

    Values are left as they were typed, for pydantic to convert and check.

    Args:
        parser: argparse's, or a group of one.
        defaults: for `--help`, by name; a positional argument without one must be given.
        source: what `--help` calls the defaults, as the preset's name.
    """
    for name in names:
        field = settings.model_fields[name]
        kind = _kind(field.annotation)
        counts: dict[str, Any] = {}
        if get_origin(kind) is tuple:  # so many values
            kind, counts = _kind(get_args(kind)[0]), {"nargs": len(get_args(kind))}
        elif get_origin(kind) is list:
            kind, counts = _kind(get_args(kind)[0]), {"nargs": "*" if name in defaults else "+"}
        if kind is bool:
            form: dict[str, Any] = {"action": argparse.BooleanOptionalAction}
        elif get_origin(kind) is Literal:
            form = {"choices": get_args(kind), "type": type(get_args(kind)[0])}
        else:
            form = {"metavar": "DIR" if name.endswith("_dir") else METAVARS[kind]}
        text = " ".join((field.description or "").split())
        if defaults.get(name) not in (None, []):
            text += f" ({source}: {_shown(defaults[name])})"
        form |= {"help": text.replace("%", "%%"), "default": argparse.SUPPRESS, **counts}
        if POSITIONAL not in field.metadata:
            flag = "--" + (field.alias or name).replace("_", "-")
            parser.add_argument(flag, dest=name, **form)
            continue
        if name in defaults:
            form.setdefault("nargs", "?")
        parser.add_argument(name, **(form | {"metavar": name.removesuffix("s").upper()}))


def _kind(annotation):
    """The type of a value, without `| None` and without its bounds."""
    if NoneType in get_args(annotation):
        annotation = get_args(annotation)[0]
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _show(settings: Mapping[str, Any]) -> None:
    """Prints settings, one a line."""
    width = max(map(len, settings)) + 2
    for name, value in settings.items():
        print(f"{name.replace('_', '-'):<{width}}{'-' if value is None else _shown(value)}")


def _shown(value):
    """A value for people to read."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return " ".join(map(str, value)) if isinstance(value, (tuple, list)) else value
