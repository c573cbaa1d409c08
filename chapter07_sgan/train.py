"""Trains the semi-supervised GAN of "GANs in Action" (chapter 7) on 100 labelled digits.

On two CPU cores:

    python chapter07_sgan/train.py                    feature matching, in nine minutes
    python chapter07_sgan/train.py --preset book      the book's settings
    python chapter07_sgan/train.py --labeled 50       fewer labels
    python chapter07_sgan/train.py --resume           goes on with a stopped run

The same network, trained on the labelled images alone, is the baseline that it is compared with.
"""

import argparse
import sys
from pathlib import Path

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import UserError, cli

BOOK = {  # GANs in Action, section 7.3, Korean edition, whose SGAN is the better one
    "dataset": "mnist",
    "validation_images": 0,
    "labeled": 100,
    "balanced": False,  # the first 100 training images, as they come
    "networks": "convolutional",
    "discriminator_batch_norm": False,  # the English edition has it
    "head": "k",
    "feature_matching": False,
    "shift": 0,
    "latent_dim": 100,
    "iterations": 8_000,
    "batch_size": 32,
    "labeled_batch_size": 32,
    "sample_interval": 800,
    "classifier_learning_rate": 3e-4,  # the English edition has Adam's default
    "discriminator_learning_rate": 1e-3,  # Adam's default in Keras
    "generator_learning_rate": 1e-3,
    "beta_1": 0.9,
    "learning_rate_decay": False,
    "baseline_epochs": 30,
    "seed": 0,
    "precision": "float32",
    "fid": False,
    "fid_images": 10_000,  # generated for the FID
}
PRESETS = {
    "quick": BOOK
    | {
        # What some of these do for the accuracy, measured, is in the chapter's README.
        "balanced": True,  # ten of each class
        "networks": "dense",
        "feature_matching": True,
        "shift": 2,
        "batch_size": 100,
        "labeled_batch_size": 50,
        "iterations": 24_000,
        "sample_interval": 2_000,
        "classifier_learning_rate": 1e-3,  # the baseline's
        "generator_learning_rate": 4e-3,  # it has to keep up with a strong discriminator
        "beta_1": 0.5,
        "learning_rate_decay": True,
        "baseline_epochs": 300,  # of two batches each
        "precision": "mixed_bfloat16",  # faster, on CPUs and GPUs that compute in it
    },
    "book": BOOK,
    "smoke": BOOK
    | {
        "dataset": "sample",  # needs no network
        "discriminator_batch_norm": True,  # so that it is tried
        "iterations": 4,
        "batch_size": 16,
        "labeled_batch_size": 16,
        "sample_interval": 2,
        "baseline_epochs": 2,
        "fid_images": 200,
    },
}


def build_parser() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__, PRESETS)
    group = parser.add_argument_group("this chapter")
    group.add_argument(
        "--labeled",
        type=cli.positive_int,
        metavar="N",
        help="how many training images have labels: N/10 of each class (quick), or the first N "
        "(book, or --no-balanced)",
    )
    group.add_argument(
        "--balanced",
        action=argparse.BooleanOptionalAction,
        help="draw as many labelled images of each class, by the seed",
    )
    group.add_argument(
        "--labeled-batch-size",
        type=cli.positive_int,
        metavar="N",
        help="labelled images of one training step; all of them, where there are fewer",
    )
    group.add_argument(
        "--networks",
        choices=["convolutional", "dense"],
        help="convolutional: the book's; dense: dense layers with Gaussian noise (Salimans et al. "
        "2016)",
    )
    group.add_argument(
        "--discriminator-batch-norm",
        action=argparse.BooleanOptionalAction,
        help="batch normalisation in the convolutional discriminator: the English edition has it, "
        "the Korean not",
    )
    group.add_argument(
        "--head",
        choices=["k", "k-plus-1"],
        help='ten logits, from which P(real) is computed, or an eleventh for "fake"',
    )
    group.add_argument(
        "--feature-matching",
        action=argparse.BooleanOptionalAction,
        help="the generator matches mean features of real images (Salimans et al. 2016), and the "
        "discriminator has one update an iteration; the book's has three",
    )
    group.add_argument(
        "--shift",
        type=int,
        choices=range(8),
        metavar="PIXELS",
        help="move real images by up to so many pixels, 0 to 7",
    )
    group.add_argument("--latent-dim", type=cli.positive_int, metavar="N", help="size of the noise")
    for name, what in (
        (
            "classifier",
            "the baseline's Adam, and without --feature-matching of the "
            "discriminator's Adam on labelled images",
        ),
        ("discriminator", "the discriminator's Adam"),
        ("generator", "the generator's Adam"),
    ):
        group.add_argument(
            f"--{name}-learning-rate", type=cli.positive_float, metavar="X", help=f"of {what}"
        )
    group.add_argument("--beta-1", type=cli.fraction, metavar="X", help="of the GAN's Adams")
    group.add_argument(
        "--learning-rate-decay",
        action=argparse.BooleanOptionalAction,
        help="lower the GAN's learning rates linearly to 0",
    )
    group.add_argument(
        "--baseline-epochs",
        type=cli.positive_int,
        metavar="N",
        help="passes of the baseline over the labelled images",
    )
    return parser


def main(argv: list[str] | None = None) -> dict | None:
    config, options = cli.parse(build_parser(), PRESETS, argv)
    from common import runs

    run = runs.open_run("chapter07_sgan", config, options)
    if config.networks == "dense" and options.given.get("discriminator_batch_norm"):
        raise UserError("--discriminator-batch-norm needs --networks convolutional")
    if config.feature_matching and config.networks != "dense" and config.discriminator_batch_norm:
        raise UserError("--feature-matching needs --no-discriminator-batch-norm, or dense networks")
    if options.dry_run:
        return cli.show(config)

    # TensorFlow takes seconds to load, so it is left until the flags are known to be right.
    import keras
    import numpy as np
    import tensorflow as tf

    from chapter07_sgan import comparison, figures, networks
    from chapter07_sgan.sgan import SGAN, FeatureMatchingSGAN
    from common import callbacks, data, device, images, metrics, optimizers, stream
    from common.batch_norm import fuse, unfuse

    device_name = device.setup(config.seed, config.precision)
    dataset = data.load(config.dataset, config.data_dir, config.validation_images)
    chosen = comparison.choose_labeled(
        dataset.y_train, config.labeled, config.balanced, config.seed
    )
    labeled_images, labels = dataset.x_train[chosen], dataset.y_train[chosen]
    unlabeled_images = np.delete(dataset.x_train, chosen, axis=0)
    if len(unlabeled_images) < config.batch_size:
        raise UserError(
            f"--labeled {config.labeled} leaves {len(unlabeled_images)} images without labels, "
            f"fewer than --batch-size {config.batch_size}"
        )

    classes = networks.CLASSES
    outputs = classes if config.head == "k" else classes + 1

    def build_generator():
        if config.networks == "dense":
            return networks.build_dense_generator(config.latent_dim)
        return fuse(networks.build_generator(config.latent_dim))

    def build_discriminator():
        if config.networks == "dense":
            return networks.build_dense_discriminator(outputs)
        return fuse(networks.build_discriminator(outputs, config.discriminator_batch_norm))

    def build_augmentation():
        return networks.build_augmentation(config.shift) if config.shift else None

    gan = (FeatureMatchingSGAN if config.feature_matching else SGAN)(
        build_generator(), build_discriminator(), build_augmentation(), classes, config.seed
    )
    labeled_batch_size = min(config.labeled_batch_size, config.labeled)
    block = stream.steps_per_block(
        config.sample_interval, config.batch_size + labeled_batch_size, most=20
    )

    def adam(rate, updates):
        decay_updates = updates if config.learning_rate_decay else None
        return optimizers.adam(rate, config.beta_1, decay_updates)

    n = config.iterations
    adams = {"g_optimizer": adam(config.generator_learning_rate, n)}
    if config.feature_matching:
        adams["d_optimizer"] = adam(config.discriminator_learning_rate, n)
    else:  # which updates twice, on real and on generated images
        adams["d_optimizer"] = adam(config.discriminator_learning_rate, 2 * n)
        adams["c_optimizer"] = adam(config.classifier_learning_rate, n)
    gan.compile(**adams, steps_per_execution=block)

    def accuracies(network):
        """Of the labelled images and of the test images; and the classes seen in the latter."""
        seen = comparison.classify(network, labeled_images, classes)
        seen_in_test = comparison.classify(network, dataset.x_test, classes)
        return {
            "labeled_accuracy": float(np.mean(seen == labels)),
            "test_accuracy": float(np.mean(seen_in_test == dataset.y_test)),
        }, seen_in_test

    judge = metrics.Judge(dataset.name, dataset.x_test)

    def generate(count):
        """Always the same noise, and none that training sees: its iterations count from 0."""
        noise = tf.random.stateless_normal(
            (count, config.latent_dim), (config.seed, -1), alg="philox"
        )
        return gan.generator.predict(noise, batch_size=200, verbose=0)

    def picture():
        return images.grid(generate(25), columns=5)

    def measure():
        fid = {"fid": judge.fid(generate(config.fid_images))} if config.fid else {}
        return accuracies(gan.discriminator)[0] | fid

    done = run.restore(gan)
    batches = tf.data.Dataset.zip(
        stream.batches(
            labeled_images,
            labeled_batch_size,
            labels=labels,
            seed=config.seed,
            start=done,
            block=block,
        ),
        stream.batches(
            unlabeled_images, config.batch_size, seed=config.seed, start=done, block=block
        ),
    )
    run.start(dataset.describe())
    print(f"{len(dataset.x_train)} training images: {dataset.source}")
    print(f"{len(labels)} with labels, {np.bincount(labels, minlength=classes)} of each class")
    print(f"training on the {device_name} into {run.path}")
    with run.resumable():
        gan.fit(
            batches,
            epochs=config.iterations // config.sample_interval,
            initial_epoch=done // config.sample_interval,
            steps_per_epoch=config.sample_interval,
            callbacks=[callbacks.SaveRun(run, picture, measure)],
            shuffle=False,  # the stream has done it
            verbose=1 if sys.stdout.isatty() else 2,
        )

        print("training the baseline on the labelled images alone")
        keras.utils.set_random_seed(config.seed)  # a resumed run has drawn less until now
        baseline = build_discriminator()
        comparison.train_supervised(
            baseline,
            build_augmentation(),
            labeled_images,
            labels,
            learning_rate=config.classifier_learning_rate,
            batch_size=labeled_batch_size,
            epochs=config.baseline_epochs,
        )
        ours, our_classes = accuracies(gan.discriminator)
        baselines, baselines_classes = accuracies(baseline)

        title = f"Chapter 7, SGAN, {config.dataset}, {config.labeled} labels"
        panels = {
            "loss": {
                "c_loss": "discriminator, labelled",
                "d_loss": "discriminator, real or fake",
                "g_loss": "generator",
            },
            "discriminator's accuracy": {
                "c_accuracy": "labelled, training",
                "d_accuracy_real": "real",
                "d_accuracy_fake": "fake",
            },
        }
        run.write("history.png", images.plot_history(run.history, panels, title))
        run.write(
            "learning_curve.png",
            figures.learning_curve(run.history, baselines["test_accuracy"], title),
        )
        run.write(
            "confusion.png",
            figures.confusion(
                dataset.y_test,
                {"SGAN": our_classes, "labelled images alone": baselines_classes},
                data.class_names(dataset.name),
            ),
        )
        run.write("progress.gif", images.film((run.path / "samples").glob("[0-9]*.png")))
        run.save_model("generator.keras", unfuse(gan.generator))
        run.save_model("discriminator.keras", unfuse(gan.discriminator))
        run.save_model("baseline.keras", unfuse(baseline))

        print(f"{'accuracy':<24}{'labelled images':>16}{'test images':>16}")
        for name, row in (("SGAN", ours), ("labelled images alone", baselines)):
            print(f"{name:<24}{row['labeled_accuracy']:>16.2%}{row['test_accuracy']:>16.2%}")
        report = judge.report(generate, config.fid_images)
        baselines = {f"baseline_{name}": value for name, value in baselines.items()}
        return run.finish(ours | baselines | report)


if __name__ == "__main__":
    cli.run(main)
