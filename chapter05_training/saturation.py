"""Why the book trains the non-saturating game: the generator's gradient under a sure discriminator.

    python chapter05_training/saturation.py

GANs in Action, section 5.2; after Arjovsky and Bottou 2017, figures 2 and 3. A generator that knows
nothing yet is held as it is, and the discriminator alone is trained against it. The surer it gets,
the smaller is the gradient that the min-max game leaves for the generator, and the larger that of
the non-saturating one. saturation.png and results.json go into runs/chapter05_saturation/NUMBER.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import UserError, cli, flags, runs
from common.settings import Count, DigitSet, Folder, Frozen, Seed

COMPARED = ("minimax", "non-saturating")


class Settings(Frozen):
    """How long the discriminator is trained, and on what."""

    dataset: DigitSet = "mnist"
    """digits or clothes"""
    data_dir: Folder | None = None
    """a folder with the data set; see train.py"""
    updates: Annotated[int, Field(ge=1, le=10**6)] = 300
    """updates of the discriminator"""
    batch_size: Count = 128
    """images of each kind in an update"""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """of its Adam optimiser"""
    seed: Seed = 0
    """of the networks, the noise and the order of the images"""
    output_dir: Annotated[Folder | None, Field(exclude=True)] = None
    """where the picture goes (default: runs/chapter05_saturation/NUMBER)"""


def main(argv: list[str] | None = None) -> dict:
    config = flags.read(__doc__, Settings, argv)
    run = runs.new("chapter05_saturation", config, config.output_dir)
    cli.setup(config.seed)
    from common import data, stream

    dataset = data.load(config.dataset, config.data_dir)
    stream.check_batch_size(config.batch_size, dataset.x_train)
    run.start(dataset.describe())
    rows = measure(config, dataset.x_train)
    print(f"{'updates':>8}{'P(real) of fakes':>20}" + "".join(f"{g:>18}" for g in COMPARED))
    for row in rows:
        gradients = "".join(f"{row[game]:>18.3g}" for game in COMPARED)
        print(f"{row['updates']:>8}{row['p_real']:>20.2g}{gradients}")
    run.write("saturation.png", draw(rows))
    results = {"rows": rows}
    run.write_json("results.json", results)
    print(f"norms of the generator's gradient; picture: {run.path / 'saturation.png'}")
    return results


def measure(config: Settings, x_train) -> list[dict[str, Any]]:
    """Trains the discriminator; gives the generator's gradients after 0, 1, 2, 3, 5, … updates."""
    import keras
    import tensorflow as tf

    from chapter05_training.games import GAMES
    from chapter05_training.gan import GameGAN
    from chapter05_training.networks import build_discriminator, build_generator
    from common import stream

    gan = GameGAN(build_generator(), build_discriminator(), GAMES["minimax"], seed=config.seed)
    gan.compile(keras.optimizers.Adam(config.learning_rate), keras.optimizers.Adam())
    batches = iter(stream.batches(x_train, config.batch_size, seed=config.seed))
    noise = gan.noise(-1, config.batch_size)[0]
    fakes = gan.generator(noise, training=True)  # the same all the time, as the generator is
    variables = gan.generator.trainable_variables
    train = tf.function(lambda images: gan.train_discriminator(images, fakes))

    def gradient(game):
        with tf.GradientTape() as tape:
            fake = gan.discriminate(gan.generator(noise, training=True))
            loss = GAMES[game].generator_loss(None, fake)
        return float(tf.linalg.global_norm(tape.gradient(loss, variables)))

    rows = []
    looked_at = {round(1.5**k) for k in range(40)} | {0, config.updates}
    for update in range(config.updates + 1):
        real_images = next(batches)
        if update in looked_at:
            p_real = float(tf.reduce_mean(tf.sigmoid(gan.discriminate(fakes))))
            gradients = {game: gradient(game) for game in COMPARED}
            if not np.all(np.isfinite([p_real, *gradients.values()])):
                raise UserError(
                    f"after {update} updates the discriminator has diverged; try a smaller "
                    "--learning-rate"
                )
            rows.append({"updates": update, "p_real": p_real, **gradients})
        train(real_images)
    return rows


def draw(rows: list[dict[str, Any]]) -> bytes:
    """The gradients' norms, as PNG."""
    from matplotlib.figure import Figure

    from common import images

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    by_updates, by_confidence = figure.subplots(1, 2, sharey=True)
    for game in COMPARED:
        norms = [row[game] for row in rows]
        by_updates.plot([row["updates"] for row in rows], norms, ".-", label=game)
        by_confidence.plot([row["p_real"] for row in rows], norms, ".-", label=game)
    by_updates.set(xlabel="updates of the discriminator alone", xscale="symlog", yscale="log")
    by_updates.set(ylabel="norm of the generator's gradient")
    by_confidence.set(xlabel="discriminator's P(real) of generated images", xscale="log")
    by_confidence.invert_xaxis()  # surer to the right
    for ax in (by_updates, by_confidence):
        ax.grid(alpha=0.3)
    by_updates.legend()
    return images.figure_png(figure)


if __name__ == "__main__":
    cli.run(main)
