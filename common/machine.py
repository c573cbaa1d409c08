"""The machine: which of its devices train, and how TensorFlow and Keras are started on it.

Imports TensorFlow only where that is asked for.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from common import UserError, opening
from common.files import readable
from common.folders import REPOSITORY
from common.replicas import Cluster, Replicas, find_cluster
from common.runs import code_digest, installed_versions
from common.settings import NOT_UTF8, Settings

OPTIONS = ("distribute", "devices", "wait", "deterministic")  # flags that are no settings
KERAS_CONFIG = os.path.join("keras", "src", "backend", "config.py")  # reads keras.json


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the machine."""
    group = parser.add_argument_group("devices")
    group.add_argument(
        "--distribute",
        choices=("auto", "none", "mirrored", "multi-worker"),
        default="auto",
        help="which devices share each batch: none, one device trains alone; mirrored, those of "
        "this machine; multi-worker, those of the machines that TF_CONFIG or Slurm names; auto, "
        "these machines, or else all GPUs of this one (default)",
    )
    group.add_argument(
        "--devices",
        metavar="N",
        type=_positive,
        help="how many of this machine's GPUs (default: all); without a GPU, as many devices on "
        "the CPU, to try it",
    )
    group.add_argument(
        "--wait",
        metavar="SECONDS",
        type=_positive,
        default=300,
        help="how long to wait for the other workers to start (default: 300)",
    )
    group.add_argument(
        "--deterministic",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compute the same bits each time (default: on)",
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 10**6:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to 1,000,000")
    return int(text)


def take_options(options: dict[str, Any]) -> dict[str, Any]:
    """Takes those of the machine out of a program's options."""
    return {name: options.pop(name) for name in OPTIONS}


def typed_flags(options: Mapping[str, Any]) -> list[str]:
    """The flags of the machine that a run needs again where it goes on."""
    flags = []
    if options["distribute"] != "auto":
        flags += ["--distribute", options["distribute"]]
    if options["devices"]:
        flags += ["--devices", str(options["devices"])]
    if not options["deterministic"]:
        flags.append("--no-deterministic")
    return flags


def cluster_of(options: Mapping[str, Any]) -> Cluster | None:
    """The machines that are to train together; None for one.

    Raises:
        UserError: they are asked for, and nothing names them; or what names them is wrong.
    """
    cluster = find_cluster() if options["distribute"] in ("auto", "multi-worker") else None
    if options["distribute"] == "multi-worker" and not cluster:
        raise UserError(
            "--distribute multi-worker: neither TF_CONFIG nor Slurm names several workers"
        )
    return cluster


def use_devices(run, options: Mapping[str, Any]) -> None:
    """Lets the run train on the devices of this machine that the flags ask for.

    By "auto" these are all GPUs, or the most of them among which the batches can be divided.
    """
    from common import device

    if options["distribute"] == "none":
        if options["devices"]:
            raise UserError("--devices has no part in --distribute none")
        run.use_devices(None)
        return
    count = options["devices"] or device.count_gpus()
    if options["distribute"] == "mirrored" and count < 2:
        raise UserError(
            "--distribute mirrored: one device is no more than --distribute none"
            if count
            else "--distribute mirrored: there is no GPU; --devices N makes N devices of the CPU"
        )
    if options["distribute"] == "auto" and not options["devices"]:
        asked = count
        count = next(n for n in range(max(1, count), 0, -1) if not _refuses(run.config, n))
        if count < asked:
            print(f"training on {count} of {asked} GPUs: {_refuses(run.config, asked)}")
    run.use_devices(device.mirrored(count))


def _refuses(config: Settings, count: int) -> UserError | None:
    """Why so many devices cannot share the batches, if they cannot."""
    try:
        config.check_replicas(Replicas(count, range(count)))
    except UserError as error:
        return error
    return None


def train_together(cluster, options, chapter, presets, typed, where, train, run_program) -> None:
    """Trains in a program that does so with those on other machines; then ends the program.

    Args:
        cluster: from `cluster_of`.
        options: of the machine.
        chapter, presets, train: see `cli.program`.
        typed, where: the settings that were typed; `preset`, `output_dir` and `resume`.
        run_program: `cli.run`, which tells errors.
    """
    if options["devices"]:
        raise UserError("--devices: several machines train on all of their GPUs")
    if not cluster.is_chief:
        sys.stdout = open(os.devnull, "w")  # the chief prints the same
    prepare()
    from common import device, workers

    def together():
        device.setup(seed=0, deterministic=options["deterministic"])  # before devices are used
        connection = workers.Workers(cluster, options["wait"])
        with connection.dying():
            connection.compare(
                {
                    "code": code_digest(),
                    "versions": installed_versions(),
                    "--deterministic": options["deterministic"],
                }
            )
            run = opening.open_run_of(connection, chapter, presets, typed, **where)
            if run is None:
                print(f"{where['output_dir']}: the run is finished")
                return
            connection.advice = run.advice
            settings = run.config
            run.device = device.setup(settings.seed, settings.precision, options["deterministic"])
            run.use_devices(connection.strategy, connection)
            with run.resumable():
                train(run.config, run)

    # Python's own end would wait for TensorFlow's threads, and they for those of the others.
    try:
        run_program(together)
    except SystemExit as end:
        workers.leave(int(end.code or 0))
    except BaseException:
        traceback.print_exc()
        workers.leave(1)
    workers.leave(0)


def prepare() -> None:
    """Imports TensorFlow, Keras and Matplotlib, whatever the user's own files want of them.

    Raises:
        UserError: the user's keras.json, or a variable of the environment, is not what Keras takes,
            or this code lies where TensorFlow cannot read it.
    """
    code = REPOSITORY
    if readable(str(code)) != str(code):  # TensorFlow reads Python's code by its path
        raise UserError(f"{code}: {NOT_UTF8}")
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever keras.json says
    os.environ["MPLBACKEND"] = "agg"  # needs no window
    try:
        from common import device  # noqa: F401
    except Exception as error:
        places = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
        if not any(place.endswith(KERAS_CONFIG) for place in places):
            raise
        home = os.environ.get("KERAS_HOME", os.path.join("~", ".keras"))
        raise UserError(
            f"Keras does not start: {error}. Mend or delete {os.path.join(home, 'keras.json')}, "
            "and look at the environment's KERAS_ variables"
        ) from error
    import matplotlib

    matplotlib.rcdefaults()  # whatever the user's matplotlibrc says
