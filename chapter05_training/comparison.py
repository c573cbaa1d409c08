"""Several games, one after the other: each has a run of its own, and pictures compare them.

The run's folder has a folder for each game, with what `train.py --game NAME` leaves, to the bit.
"""

import json
import os
from collections.abc import Callable
from typing import Any

from chapter05_training import figures
from common import UserError, training
from common.callbacks import Diverged
from common.runs import read_config

DIVERGED = "diverged.json"


def compare(config, run, dataset, measurement, train_game: Callable) -> dict[str, Any]:
    """Trains the games that are not trained yet, and compares all that did not diverge.

    Args:
        config: the settings of all games; what is None is each game's own.
        run: the `training.TrainingRun` in whose folder theirs are.
        dataset, measurement, train_game: see `train.py`.

    Returns:
        What results.json holds: of each game, by name, what its own results.json holds, or why it
        ended.

    Raises:
        UserError: all games have diverged, or a folder's settings are not those of the run.
    """
    run.start(dataset.describe())
    for number, name in enumerate(config.game, start=1):
        check_settings(run, name)
        if has(run, name, "results.json") or has(run, name, DIVERGED):
            continue
        print(f"\n{name}, game {number} of {len(config.game)}")
        part = open_part(run, name)
        part.use(run.strategy)
        try:
            with part.resumable():
                train_game(part.config, part, dataset, measurement)
        except Diverged as error:  # as it would again, in the same bits: the others have their turn
            print(error)
            part.write_json(DIVERGED, {"diverged": str(error)})
        finally:
            run.saved_iteration = part.saved_iteration  # for what Ctrl-C prints

    trained = [name for name in config.game if has(run, name, "results.json")]
    if not trained:
        raise UserError("no game is left to compare; try smaller learning rates")
    games = [figures.Trained(name, run.path / name) for name in trained]
    title = f"Chapter 5, {config.dataset}"
    run.write("samples.png", figures.samples(games, title))
    run.write("fid.png", figures.fid_curves(games, title))
    run.write("losses.png", figures.losses(games, title))
    results = {game.name: game.results | game.correlations() for game in games}
    for name in [name for name in config.game if name not in trained]:
        results[name] = json.loads((run.path / name / DIVERGED).read_text(encoding="utf-8"))
    run.write_json("results.json", results)
    print(f"\n{figures.table(games)}\n\npictures: {run.path}")
    return results


def has(run, name: str, file: str) -> bool:
    """Whether there is such a file in a game's folder."""
    return os.path.exists(run.path / name / file)


def check_settings(run, name: str) -> None:
    """Raises a UserError if a game's folder, if there is one, has other settings than the run."""
    if not has(run, name, "config.json"):
        return
    _, begun = read_config(run.path / name, run.chapter, type(run.config))
    if begun.replace(data_dir=run.config.data_dir) != run.config.of(name):
        raise UserError(f"{run.path / name} has other settings than {run.path / 'config.json'}")


def open_part(run, name: str):
    """The run of one game, in its folder: a new one, or an unfinished one to go on with."""
    folder = run.path / name
    settings = run.config.of(name)
    begun = has(run, name, "config.json")
    return training.open_run(
        run.chapter,
        {run.preset: settings, training.DEFAULT_PRESET: settings},
        {},
        preset=run.preset,
        output_dir=str(folder),
        resume="latest" if begun else None,
    )
