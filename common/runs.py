"""A run: its settings, its folder, and its config.json. Imports no TensorFlow."""

import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Collection
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from common import UserError, folders
from common.files import TEMPORARY, Files, readable, remove

PACKAGES = ("tensorflow", "keras", "numpy")
ADVICE = (
    "If another version of this code began the run, go on with that version; otherwise begin a new "
    "run"
)
M = TypeVar("M", bound=BaseModel)


class DataRecord(BaseModel):
    """What config.json says of the data: where it came from, its hash, and more."""

    model_config = ConfigDict(extra="allow")
    source: str
    sha256: str


class Record(BaseModel):
    """A run's config.json."""

    chapter: str
    preset: str | None
    settings: dict[str, Any]
    data: DataRecord
    versions: dict[str, str | None]


def find_trained(chapter: str, settings: type[BaseModel], name: str = "latest") -> "Run":
    """A finished run, for the programs that use what it has trained.

    Args:
        settings: the chapter's.
        name: the run's folder or number, or "latest".

    Raises:
        UserError: there is no such run, it is another chapter's, or it is not finished.
    """
    folder = folders.find_finished(Path("runs") / chapter, name)
    record, config = read_config(folder, chapter, settings)
    return Run(chapter, config, folder, record=record)


def new(name: str, config: Any, output_dir: str | None) -> "Run":
    """The run of a program that has no presets and cannot be resumed.

    Args:
        name: of the folder in runs/ that it takes the next number of.
        config: its settings.
        output_dir: the folder instead, if one was named.

    Raises:
        UserError: that folder holds something already.
    """
    path = folders.named(output_dir)
    if path and os.path.lexists(path):
        folders.refuse_used(path, resumable=False)
    return Run(name, config, path)


class Run(Files):
    """A run's settings and its folder.

    Args:
        config: the settings.
        path: the folder; None for the next free number, which `start` takes.
        preset: the name of the settings that flags have overridden.
        typed: the names of the settings that were typed.
        record: config.json of a run that is on disk.
    """

    path: Path

    def __init__(
        self,
        chapter: str,
        config: Any,
        path: Path | None,
        *,
        preset: str | None = None,
        typed: Collection[str] = (),
        record: Record | None = None,
    ):
        self.chapter = chapter
        self.config = config
        self.path = path  # type: ignore[assignment]
        self.preset = preset
        self.typed = frozenset(typed)
        self._record = record
        self._lock: Any = None

    def start(self, data: dict[str, Any]) -> None:
        """Makes the folder and writes config.json, or checks that a resumed run fits its own.

        Args:
            data: what describes the data, from `data.Dataset.describe`.

        Raises:
            UserError: the folder can't be written to, or the data is not what the run began with.
        """
        if time.localtime().tm_year < 1980:
            raise UserError("the clock is before 1980, which no .keras file can hold; set it")
        record = Record(
            chapter=self.chapter,
            preset=self.preset,
            settings=self.config.model_dump(),
            data=DataRecord(**data | {"source": readable(data["source"])}),
            versions=versions_of(self.chapter),
        )
        if self._record is None:
            home = Path("runs") / self.chapter
            try:
                self.path = self.path or folders.make_next(home)
                self.path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                where = self.path or home
                raise UserError(f"{where}: cannot be written to: {error.strerror}") from error
        self._lock = folders.lock(self.path)
        if self._lock is None:
            raise UserError(f"{self.path}: another program is training this run")
        # Another program may have finished this run since it was opened.
        if os.path.exists(self.path / "results.json"):
            raise UserError(f"{self.path}: the run is finished")
        if self._record is None:
            # Another program may have begun a run here since `open_run` looked.
            folders.refuse_used(self.path)
            self._record = record
            self.write_json("config.json", record.model_dump())
            return
        self.check_data(data)
        if self._record.versions != record.versions:
            changed = "other code or versions than the run was begun with; bits may differ"
            print(changed, file=sys.stderr)
        for leftover in self.path.rglob(TEMPORARY + "*"):  # of a run that was killed
            remove(leftover)

    def data_name(self, folder: str | None) -> str:
        """The data set to load: the settings', or the bundled part that a run on disk began with.

        A run whose download failed stays with that part, even if all of the data is there by now.

        Args:
            folder: what --data-dir names; if it names one, nothing else is loaded.
        """
        from common.data import FASHION_SAMPLE

        name = self.config.dataset
        if self._record and self._record.data.source.startswith(FASHION_SAMPLE) and not folder:
            name = name.replace("fashion_mnist", "fashion_sample")
        return name

    def check_data(self, data: dict[str, Any]) -> None:
        """Raises a UserError if data, as described, is not what a run on disk began with."""
        assert self._record
        if data["sha256"] != self._record.data.sha256:
            raise UserError(
                f"{self.path} was begun with other data ({self._record.data.source}); "
                f"found now: {data['source']}; --data-dir names a folder with the former"
            )


def read_config(folder: Path, chapter: str, settings: type[M]) -> tuple[Record, M]:
    """What a run's config.json holds, and its settings.

    Raises:
        UserError: it is broken or another chapter's, or a setting is missing, unknown or wrong.
    """
    path = folder / "config.json"
    try:
        record = Record.model_validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise UserError(f"{path}: {_first_problem(error)}") from error
    if record.chapter != chapter:
        raise UserError(f"{folder} is a run of {record.chapter}, not of {chapter}")
    for name in settings.model_fields:
        if name not in record.settings:  # its default may not be what the run began with
            raise UserError(f"{path}: settings.{name} is missing. {ADVICE}")
    try:
        return record, settings.model_validate_json(json.dumps(record.settings), strict=True)
    except ValidationError as error:
        raise UserError(f"{path}: {_first_problem(error, 'settings')}") from error


def _first_problem(error: ValidationError, *place: str) -> str:
    first = error.errors()[0]
    key = ".".join(map(str, (*place, *first["loc"])))
    if first["type"] == "json_invalid":
        return f"is not JSON: {first['ctx']['error']}"
    if first["type"] == "missing":
        return f"{key} is missing. {ADVICE}"
    if first["type"] == "extra_forbidden":
        return f"{key} is no setting. {ADVICE}"
    problem = first["msg"].removeprefix("Input ").removeprefix("Value error, ")
    return f"{key}: {problem}. {ADVICE}"


def installed_versions() -> dict[str, str | None]:
    """Of Python and of the packages that decide a run's bits."""
    versions = {package: _version(package) for package in PACKAGES}
    return {"python": platform.python_version(), **versions}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # tensorflow-cpu, say
        return None


def versions_of(chapter: str) -> dict[str, str | None]:
    """What decides a run's bits beside its settings and data: `installed_versions`, and the code.

    Args:
        chapter: a chapter's folder, or one of its programs, as "chapter12_looking_ahead/attention".
    """
    folder, _, _ = chapter.partition("/")
    return installed_versions() | {"code": code_digest("common", folder)}


def code_digest(*names: str) -> str:
    """The SHA-256 of the Python code in folders of this repository; without arguments in all."""
    digest = hashlib.sha256()
    for name in names or ("*",):
        for path in sorted(folders.REPOSITORY.glob(f"{name}/*.py")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
