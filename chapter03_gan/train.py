"""Trains the first GAN of "GANs in Action" (chapter 3) on handwritten digits.

On two CPU cores:

    python chapter03_gan/train.py                            digits, in two and a half minutes
    python chapter03_gan/train.py --preset book              the book's settings
    python chapter03_gan/train.py --dataset fashion_mnist    clothes
    python chapter03_gan/train.py --resume                   goes on with a stopped run
"""

import argparse
import sys
from pathlib import Path

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import cli

BOOK = {  # GANs in Action, section 3.4
    "dataset": "mnist",
    "validation_images": 0,
    "latent_dim": 100,
    "iterations": 20_000,
    "batch_size": 128,
    "sample_interval": 1_000,
    "learning_rate": 1e-3,  # Adam's defaults in Keras
    "beta_1": 0.9,
    "seed": 0,
    "precision": "float32",
    "xla": True,
    "fid": False,
    "fid_images": 10_000,  # generated for the FID
}
PRESETS = {
    "quick": BOOK
    | {
        # Less momentum (Radford et al. 2016) and three times the iterations make cleaner digits.
        "beta_1": 0.5,
        "iterations": 60_000,
        "sample_interval": 3_000,
    },
    "book": BOOK,
    "smoke": BOOK
    | {
        "dataset": "sample",  # needs no network
        "iterations": 20,
        "batch_size": 16,
        "sample_interval": 10,
        "fid_images": 1_000,
    },
}


def build_parser() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__, PRESETS)
    group = parser.add_argument_group("this chapter")
    group.add_argument("--latent-dim", type=cli.positive_int, metavar="N", help="size of the noise")
    group.add_argument(
        "--learning-rate", type=cli.positive_float, metavar="X", help="of both Adams"
    )
    group.add_argument("--beta-1", type=cli.fraction, metavar="X", help="of both Adams")
    group.add_argument(
        "--xla",
        action=argparse.BooleanOptionalAction,
        help="compile the training loop with XLA (--no-xla if your machine has trouble with it)",
    )
    return parser


def main(argv: list[str] | None = None) -> dict | None:
    config, options = cli.parse(build_parser(), PRESETS, argv)
    from common import runs

    run = runs.open_run("chapter03_gan", config, options)
    if options.dry_run:
        return cli.show(config)

    # TensorFlow takes seconds to load, so it is left until the flags are known to be right.
    import keras
    import tensorflow as tf

    from chapter03_gan.gan import GAN
    from chapter03_gan.networks import build_discriminator, build_generator
    from common import callbacks, data, device, images, metrics, stream

    device_name = device.setup(config.seed, config.precision)
    dataset = data.load(config.dataset, config.data_dir, config.validation_images)

    gan = GAN(build_generator(config.latent_dim), build_discriminator(), config.seed)
    block = stream.steps_per_block(config.sample_interval, config.batch_size)
    gan.compile(
        d_optimizer=keras.optimizers.Adam(config.learning_rate, config.beta_1),
        g_optimizer=keras.optimizers.Adam(config.learning_rate, config.beta_1),
        steps_per_execution=block,
        jit_compile=config.xla,
    )

    judge = metrics.Judge(dataset.name, dataset.x_test)

    def generate(count):
        """Always the same noise, and none that training sees: its iterations count from 0."""
        noise = tf.random.stateless_normal(
            (count, config.latent_dim), (config.seed, -1), alg="philox"
        )
        return gan.generator.predict(noise, batch_size=1000, verbose=0)

    def picture():
        return images.grid(generate(16), columns=4)

    def fid():
        return {"fid": judge.fid(generate(config.fid_images))}

    done = run.restore(gan)
    batches = stream.batches(
        dataset.x_train, config.batch_size, seed=config.seed, start=done, block=block
    )
    run.start(dataset.describe())
    print(f"{len(dataset.x_train)} training images: {dataset.source}")
    print(f"training on the {device_name} into {run.path}")
    with run.resumable():
        gan.fit(
            batches,
            epochs=config.iterations // config.sample_interval,
            initial_epoch=done // config.sample_interval,
            steps_per_epoch=config.sample_interval,
            callbacks=[callbacks.SaveRun(run, picture, fid if config.fid else None)],
            shuffle=False,  # the stream has done it
            verbose=1 if sys.stdout.isatty() else 2,
        )

        panels = {
            "loss": {"d_loss": "discriminator", "g_loss": "generator"},
            "discriminator's accuracy": {
                "d_accuracy": "all",
                "d_accuracy_real": "real",
                "d_accuracy_fake": "fake",
            },
        }
        title = f"Chapter 3, GAN, {config.dataset}"
        run.write("history.png", images.plot_history(run.history, panels, title))
        run.write("progress.gif", images.film((run.path / "samples").glob("[0-9]*.png")))
        run.save_model("generator.keras", gan.generator)
        run.save_model("discriminator.keras", gan.discriminator)
        return run.finish(judge.report(generate, config.fid_images))


if __name__ == "__main__":
    cli.run(main)
