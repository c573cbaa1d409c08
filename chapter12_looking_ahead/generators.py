"""Trained generators of other chapters, from their files alone.

The files are plain Keras, so none of the chapters' code is needed.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common import UserError, data, folders, runs
from common.files import foreign

CHAPTERS = ("chapter04_dcgan", "chapter06_progan", "chapter08_cgan")


class Found(NamedTuple):
    """A generator's file, and the data set that it was trained on.

    `group` names those that are summarised together: the runs of a chapter on one data set, in
    chapters 6 and 8 also of one `--model`; of a file that no run is known of, the file.
    """

    group: str
    path: Path
    dataset: str


class Generator(NamedTuple):
    """A function of noise, n×latent_dim, and labels, n, to images, n×28×28×1 in [-1, 1].

    An unconditional generator does not look at the labels.
    """

    make: Callable[[np.ndarray, np.ndarray], np.ndarray]
    latent_dim: int


def find(names: Sequence[str], home: Path = Path("runs")) -> list[Found]:
    """Runs that have a generator: those named by their folders, or the latest of each chapter.

    Of the latter, what is not there or is of photos is left out, and a line says so.

    Raises:
        UserError: a named one is not there, not finished, or not of digits or clothes; or, without
            names, nothing is left.
    """
    if names:
        return [of_run(Path(name)) for name in names]
    found: list[Found] = []
    skipped: list[UserError] = []
    for chapter in CHAPTERS:
        try:
            found.append(of_run(folders.find_finished(home / chapter, "latest")))
        except UserError as error:
            skipped.append(error)
    if not found:
        commands = ", ".join(f"python {chapter}/train.py" for chapter in CHAPTERS)
        raise UserError(f"{home}: no finished run of chapter 4, 6 or 8; train one: {commands}")
    for reason in skipped:
        print(f"left out: {reason}", file=sys.stderr)
    return found


def of_file(path: Path, dataset: str) -> Found:
    """The generator in a .keras file, which was trained on this data set."""
    return Found(str(path), path, dataset)


def of_run(folder: Path) -> Found:
    """The generator of a finished run in this folder.

    Raises:
        UserError: there is none, or it was trained on photos, which the classifier does not know.
    """
    if os.path.isfile(folder):
        raise UserError(f"{folder}: is no folder of a run; --keras-file takes .keras files")
    # With the current folder before it, "3" or "latest" is a folder, as runs of several chapters
    # have the same numbers.
    folder = folders.find_finished(folder, os.path.join(os.curdir, folder))
    path = folder / "config.json"
    with foreign(path, "cannot be read"):
        record = runs.Record.model_validate_json(path.read_bytes())
    dataset = str(record.settings.get("dataset"))
    if dataset not in data.NAMES:
        raise UserError(f"{folder}: trained on {dataset}; the metrics know {', '.join(data.NAMES)}")
    kind = record.settings.get("model", "")  # chapter 6's progan or stylegan, 8's cgan or acgan
    group = ", ".join(filter(None, (record.chapter, str(kind), data.NAMES[dataset])))
    return Found(group, folder / "generator.keras", dataset)


def load_all(found: Sequence[Found], named: bool) -> list[tuple[Found, Generator]]:
    """Reads generators, each beside where it was found.

    Args:
        named: whether they were asked for by their names. Of others, what `load` refuses, as a run
            of chapter 6 that ended at 8×8, is left out, and a line says so.

    Raises:
        UserError: a named one is refused; or of others, all are.
    """
    loaded: list[tuple[Found, Generator]] = []
    refused: list[UserError] = []
    for one in found:
        try:
            loaded.append((one, load(one.path)))
        except UserError as error:
            if named:
                raise
            refused.append(error)
    if not loaded:
        raise refused[0]
    for reason in refused:
        print(f"left out: {reason}", file=sys.stderr)
    return loaded


def load(path: Path) -> Generator:
    """Reads a generator: from noise, or noise and a label, to digits of 28×28 or padded to 32×32.

    Raises:
        UserError: it cannot be read, or is no such network.
    """
    import keras

    from common.model import predict

    if not os.path.isfile(path):
        raise UserError(f"{path}: there is no such file")
    with foreign(path, "cannot be loaded"):
        network: Any = keras.models.load_model(path, compile=False)
        inputs = [len(tensor.shape) for tensor in network.inputs]
        made = tuple(network.outputs[0].shape[1:])
    if inputs not in ([2], [2, 1]) or made not in ((28, 28, 1), (32, 32, 1)):
        raise UserError(
            f"{path}: makes {made} from {len(inputs)} inputs; truncation takes generators of "
            "28×28×1 or 32×32×1 from noise, or from noise and a label"
        )

    def make(noise, labels):
        images = predict(network, [noise, labels] if len(inputs) == 2 else noise)
        border = (made[0] - 28) // 2  # chapter 6 pads digits by 2
        # Chapter 6's last layer is linear: what lies outside of [-1, 1] is cut off in pictures.
        return np.clip(images[:, border : border + 28, border : border + 28], -1, 1)

    return Generator(make, network.inputs[0].shape[-1])
