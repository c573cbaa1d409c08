"""The files of a run's folder, each written whole or not at all. Imports no TensorFlow."""

import contextlib
import csv
import io
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common import UserError

TEMPORARY = ".writing-"  # how the names of files begin that are not whole yet
Shape = tuple[int | None, ...]


class InMemory(io.BytesIO):
    """A file in memory that Keras 3.15 takes for one with this name.

    HDF5 that comes upon a full disk takes the whole process down with it. So what Keras writes is
    written here first, and then by `Files.write`, which can fail. Keras writes to an `io.IOBase`,
    but looks first at the suffix of `str(file)`; its documentation names paths alone.
    """

    def __init__(self, name: str, content: bytes = b""):
        super().__init__(content)
        self._name = name

    def __str__(self) -> str:
        return self._name


class Files:
    """A folder, and what is written to it and read from it.

    A file is written under a temporary name and then renamed: whenever the program is killed, it
    is whole or not there.
    """

    path: Path

    def write(self, name: str, content: bytes) -> None:
        """Writes bytes.

        Raises:
            UserError: the file can't be written, as on a full disk; or the folder is gone.
        """
        if not os.path.isdir(self.path):
            raise UserError(f"{self.path}: is gone; was it moved or deleted while it was in use?")
        target = self.path / name
        temporary = target.with_name(TEMPORARY + target.name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            _replace(temporary, target)
        except OSError as error:
            remove(temporary)  # so that it does not fill what room there is
            raise UserError(f"{target}: cannot be written: {error.strerror or error}") from error

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

    def read(self, name: str) -> bytes:
        """Reads bytes, or raises a UserError."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise UserError(f"{self.path / name}: cannot be read: {error.strerror}") from error

    def read_json(self, name: str) -> dict[str, Any]:
        """Reads what `write_json` has written, or raises a UserError."""
        content = self.read(name)
        with foreign(self.path / name):
            return json.loads(content)

    def save_models(self, **networks: Any) -> None:
        """Writes NAME.keras for each: `keras.models.load_model` reads it without our code."""
        for name, network in networks.items():
            file = InMemory(f"{name}.keras")
            network.save(file)
            self.write(f"{name}.keras", file.getvalue())

    def load_model(self, name: str, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Any:
        """Reads a network that `save_models` has written.

        Args:
            inputs, outputs: the shapes that it takes and gives; None for any size.

        Raises:
            UserError: it cannot be read, or is a network of other shapes.
        """
        import keras  # here, so that a mistake in a flag need not wait for TensorFlow

        path = self.path / f"{name}.keras"
        if not os.path.isfile(path):
            raise UserError(f"{path}: there is no such file")
        with foreign(path, "cannot be loaded"):
            network = keras.models.load_model(path, compile=False)
            found = [[tuple(t.shape) for t in ends] for ends in (network.inputs, network.outputs)]
        if found != [list(inputs), list(outputs)]:
            raise UserError(
                f"{path}: is another network than the run's: from {found[0]} to "
                f"{found[1]}, not from {list(inputs)} to {list(outputs)}"
            )
        return network


def readable(name: str) -> str:
    """A file's name as text: what is no UTF-8 in it, which Python keeps as surrogates, escaped."""
    return name.encode(errors="backslashreplace").decode()


def shortened(stem: str, length: int = 80) -> str:
    """A file's name, readable, cut to `length` bytes (file systems count these, not letters)."""
    return readable(stem).encode()[:length].decode(errors="ignore") or "image"


@contextlib.contextmanager
def foreign(name: object, problem: str = "cannot be read") -> Iterator[None]:
    """Within it, whatever another's file makes its reader raise becomes a UserError of one line.

    Decoders of archives, images and networks raise what they come upon, of any type.

    Args:
        name: of the file.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        raise UserError(f"{name}: {problem}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """The first line of what an error says, or its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _replace(temporary: Path, target: Path) -> None:
    """`os.replace`; for two seconds again where Windows refuses it.

    It does so as long as another program, as a virus scanner, has the file open.
    """
    for _ in range(20 if sys.platform == "win32" else 0):
        try:
            return os.replace(temporary, target)
        except PermissionError:
            time.sleep(0.1)
    os.replace(temporary, target)


def remove(path: Path) -> None:
    """Deletes a file, if that can be done."""
    with contextlib.suppress(OSError):
        os.unlink(path)
