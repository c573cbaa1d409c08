"""The flags every chapter has, and how a run's end reaches the terminal. Imports no TensorFlow."""

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Mapping

from common import UserError

# Settings are a run's config; these flags only say where it goes and what to do with it.
OPTIONS = ("output_dir", "resume", "dry_run")
DIGITS_OR_CLOTHES = {
    "choices": ["mnist", "fashion_mnist", "sample", "fashion_sample"],
    "help": "the samples are bundled: 4,000 training images of MNIST, 8,000 of Fashion-MNIST",
    "data_dir": "a folder with mnist.npz, fashion_mnist.npz or IDX files; without it, that in the "
    "environment's GANS_DATA, or Keras' cache, or a download into it",
}


class _Parser(argparse.ArgumentParser):
    def __init__(self, description):
        super().__init__(
            description=description,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message):
        raise UserError(f"{message} (see --help)")


def folder(text: str) -> str:
    """A folder, for argparse: absolute, so that a run can be resumed from anywhere."""
    return os.path.abspath(os.path.expanduser(text))


def positive_int(text: str) -> int:
    """A whole number above 0, for argparse."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number


def non_negative_int(text: str) -> int:
    """A whole number of at least 0, for argparse."""
    return 0 if text == "0" else positive_int(text)


def seed_int(text: str) -> int:
    """A seed, for argparse: NumPy takes none below 0, TensorFlow's int32 none above 2³¹ - 1."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number < 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to {2**31 - 1}")
    return number


def positive_float(text: str) -> float:
    """A finite number above 0, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def non_negative_float(text: str) -> float:
    """A finite number of at least 0, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return number


def fraction(text: str) -> float:
    """A number from 0 up to but not including 1, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to below 1")
    return number


def parser(
    description: str,
    presets: Mapping[str, Mapping],
    unit: str = "iterations",
    dataset: Mapping = DIGITS_OR_CLOTHES,
) -> argparse.ArgumentParser:
    """The parser with every chapter's flags; a chapter adds its own to it, without defaults.

    Args:
        unit: how the chapter counts its training, "iterations" as the GANs do, or "epochs".
        dataset: what argparse is told of --dataset and, as "data_dir", the help of --data-dir.
    """
    flags = _Parser(description)
    flags.add_argument(
        "--preset",
        choices=list(presets),
        help="settings that the flags below override one by one (default: quick)",
    )
    data = flags.add_argument_group("data")
    dataset = dict(dataset)
    data.add_argument("--data-dir", type=folder, metavar="DIR", help=dataset.pop("data_dir"))
    data.add_argument("--dataset", **dataset)
    data.add_argument(
        "--validation-images",
        type=positive_int,
        metavar="N",
        help="choose settings with this: the last N training images take the test images' place",
    )
    training = flags.add_argument_group("training")
    if unit == "epochs":
        training.add_argument(
            "--epochs", type=positive_int, metavar="N", help="passes over the training images"
        )
    else:
        _add_iterations(training)
    training.add_argument(
        "--batch-size", type=positive_int, metavar="N", help="images of one training step"
    )
    training.add_argument(
        "--seed",
        type=seed_int,
        metavar="N",
        help="on the same machine and cores, the same seed gives the same run, to the bit",
    )
    training.add_argument(
        "--precision",
        choices=["float32", "mixed_bfloat16"],
        help="mixed_bfloat16 computes with half the bits: faster on hardware that has instructions "
        "for it, slower on other CPUs",
    )
    run = flags.add_argument_group("run")
    run.add_argument(
        "--output-dir", metavar="DIR", help="the run's folder (default: runs/CHAPTER/NUMBER)"
    )
    run.add_argument(
        "--resume",
        nargs="?",
        const="latest",
        metavar="RUN",
        help="go on with the latest unfinished run, or with RUN, its folder or number",
    )
    run.add_argument("--dry-run", action="store_true", help="print the settings and stop")
    return flags


def plain_parser(description: str) -> argparse.ArgumentParser:
    """A parser without any flags yet, for a program beside a chapter's train.py."""
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever ~/.keras/keras.json says
    return _Parser(description)


def run_parser(description: str, optional: bool = True) -> argparse.ArgumentParser:
    """The parser of a program that uses what a finished run has trained; it adds its own flags.

    Args:
        optional: the run may be left out, which means the latest.
    """
    flags = plain_parser(description)
    which = "a finished run, its folder or number"
    if optional:
        which += " (default: the latest)"
        flags.add_argument("run", nargs="?", default="latest", metavar="RUN", help=which)
    else:
        flags.add_argument("run", metavar="RUN", help=f"{which}, or latest")
    return flags


def _add_iterations(training) -> None:
    training.add_argument(
        "--iterations", type=positive_int, metavar="N", help="training steps of the whole run"
    )
    training.add_argument(
        "--sample-interval",
        type=positive_int,
        metavar="N",
        help="iterations from one picture, line of history and checkpoint to the next "
        "(default: the preset's, or the next smaller number that divides --iterations)",
    )
    training.add_argument(
        "--fid",
        action="store_true",
        default=None,
        help="measure the FID at each sample interval too, not only at the end",
    )


def parse(
    flags: argparse.ArgumentParser, presets: Mapping[str, Mapping], argv: list[str] | None
) -> tuple[argparse.Namespace, argparse.Namespace]:
    """Reads the command line, and chooses TensorFlow as Keras' backend before Keras is imported.

    Returns:
        The settings, each from its flag or else from the preset (they become the run's config),
        and the options: output_dir, resume, dry_run, and `given`, the settings that were typed.

    Raises:
        UserError: a flag is unknown, or its value is not one it takes.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever ~/.keras/keras.json says
    options = flags.parse_args(argv)
    settings = {k: v for k, v in vars(options).items() if k not in OPTIONS}
    options.given = {k: v for k, v in settings.items() if v is not None}
    for name in settings:
        delattr(options, name)
    settings["preset"] = settings["preset"] or "quick"
    config = argparse.Namespace(**{**settings, **presets[settings["preset"]], **options.given})
    if config.data_dir and config.dataset in ("sample", "fashion_sample"):
        raise UserError(f"--data-dir has no part in --dataset {config.dataset}, which is bundled")
    if options.resume is None and "iterations" in vars(config):  # a resumed run has its own
        config.sample_interval = interval(
            config.iterations, config.sample_interval, "sample_interval" in options.given
        )
    return config, options


def interval(total: int, most: int, given: bool, unit: str = "iterations", flag="interval") -> int:
    """How much training lies between two pictures: a number that divides the whole.

    Args:
        most: what the preset has, or the user.
        given: the user has, so that it is not to be changed.
        unit, flag: what --UNIT and --sample-FLAG are called in errors.

    Raises:
        UserError: the user's does not divide the whole, or nothing near the preset's does.
    """
    if given and total % most:
        raise UserError(f"--{unit} {total} is not a multiple of --sample-{flag} {most}")
    best = max(n for n in range(1, min(most, total) + 1) if total % n == 0)
    if best * 10 < most and best < total:  # as with primes: hundreds of pictures
        rounded = -(-total // most) * most
        raise UserError(
            f"--{unit} {total} cannot be divided into sample intervals of about {most}; "
            f"take {rounded}, or give --sample-{flag}"
        )
    return best


def show(config: argparse.Namespace) -> None:
    """Prints the settings, one a line."""
    width = max(map(len, vars(config))) + 2
    for name, value in vars(config).items():
        print(f"{name.replace('_', '-'):<{width}}{'-' if value is None else value}")


def run(main: Callable) -> None:
    """Calls a chapter's main as a program: a UserError is one line and exit code 2.

    Ctrl-C is exit code 130, as shells have it.
    """
    # Where there is no NVIDIA driver, TensorFlow reports that as an error. It is none.
    gpu = shutil.which("nvidia-smi") is not None
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1" if gpu else "3")
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as interrupt:
        print(f"\n{interrupt or 'Stopped.'}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # train.py | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
