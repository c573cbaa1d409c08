"""Trains the conditional GAN of "GANs in Action" (chapter 8): digits by request.

On two CPU cores:

    python chapter08_cgan/train.py                            digits, in four minutes
    python chapter08_cgan/train.py --preset book              the book's settings
    python chapter08_cgan/train.py --dataset fashion_mnist    clothes
    python chapter08_cgan/train.py --model acgan              the auxiliary classifier GAN
    python chapter08_cgan/train.py --resume                   goes on with a stopped run

Then generate.py writes numbers, or draws clothes, with what was trained.
"""

import argparse
import sys
from pathlib import Path

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import cli

BOOK = {  # GANs in Action, section 8.3, English edition
    "dataset": "mnist",
    "validation_images": 0,
    "model": "cgan",
    "condition": "embedding",
    "latent_dim": 100,
    "iterations": 12_000,  # the Korean edition has 20,000
    "batch_size": 32,
    "sample_interval": 1_000,
    "generator_learning_rate": 1e-3,  # Adam's default in Keras
    "discriminator_learning_rate": 1e-3,  # the Korean edition has 1e-5
    "beta_1": 0.9,
    "learning_rate_decay": False,
    "gradient_penalty": 0.0,
    "shared_fakes": False,
    "slope": 0.01,
    "discriminator_batch_norm": True,  # the Korean edition has none
    "seed": 0,
    "precision": "float32",
    "fid": False,
    "fid_images": 10_000,  # generated for the FID
}
PRESETS = {
    "quick": BOOK
    | {
        # The chapter's README says what this does, and chapter 4's what the others do for the FID.
        "condition": "one-hot",
        "generator_learning_rate": 5e-3,
        "discriminator_learning_rate": 2e-3,
        "learning_rate_decay": True,
        "beta_1": 0.0,  # no momentum
        "discriminator_batch_norm": False,
        "gradient_penalty": 1.0,
        "shared_fakes": True,
        "batch_size": 64,
        "precision": "mixed_bfloat16",
        "iterations": 4_000,
        "sample_interval": 500,
    },
    "book": BOOK,
    "smoke": BOOK
    | {
        "dataset": "sample",  # needs no network
        "iterations": 4,
        "batch_size": 16,
        "sample_interval": 2,
        "fid_images": 200,
    },
}


def build_parser() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__, PRESETS)
    group = parser.add_argument_group("this chapter")
    group.add_argument(
        "--model",
        choices=["cgan", "acgan"],
        help="the book's, or the auxiliary classifier GAN (Odena et al. 2017), whose discriminator "
        "is not told the label but names it",
    )
    group.add_argument(
        "--condition",
        choices=["embedding", "one-hot"],
        help="how the networks are told the label: by learned vectors, as in the book, or by ones "
        "and zeros (Mirza & Osindero 2014)",
    )
    group.add_argument("--latent-dim", type=cli.positive_int, metavar="N", help="size of the noise")
    for network in ("generator", "discriminator"):
        group.add_argument(
            f"--{network}-learning-rate",
            type=cli.positive_float,
            metavar="X",
            help=f"of the {network}'s Adam",
        )
    group.add_argument("--beta-1", type=cli.fraction, metavar="X", help="of both Adams")
    group.add_argument(
        "--learning-rate-decay",
        action=argparse.BooleanOptionalAction,
        help="lower both learning rates linearly to 0",
    )
    group.add_argument(
        "--gradient-penalty",
        type=cli.non_negative_float,
        metavar="X",
        help="weight of R1, the squared gradient of the discriminator's logit at real images",
    )
    group.add_argument(
        "--shared-fakes",
        action=argparse.BooleanOptionalAction,
        help="train both networks on the same generated images, which is faster; the book makes "
        "new ones for the generator",
    )
    group.add_argument("--slope", type=cli.fraction, metavar="X", help="of LeakyReLU below 0")
    group.add_argument(
        "--discriminator-batch-norm",
        action=argparse.BooleanOptionalAction,
        help="batch normalisation in the discriminator: the English edition has it, the Korean not",
    )
    return parser


def main(argv: list[str] | None = None) -> dict | None:
    config, options = cli.parse(build_parser(), PRESETS, argv)
    from common import runs

    run = runs.open_run("chapter08_cgan", config, options)
    if options.dry_run:
        return cli.show(config)

    # TensorFlow takes seconds to load, so it is left until the flags are known to be right.
    import numpy as np
    import tensorflow as tf

    from chapter08_cgan import networks
    from chapter08_cgan.cgan import ACGAN, CGAN
    from common import callbacks, data, device, images, metrics, optimizers, stream
    from common.batch_norm import fuse, unfuse

    device_name = device.setup(config.seed, config.precision)
    dataset = data.load(config.dataset, config.data_dir, config.validation_images)

    generator = networks.build_generator(config.latent_dim, config.condition, config.slope)
    if config.model == "acgan":
        discriminator = networks.build_acgan_discriminator(
            config.discriminator_batch_norm, config.slope
        )
    else:
        discriminator = networks.build_discriminator(
            config.condition, config.discriminator_batch_norm, config.slope
        )
    gan = (ACGAN if config.model == "acgan" else CGAN)(
        fuse(generator),
        fuse(discriminator),
        networks.CLASSES,
        config.gradient_penalty,
        config.shared_fakes,
        config.seed,
    )
    block = stream.steps_per_block(config.sample_interval, config.batch_size, most=10)

    def adam(rate, updates):
        decay_updates = updates if config.learning_rate_decay else None
        return optimizers.adam(rate, config.beta_1, decay_updates)

    gan.compile(
        d_optimizer=adam(  # which updates twice, on real and on generated images
            config.discriminator_learning_rate, 2 * config.iterations
        ),
        g_optimizer=adam(config.generator_learning_rate, config.iterations),
        steps_per_execution=block,
    )

    judge = metrics.Judge(dataset.name, dataset.x_test)

    def latent_points(count):
        """Always the same noise, and none that training sees: its iterations count from 0."""
        return tf.random.stateless_normal(
            (count, config.latent_dim), (config.seed, -1), alg="philox"
        ).numpy()

    def draw(points, classes):
        return gan.generator.predict([points, classes], batch_size=200, verbose=0)

    def picture():
        """A row for each class; the same noise down a column."""
        rows, columns = networks.CLASSES, 5
        pictures = draw(
            np.tile(latent_points(columns), (rows, 1)), np.repeat(np.arange(rows), columns)
        )
        return images.grid(pictures, columns)

    # Each class as often as among the training images.
    labels = np.resize(dataset.y_train, config.fid_images)

    def generate(count):
        return draw(latent_points(count), labels[:count])

    def measure():
        features, probabilities = judge.classifier(generate(config.fid_images))
        return {
            "fid": metrics.frechet_distance(judge.real_features, features),
            "label_accuracy": metrics.label_accuracy(probabilities, labels),
        }

    done = run.restore(gan)
    batches = stream.batches(
        dataset.x_train,
        config.batch_size,
        labels=dataset.y_train,
        seed=config.seed,
        start=done,
        block=block,
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
            callbacks=[callbacks.SaveRun(run, picture, measure if config.fid else None)],
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
        if config.model == "acgan":
            panels["loss"]["c_loss"] = "classes"
            panels["discriminator's accuracy"]["c_accuracy"] = "classes"
        title = f"Chapter 8, {config.model.upper()}, {config.dataset}"
        run.write("history.png", images.plot_history(run.history, panels, title))
        run.write("progress.gif", images.film((run.path / "samples").glob("[0-9]*.png")))
        run.save_model("generator.keras", unfuse(gan.generator))
        run.save_model("discriminator.keras", unfuse(gan.discriminator))
        return run.finish(judge.report(generate, config.fid_images, labels))


if __name__ == "__main__":
    cli.run(main)
