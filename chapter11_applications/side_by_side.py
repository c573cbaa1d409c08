"""The GAN without and with the creative loss, one after the other, and what compares them.

The run's folder has a folder for each, with what `design.py --variant NAME` leaves, to the bit.
"""

from collections.abc import Callable

from chapter11_applications import design_figures
from common import parts


def compare(config, run, measurement, train_variant: Callable) -> dict:
    """Trains the variants that are not trained yet, and compares them.

    Args:
        config: the settings of all variants.
        run: the `training.TrainingRun` in whose folder theirs are.
        measurement: a `novelty.Measurement`.
        train_variant: see `design.py`.

    Returns:
        What results.json holds: of each variant, by name, what its own results.json holds.

    Raises:
        UserError: a folder's settings are not those of the run.
    """

    def train_one(settings, part):
        return train_variant(settings, part, measurement)

    settings = {name: config.replace(variant=[name]) for name in config.variant}
    results = parts.train_parts(run, measurement.dataset.describe(), settings, train_one)
    designs = {name: load_designs(run, name, measurement) for name in config.variant}
    novelty = {name: measurement.novelty(x, measurement.kinds) for name, x in designs.items()}
    title = f"Chapter 11, {config.dataset}, seed {config.seed}"
    run.write("designs.png", design_figures.designs(designs, novelty, measurement, title))
    run.write("novelty.png", design_figures.novelty(novelty | {"test": measurement.test}, title))
    run.write_json("results.json", results)
    print(f"\n{design_figures.table(results)}\n\npictures: {run.path}")
    return results


def load_designs(run, name: str, measurement):
    """What a finished variant's generator makes, uint8."""
    noise_and_kind = [(None, run.config.latent_dim), (None,)]
    image_shape = measurement.dataset.x_train.shape[1:]
    generator = run.load_model(f"{name}/generator", noise_and_kind, [(None, *image_shape)])
    return measurement.designs(generator, run.config.seed)
