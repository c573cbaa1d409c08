"""Trains the autoencoders of "GANs in Action" (chapter 2) on handwritten digits.

On two CPU cores:

    python chapter02_autoencoder/train.py                        the VAE, in a minute
    python chapter02_autoencoder/train.py --model autoencoder    the plain one, to compare
    python chapter02_autoencoder/train.py --latent-dim 20        sharper digits, no map of them
    python chapter02_autoencoder/train.py --resume               goes on with a stopped run
"""

import argparse
import sys
from pathlib import Path

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import cli

BOOK = {  # GANs in Action, section 2.6
    "dataset": "mnist",
    "validation_images": 0,
    "model": "vae",
    "latent_dim": 2,
    "epochs": 50,
    "batch_size": 100,
    "learning_rate": 1e-3,  # RMSprop's default in Keras
    "seed": 0,
    "precision": "float32",
    "xla": True,
}
PRESETS = {
    "quick": BOOK,  # which is quick
    "book": BOOK,
    "smoke": BOOK | {"dataset": "sample", "epochs": 2},  # needs no network
}


def build_parser() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__, PRESETS, unit="epochs")
    group = parser.add_argument_group("this chapter")
    group.add_argument("--model", choices=["vae", "autoencoder"], help="which of the two to train")
    group.add_argument("--latent-dim", type=cli.positive_int, metavar="N", help="size of the code")
    group.add_argument("--learning-rate", type=cli.positive_float, metavar="X", help="of RMSprop")
    group.add_argument(
        "--xla",
        action=argparse.BooleanOptionalAction,
        help="compile the training loop with XLA (--no-xla if your machine has trouble with it)",
    )
    return parser


def main(argv: list[str] | None = None) -> dict | None:
    config, options = cli.parse(build_parser(), PRESETS, argv)
    from common import runs

    run = runs.open_run("chapter02_autoencoder", config, options)
    if options.dry_run:
        return cli.show(config)

    # TensorFlow takes seconds to load, so it is left until the flags are known to be right.
    import keras
    import numpy as np
    import tensorflow as tf

    from chapter02_autoencoder import figures
    from chapter02_autoencoder.networks import build_decoder, build_encoder
    from chapter02_autoencoder.vae import VAE, Autoencoder
    from common import callbacks, data, device, images, stream

    device_name = device.setup(config.seed, config.precision)
    dataset = data.load(config.dataset, config.data_dir, config.validation_images)
    stream.check_batch_size(config.batch_size, dataset.x_train)
    config.sample_interval = len(dataset.x_train) // config.batch_size  # an epoch
    config.iterations = config.epochs * config.sample_interval

    encoder = build_encoder(config.latent_dim, variational=config.model == "vae")
    decoder = build_decoder(config.latent_dim)
    model = (VAE if config.model == "vae" else Autoencoder)(encoder, decoder, config.seed)
    block = stream.steps_per_block(config.sample_interval, config.batch_size)
    model.compile(
        keras.optimizers.RMSprop(config.learning_rate),
        steps_per_execution=block,
        jit_compile=config.xla,
    )

    test_images = dataset.x_test.reshape(len(dataset.x_test), -1).astype(np.float32) / 255
    two_dimensional = config.latent_dim == 2
    # Noise that training does not see: its iterations count from 0.
    prior = tf.random.stateless_normal((100, config.latent_dim), (config.seed, -1), alg="philox")

    def picture():
        """The manifold of figure 2.7; with more than two dimensions, samples from the prior."""
        if two_dimensional:
            return figures.page(model.decode(figures.manifold_codes()), columns=15, zoom=2, gap=0)
        return figures.page(model.decode(prior), columns=10)

    def measure():
        """Losses of the test images in nats an image. The ELBO is a bound of their likelihood."""
        # -2: noise of its own, neither training's nor the prior's
        reconstruction, kl = (np.mean(loss) for loss in model.losses_of(test_images, -2))
        losses = {"test_reconstruction": float(reconstruction)}
        if config.model == "vae":
            losses |= {"test_kl": float(kl), "test_elbo": float(-reconstruction - kl)}
        return losses

    done = run.restore(model)
    batches = stream.batches(
        dataset.x_train,
        config.batch_size,
        seed=config.seed,
        start=done,
        block=block,
        value_range=(0.0, 1.0),
    )
    run.start(dataset.describe())
    print(f"{len(dataset.x_train)} training images: {dataset.source}")
    print(f"training on the {device_name} into {run.path}")
    with run.resumable():
        model.fit(
            batches,
            epochs=config.epochs,
            initial_epoch=done // config.sample_interval,
            steps_per_epoch=config.sample_interval,
            callbacks=[callbacks.SaveRun(run, picture, measure)],
            shuffle=False,  # the stream has done it
            verbose=1 if sys.stdout.isatty() else 2,
        )

        name = {"vae": "VAE", "autoencoder": "autoencoder"}[config.model]
        title = f"Chapter 2, {name}, {config.dataset}"
        panels = {
            "loss (nats an image)": {
                "loss": "training",
                "reconstruction": "training, reconstruction",
                "test_reconstruction": "test, reconstruction",
            }
        }
        if config.model == "vae":
            panels["KL (nats an image)"] = {"kl": "training", "test_kl": "test"}
        run.write("history.png", images.plot_history(run.history, panels, title))
        run.write("progress.gif", images.film((run.path / "samples").glob("[0-9]*.png")))
        codes = keras.ops.convert_to_numpy(model.locate(test_images))
        if two_dimensional:
            run.write(
                "latent_space.png",
                figures.latent_space(codes, dataset.y_test, f"{title}: codes of the test images"),
            )
            run.write("manifold.png", images.png(picture()))
        run.write(
            "reconstructions.png",
            images.png(figures.reconstructions(test_images[:50], model.decode(codes[:50]))),
        )
        run.write("prior_samples.png", images.png(figures.page(model.decode(prior), columns=10)))
        run.save_model("encoder.keras", encoder)
        run.save_model("decoder.keras", decoder)
        return run.finish({})


if __name__ == "__main__":
    cli.run(main)
