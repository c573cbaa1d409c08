"""The files of a run's folder, each written whole or not at all. Imports no TensorFlow."""

import contextlib
import csv
import io
import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common import UserError

TEMPORARY = ".writing-"  # how the names of files begin that are not whole yet


class Files:
    """A folder, and what is written to it and read from it.

    A file is written under a temporary name and then renamed: whenever the program is killed, it
    is whole or not there.
    """

    path: Path

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Gives a temporary path to write to, which then takes the place of the file `name`.

        Raises:
            UserError: the file can't be written, as on a full disk.
        """
        target = self.path / name
        temporary = target.with_name(TEMPORARY + target.name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except OSError as error:
            raise UserError(f"{target}: cannot be written: {error.strerror or error}") from error

    def write(self, name: str, content: bytes) -> None:
        """Writes bytes."""
        with self.writing(name) as temporary:
            temporary.write_bytes(content)

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Writes a dict as JSON."""
        self.write(name, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())

    def write_csv(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        """Writes dicts of the same keys as CSV, a line each."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        self.write(name, text.getvalue().encode())

    def read_csv(self, name: str, last: int) -> list[dict[str, Any]]:
        """The numbers of a CSV file with a column "iteration", up to iteration `last`."""
        path = self.path / name
        try:
            with open(path, newline="") as file:
                return [
                    {k: int(v) if k == "iteration" else float(v) for k, v in row.items()}
                    for row in csv.DictReader(file)
                    if int(row["iteration"]) <= last
                ]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: cannot be read: {error}") from error

    def save_models(self, **networks: Any) -> None:
        """Writes NAME.keras for each: `keras.models.load_model` reads it without our code."""
        for name, network in networks.items():
            with self.writing(f"{name}.keras") as temporary:
                network.save(temporary)

    def load_model(self, name: str) -> Any:
        """Reads a network that `save_models` has written."""
        import keras  # here, so that a mistake in a flag need not wait for TensorFlow

        path = self.path / f"{name}.keras"
        try:
            return keras.models.load_model(path, compile=False)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            reason = (str(error).splitlines() or [""])[0]
            raise UserError(f"{path}: cannot be loaded: {reason}") from error
