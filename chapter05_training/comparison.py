"""Several games, one after the other: each has a run of its own, and pictures compare them.

The run's folder has a folder for each game, with what `train.py --game NAME` leaves, to the bit.
"""

from collections.abc import Callable
from typing import Any

from chapter05_training import figures
from common import UserError, images, parts
from common.callbacks import Diverged

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

    def train_one(settings, part):
        try:
            train_game(settings, part, dataset, measurement)
        except Diverged as error:  # as it would again, in the same bits: the others have their turn
            print(error)
            part.write_json(DIVERGED, {"diverged": str(error)})

    settings = {name: config.of(name) for name in config.game}
    ended = ("results.json", DIVERGED)
    trained = parts.train_parts(run, dataset.describe(), settings, train_one, ended)
    if not trained:
        raise UserError("no game is left to compare; try smaller learning rates")
    games = [figures.Trained(name, run.path / name) for name in trained]
    title = f"Chapter 5, {config.dataset}"
    run.write("samples.png", images.figure_png(figures.samples(games, title)))
    run.write("fid.png", images.figure_png(figures.fid_curves(games, title)))
    run.write("losses.png", images.figure_png(figures.losses(games, title)))
    results = {game.name: game.results | game.correlations() for game in games}
    for name in [name for name in config.game if name not in trained]:
        results[name] = run.read_json(f"{name}/{DIVERGED}")
    run.write_json("results.json", results)
    print(f"\n{figures.table(games)}\n\npictures: {run.path}")
    return results
