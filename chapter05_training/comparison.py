"""Several games, one after the other: each has a run of its own, and pictures compare them.

The run's folder has a folder for each game, with what `train.py --game NAME` leaves, to the bit.
"""

import os
from collections.abc import Callable
from typing import Any

from chapter05_training import figures
from common import training


def compare(config, run, dataset, measurement, train_game: Callable) -> dict[str, Any]:
    """Trains the games that are not trained yet, and compares all.

    Args:
        config: the settings of all games; what is None is each game's own.
        run: the `training.TrainingRun` in whose folder theirs are.
        dataset, measurement, train_game: see `train.py`.

    Returns:
        What results.json holds: of each game, by name, what its own results.json holds.
    """
    run.start(dataset.describe())
    for number, name in enumerate(config.game, start=1):
        if os.path.exists(run.path / name / "results.json"):
            continue
        print(f"\n{name}, game {number} of {len(config.game)}")
        part = open_part(run, name)
        part.device = run.device
        try:
            with part.resumable():
                train_game(part.config, part, dataset, measurement)
        finally:
            run.saved_iteration = part.saved_iteration  # for what Ctrl-C prints

    games = [figures.Trained(name, run.path / name) for name in config.game]
    title = f"Chapter 5, {config.dataset}"
    run.write("samples.png", figures.samples(games, title))
    run.write("fid.png", figures.fid_curves(games, title))
    run.write("losses.png", figures.losses(games, title))
    results = {game.name: game.results | game.correlations() for game in games}
    run.write_json("results.json", results)
    print(f"\n{figures.table(games)}\n\npictures: {run.path}")
    return results


def open_part(run, name: str):
    """The run of one game, in its folder: a new one, or an unfinished one to go on with."""
    folder = run.path / name
    settings = run.config.of(name)
    begun = os.path.exists(folder / "config.json")
    return training.open_run(
        run.chapter,
        {run.preset: settings, training.DEFAULT_PRESET: settings},
        {},
        preset=run.preset,
        output_dir=str(folder),
        resume="latest" if begun else None,
    )
