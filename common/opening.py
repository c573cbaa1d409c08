"""A run, as the flags ask for it: a new one, or one that is on disk. Imports no TensorFlow."""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import UserError, folders
from common.runs import read_config
from common.settings import Settings
from common.training import TrainingRun

DEFAULT_PRESET = "quick"


def open_run(
    chapter: str,
    presets: Mapping[str, Settings],
    typed: Mapping[str, Any],
    *,
    preset: str | None = None,
    output_dir: str | None = None,
    resume: str | None = None,
) -> TrainingRun | None:
    """The run that the flags ask for: a new one, or with --resume one that is on disk.

    No run's folder is made yet.

    Args:
        typed: the settings that were typed, as text.
        preset: its name; None, if it was not typed.
        output_dir: the folder, if one was named.
        resume: the folder or number of the run to go on with, or "latest"; None for a new run;
            "auto" for the latest, or that of `output_dir`, if it is there, and else a new run.

    Returns:
        None, if "auto" finds that the run is finished.

    Raises:
        UserError: a setting is wrong, there is nothing to resume, the run is finished, its settings
            contradict a flag that was typed, or the folder for a new run is not empty.
    """
    home = Path("runs") / chapter
    folder, found = folders.named(output_dir), None
    if resume == "auto":
        if folder and os.path.isfile(folder / "results.json"):
            return None
        with contextlib.suppress(UserError):
            found = folders.find_unfinished(home, "latest", folder)
    elif resume is not None:
        found = folders.find_unfinished(home, resume, folder)
    if found is None:
        preset = preset or DEFAULT_PRESET
        return new_run(chapter, presets[preset].with_flags(typed), folder, preset, typed)
    return resumed_run(chapter, type(presets[DEFAULT_PRESET]), found, preset, typed)


def new_run(
    chapter: str,
    config: Settings,
    folder: Path | None,
    preset: str,
    typed: Mapping[str, Any],
) -> TrainingRun:
    """A run of these settings that is not on disk yet.

    Args:
        folder: an empty one, or one to be made; None for the next free number.
        typed: the settings that were typed and have overridden the preset's.
    """
    if folder and os.path.lexists(folder):
        folders.refuse_used(folder)
    return TrainingRun(chapter, config, folder, preset=preset, typed=typed)


def resumed_run(
    chapter: str,
    kind: type[Settings],
    folder: Path,
    preset: str | None,
    typed: Mapping[str, Any],
) -> TrainingRun:
    """The unfinished run in a folder, with its own settings.

    Args:
        kind: of the settings.
        preset, typed: what was typed, which must be what the run has. Only the data may have moved
            since: its hash says whether it is the same.
    """
    record, config = read_config(folder, chapter, kind)
    if preset not in (None, record.preset):
        _refuse("preset", preset, folder, record.preset)
    for name, text in typed.items():
        value = kind.convert(name, text)
        if name == "data_dir":
            config = config.replace(data_dir=value)
        elif value != getattr(config, name):
            _refuse(name, text, folder, getattr(config, name))
    return TrainingRun(chapter, config, folder, preset=record.preset, record=record)


def open_run_of(workers, chapter, presets, typed, **options) -> TrainingRun | None:
    """As `open_run`, for programs that train together; the chief alone looks for the folder.

    Args:
        workers: a `workers.Workers`.
    """
    flags = {name: str(value) for name, value in typed.items() if name != "data_dir"}
    workers.compare({"--preset": options["preset"], "flags": flags})
    run, message, error = None, None, None
    if workers.cluster.is_chief:
        try:
            run = open_run(chapter, presets, typed, **options)
            message = run and {
                "preset": run.preset,
                "settings": run.config.model_dump(),
                "path": run.path and str(run.path),
            }
        except UserError as problem:
            error = problem
            message = {"error": str(problem)}
    content = workers.broadcast(json.dumps(message).encode() if workers.cluster.is_chief else None)
    if error:
        raise error
    received = json.loads(content)
    if run or received is None:
        return run
    if "error" in received:
        raise UserError(f"worker 0: {received['error']}")
    kind = type(presets[DEFAULT_PRESET])
    config = kind.model_validate_json(json.dumps(received["settings"]), strict=True)
    config = config.replace(**{name: value for name, value in typed.items() if name == "data_dir"})
    path = Path(received["path"]) if received["path"] else None
    return TrainingRun(chapter, config, path, preset=received["preset"], typed=typed)


def _refuse(name, value, folder, saved):
    raise UserError(
        f"--{name.replace('_', '-')} {value} contradicts the run in {folder}, which has {saved}; "
        "a resumed run keeps its settings"
    )
