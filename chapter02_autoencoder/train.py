"""Trains the autoencoders of "GANs in Action" (chapter 2) on handwritten digits.

On two CPU cores:

    python chapter02_autoencoder/train.py                        the VAE, in a minute
    python chapter02_autoencoder/train.py --model autoencoder    the plain one, to compare
    python chapter02_autoencoder/train.py --latent-dim 20        sharper digits, no figures 2.6, 2.7
    python chapter02_autoencoder/train.py --resume               goes on with a stopped run
"""

import sys
from pathlib import Path
from typing import Literal

from pydantic import PositiveFloat

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import cli
from common.settings import EpochSettings, Width
from common.training import TrainingRun


class Settings(EpochSettings):
    """GANs in Action, section 2.7; epochs, batch size and data: common/settings.py."""

    model: Literal["vae", "autoencoder"] = "vae"
    """the variational autoencoder or the plain one"""
    latent_dim: Width = 2
    """size of the code z"""
    learning_rate: PositiveFloat = 1e-3  # RMSprop's default in Keras
    """of RMSprop"""
    xla: bool = True
    """compile the training step with XLA; --no-xla if your machine has trouble with it"""


BOOK = Settings(epochs=50, batch_size=100)
PRESETS = {
    "quick": BOOK,  # it is quick
    "book": BOOK,
    "smoke": BOOK.replace(dataset="sample", epochs=2),
}


def train(config: Settings, run: TrainingRun) -> dict:
    """Data → networks → model → fit → results. What `run` does is in common/training.py."""
    from keras.optimizers import RMSprop

    from chapter02_autoencoder import figures
    from chapter02_autoencoder.autoencoder import Autoencoder
    from chapter02_autoencoder.networks import build_decoder, build_encoder
    from chapter02_autoencoder.vae import VAE
    from common import data

    dataset = run.load_data()
    test_images = dataset.x_test.reshape(len(dataset.x_test), -1).astype("float32") / 255  # n×784

    with run.scope():
        encoder = build_encoder(config.latent_dim, variational=config.model == "vae")
        decoder = build_decoder(config.latent_dim)
        model = (VAE if config.model == "vae" else Autoencoder)(encoder, decoder, config.seed)
        model.compile(
            RMSprop(config.learning_rate),
            steps_per_execution=run.steps_per_execution(),
            jit_compile=run.xla,
        )

    def sample_images():
        return figures.manifold(model) if config.latent_dim == 2 else figures.prior_samples(model)

    def evaluate():
        return model.test_losses(test_images)

    run.begin(model, dataset.describe())
    model.fit(
        run.batches(dataset.x_train, value_range=(0.0, 1.0)),
        callbacks=run.callbacks(sample_images, evaluate),
        **run.fit_arguments,
    )

    name = {"vae": "VAE", "autoencoder": "autoencoder"}[config.model]
    title = f"Chapter 2, {name}, {config.dataset}"
    run.plot_history(model.PLOTS, title)
    classes = data.class_names(config.dataset)
    figures.write_figures(run, model, test_images, dataset.y_test, classes, title)
    run.save_models(encoder=encoder, decoder=decoder)
    return run.finish({})


main = cli.program("chapter02_autoencoder", __doc__, PRESETS, train)

if __name__ == "__main__":
    cli.run(main)
