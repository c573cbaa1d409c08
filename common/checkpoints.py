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
from common.files import Files, InMemory

CHECKPOINT = "checkpoint/latest.weights.h5"
DIGESTS = "checkpoint/digests.json"
ADVICE = "Put it back as it was, or begin a new run"


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


def save(run: Files, model: Any, before: Digests | None) -> Digests:
    """Writes one file with the weights, the optimisers' state and the iteration.

    Args:
        run: the run's folder, with history.csv and timings.csv up to this iteration.
        before: the digests of the checkpoint that this one takes the place of.
    """
    file = InMemory(os.path.basename(CHECKPOINT))
    model.save_weights(file)
    content = file.getvalue()
    now = Digests(
        iteration=int(model.iterations),
        weights=_sha256(content),
        config=_sha256(run.read("config.json")),
        history=_sha256(run.read("history.csv")),
        timings=_sha256(run.read("timings.csv")),
    )
    run.write_json(DIGESTS, Known(digests=[now, before] if before else [now]).model_dump())
    run.write(CHECKPOINT, content)
    return now


def load(run: Files, model: Any) -> Digests | None:
    """Loads the checkpoint into a built model with built optimisers; None if there is none.

    Raises:
        UserError: it, its digests or config.json is not as it was written.
    """
    if not os.path.isfile(run.path / CHECKPOINT):
        return None
    content = run.read(CHECKPOINT)
    try:
        known = Known.model_validate_json(run.read(DIGESTS), strict=True).digests
    except ValidationError as error:
        raise UserError(f"{run.path / DIGESTS}: is not as it was written. {ADVICE}") from error
    found = [digests for digests in known if digests.weights == _sha256(content)]
    if not found:
        raise UserError(f"{run.path / CHECKPOINT}: is not as it was written. {ADVICE}")
    if _sha256(run.read("config.json")) != found[0].config:
        raise UserError(f"{run.path / 'config.json'}: is not as it was written. {ADVICE}")
    try:
        model.load_weights(InMemory(os.path.basename(CHECKPOINT), content))
    except Exception as error:  # written by another version of this code, or of Keras
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{run.path / CHECKPOINT}: cannot be loaded: {reason}") from error
    return found[0]


def table(run: Files, name: str, lines: int, digest: str) -> list[dict[str, Any]]:
    """The first lines of a CSV file with a column "iteration": those that the checkpoint knows.

    A later line is of an interval whose checkpoint was not written any more.

    Raises:
        UserError: they are not as they were written.
    """
    first = run.read(name).splitlines(keepends=True)[: 1 + lines]
    if _sha256(b"".join(first)) != digest:
        raise UserError(f"{run.path / name}: is not as it was written. {ADVICE}")
    return [
        {key: int(value) if key == "iteration" else float(value) for key, value in row.items()}
        for row in csv.DictReader(line.decode() for line in first)
    ]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
