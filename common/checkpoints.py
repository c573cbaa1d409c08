"""A run's checkpoint, and what must be as it was when the run goes on. Imports no TensorFlow.

Beside the checkpoint lies its SHA-256, with that of config.json and of the tables as they were when
it was written. What differs is refused: Keras would load some broken files with no more than a
warning, and go on with a new optimiser, say.
"""

import csv
import hashlib
import os
from typing import Any

from pydantic import BaseModel, ValidationError

from common import UserError
from common.files import Files, InMemory, reason

CHECKPOINT = "checkpoint/latest.weights.h5"
DIGESTS = "checkpoint/digests.json"
ADVICE = "Put the original back, or begin a new run"
CHANGED = f"was changed or damaged after the run wrote it. {ADVICE}"


class Digests(BaseModel):
    """A checkpoint's iteration, and the SHA-256 of its file, of config.json and of the tables."""

    iteration: int
    weights: str
    config: str
    history: str
    timings: str


class Known(BaseModel):
    """digests.json: the digests of the checkpoint, and of the one before.

    This file is written first. A program that is killed in between leaves the checkpoint before.
    """

    digests: list[Digests]


def content_of(model: Any) -> bytes:
    """A file with the model's weights, the optimisers' state and the iteration."""
    file = InMemory(os.path.basename(CHECKPOINT))
    model.save_weights(file)
    return file.getvalue()


def save(run: Files, iteration: int, content: bytes, before: Digests | None) -> Digests:
    """Writes what `content_of` gives.

    Args:
        run: the run's folder, with history.csv and timings.csv up to this iteration.
        before: the digests of the checkpoint that this one takes the place of.
    """
    now = Digests(
        iteration=iteration,
        weights=_sha256(content),
        config=_sha256(run.read("config.json")),
        history=_sha256(run.read("history.csv")),
        timings=_sha256(run.read("timings.csv")),
    )
    run.write_json(DIGESTS, Known(digests=[now, before] if before else [now]).model_dump())
    run.write(CHECKPOINT, content)
    return now


def find(run: Files) -> tuple[Digests, bytes] | None:
    """The checkpoint and its digests, or None if there is none yet.

    Raises:
        UserError: it, its digests or config.json was changed, or cannot be read.
    """
    checkpoint, digests = run.path / CHECKPOINT, run.path / DIGESTS
    try:
        names = os.listdir(checkpoint.parent)
    except FileNotFoundError:
        return None
    except OSError as error:  # it may not be entered, or is no folder
        raise UserError(f"{checkpoint.parent}: cannot be read: {error.strerror}") from error
    if digests.name not in names and checkpoint.name not in names:
        return None
    if not os.path.isfile(digests):
        raise UserError(f"{digests}: is missing. {ADVICE}")
    try:
        known = Known.model_validate_json(run.read(DIGESTS), strict=True).digests
    except ValidationError as error:
        raise UserError(f"{digests}: {CHANGED}") from error
    if not os.path.isfile(checkpoint):
        if len(known) > 1:
            raise UserError(f"{checkpoint}: is missing. {ADVICE}")
        return None  # the run was killed before its first checkpoint was in its place
    content = run.read(CHECKPOINT)
    found = [each for each in known if each.weights == _sha256(content)]
    if not found:
        raise UserError(f"{checkpoint}: {CHANGED}")
    if _sha256(run.read("config.json")) != found[0].config:
        raise UserError(f"{run.path / 'config.json'}: {CHANGED}")
    return found[0], content


def load(run: Files, model: Any, content: bytes) -> None:
    """Loads what `find` has found into a built model with built optimisers.

    Raises:
        UserError: the model has other weights, as of another version of this code.
    """
    try:
        model.load_weights(InMemory(os.path.basename(CHECKPOINT), content))
    except (OSError, ValueError, KeyError) as error:  # Keras', where weights do not fit
        raise UserError(
            f"{run.path / CHECKPOINT}: does not fit the networks of this version of the code: "
            f"{reason(error)}. Go on with the version that began the run"
        ) from error


def table(run: Files, name: str, lines: int, digest: str) -> list[dict[str, Any]]:
    """The first lines of a CSV file: those that the checkpoint knows.

    The first column is a whole number (iterations or images), the others are floats. Lines after
    these are of an interval that was cut off before its checkpoint was written.

    Raises:
        UserError: they are not as they were written.
    """
    first = run.read(name).splitlines(keepends=True)[: 1 + lines]
    if _sha256(b"".join(first)) != digest:
        raise UserError(f"{run.path / name}: {CHANGED}")
    found = csv.DictReader(line.decode() for line in first)
    counted = (found.fieldnames or [""])[0]
    return [
        {key: int(value) if key == counted else float(value) for key, value in row.items()}
        for row in found
    ]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
