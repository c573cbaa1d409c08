"""Trains chapter 4's two networks afresh in each of the games of "GANs in Action", chapter 5.

One game after the other, each from the same initial kernels. On two CPU cores:

    python chapter05_training/train.py                        four games, in five minutes
    python chapter05_training/train.py --game hinge           one game
    python chapter05_training/train.py --preset book          all seven games, for hours
    python chapter05_training/train.py --resume               goes on with a stopped run
"""

import sys
from pathlib import Path
from typing import Any

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from chapter05_training.settings import Settings
from chapter05_training.tables import NAMES
from common import UserError, cli
from common.training import TrainingRun

QUICK = Settings(
    game=["minimax", "non-saturating", "wgan-gp", "hinge"],
    images=51_200,
    precision="mixed_bfloat16",  # faster on hardware with instructions for it; see the README
)
PRESETS = {
    "quick": QUICK,
    # As many images as chapter 4's `book` sees.
    "book": QUICK.replace(game=list(NAMES), images=20_000 * 128, measurements=20),
    "paper": QUICK.replace(
        game=list(NAMES),
        game_settings="paper",
        images=6_400_000,
        measurements=50,
        precision="float32",
    ),
    "smoke": QUICK.replace(
        dataset="sample",
        game=["wgan", "relativistic"],
        images=64,
        measurements=2,
        batch_size=8,
        interval_fid_images=65,
        fid_images=200,
        precision="float32",
    ),
}


def train(config: Settings, run: TrainingRun) -> dict:
    """Data → networks → model → fit → results, for each game. `run`: see common/training.py."""
    from chapter05_training.comparison import compare
    from chapter05_training.measurement import Measurement
    from common import data

    name = run.data_name(config.data_dir)
    dataset = data.load(name, config.data_dir, config.validation_images)
    config.check_images(len(dataset.x_train))
    run.print_advice(len(dataset.x_train))
    measurement = Measurement(dataset, config)
    if len(config.game) == 1:
        return train_game(config, run, dataset, measurement)
    if run.workers:
        raise UserError("--game: several workers train one game at a time; give one")
    return compare(config, run, dataset, measurement, train_game)


def train_game(config: Settings, run: TrainingRun, dataset, measurement) -> dict:
    """Networks → model → fit → results, of one game.

    Args:
        config: from `Settings.of`, so that each of the game's own settings has its value.
        run: see common/training.py.
        dataset: a `data.Dataset`.
        measurement: a `Measurement` of it.
    """
    import keras

    from chapter05_training.gan import GameGAN
    from common import images
    from common.batch_norm import unfuse
    from common.callbacks import Diverged

    (game,) = config.game
    run.schedule(*config.schedule(len(dataset.x_train)))

    keras.utils.set_random_seed(config.seed)  # each game begins with the same networks
    with run.scope():
        gan = build(config)
        d_updates = run.iterations * gan.critic_steps
        gan.compile(
            d_optimizer=optimizer(config, config.discriminator_learning_rate, d_updates),
            g_optimizer=optimizer(config, config.generator_learning_rate, run.iterations),
            steps_per_execution=run.steps_per_execution(most=10),
            jit_compile=run.xla,
        )

    def sample_images():
        return images.grid(measurement.generate(gan.generator, 16), columns=4)

    def evaluate():
        return measurement.at_interval(gan.generator, run)

    run.begin(gan, dataset.describe())
    try:
        gan.fit(
            run.batches(
                dataset.x_train, batch_size=config.step_images, value_range=config.value_range
            ),
            callbacks=run.callbacks(sample_images, evaluate),
            **run.fit_arguments,
        )
    except Diverged as error:
        raise Diverged(f"{game}: {error}") from error

    run.plot_history(GameGAN.PLOTS, f"Chapter 5, {game}, {config.dataset}")
    run.save_models(generator=unfuse(gan.generator))
    return run.finish(measurement.at_end(gan.generator, run))


def build(config: Settings):
    """The networks and the model that trains them; with hacks, if there are some."""
    from chapter05_training.games import GAMES
    from chapter05_training.gan import GameGAN
    from chapter05_training.hacks import HackedGAN
    from chapter05_training.networks import build_discriminator, build_generator
    from common.batch_norm import fuse

    alike: dict[str, Any] = {"slope": config.slope, "extra_layers": config.extra_layers}
    # The same networks with a faster kernel for batch normalisation; `unfuse` is the way back.
    generator = fuse(
        build_generator(
            config.latent_dim,
            batch_norm=config.generator_batch_norm,
            activation="tanh" if config.symmetric_range else "sigmoid",
            **alike,
        ),
        config.synchronized_batch_norm,
    )
    discriminator = build_discriminator(
        config.normalization or "none",
        pooling=config.pooling,
        minibatch=config.minibatch_discrimination,
        image_noise=config.image_noise,
        **alike,
    )
    if config.normalization == "batch":
        discriminator = fuse(discriminator, config.synchronized_batch_norm)
    of_step = config.model_dump(include={"critic_steps", "r1", "gradient_penalty", "clip", "seed"})
    hacks = config.model_dump(include={"label_smoothing", "label_noise", "feature_matching"})
    networks = generator, discriminator, GAMES[config.game[0]]
    if any(hacks.values()):
        return HackedGAN(*networks, **of_step, **hacks)
    return GameGAN(*networks, **of_step)


def optimizer(config: Settings, learning_rate, updates: int):
    """Adam or RMSprop, whose learning rate may fall linearly to 0 over so many updates."""
    import keras

    from common.optimizers import decaying

    if config.learning_rate_decay:
        learning_rate = decaying(learning_rate, updates)
    if config.optimizer == "rmsprop":
        return keras.optimizers.RMSprop(learning_rate, rho=config.beta_2)
    return keras.optimizers.Adam(learning_rate, config.beta_1, config.beta_2)


main = cli.program("chapter05_training", __doc__, PRESETS, train)

if __name__ == "__main__":
    cli.run(main)
