"""Several trainings of one program, one after the other, each with a folder inside the run's.

A part's folder has what the program leaves when it is asked for that part alone, to the bit.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from common import UserError, opening
from common.runs import read_config


def train_parts(
    run,
    data: dict[str, Any],
    parts: Mapping[str, Any],
    train_part: Callable,
    ended: Sequence[str] = ("results.json",),
) -> dict[str, dict[str, Any]]:
    """Trains the parts that are not trained yet; a resumed run goes on in the middle of one.

    Args:
        run: the `training.TrainingRun` in whose folder the parts' are.
        data: what describes the data, as for `run.begin`.
        parts: the settings of each part, by the name of its folder.
        train_part: given a part's settings and its own run, trains it.
        ended: files any of which, in a part's folder, says that nothing is left to do there.

    Returns:
        What results.json of each part holds, by name; not of those that ended without one.

    Raises:
        UserError: a part's folder has other settings than the run, or several workers train.
    """
    if run.workers:
        raise UserError(
            "several workers train one part at a time: give the flags of one alone "
            f"({', '.join(parts)}), or --distribute none"
        )
    run.start(data)
    for number, (name, settings) in enumerate(parts.items(), start=1):
        begun = os.path.exists(run.path / name / "config.json")
        if begun:
            check_settings(run, name, settings)
        if any(os.path.exists(run.path / name / file) for file in ended):
            continue
        print(f"\n{name}, {number} of {len(parts)}")
        part = open_part(run, name, settings, begun)
        try:
            with part.resumable():
                train_part(settings, part)
        finally:
            run.saved_iteration = part.saved_iteration  # for what Ctrl-C prints
    files = {name: f"{name}/results.json" for name in parts}
    return {
        name: run.read_json(file) for name, file in files.items() if os.path.exists(run.path / file)
    }


def check_settings(run, name: str, settings) -> None:
    """Raises a UserError if a part's folder has other settings than these."""
    _, found = read_config(run.path / name, run.chapter, type(settings))
    if found.replace(data_dir=settings.data_dir) != settings:
        raise UserError(f"{run.path / name} has other settings than {run.path / 'config.json'}")


def open_part(run, name: str, settings, begun: bool):
    """The run of one part, in its folder: a new one, or an unfinished one to go on with."""
    folder = run.path / name
    if begun:
        part = opening.resumed_run(run.chapter, type(settings), folder, run.preset, {})
    else:
        part = opening.new_run(run.chapter, settings, folder, run.preset, {})
    part.device = run.device
    part.use_devices(run.strategy)
    return part
