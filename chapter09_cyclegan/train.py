"""Trains the CycleGAN of "GANs in Action" (chapter 9): one kind of image into another, and back.

On two CPU cores:

    python chapter09_cyclegan/train.py                        sneakers ↔ ankle boots, six minutes
    python chapter09_cyclegan/train.py --dataset MY_FOLDER    with trainA, trainB, testA, testB
    python chapter09_cyclegan/train.py --preset book          apples ↔ oranges; takes a GPU
    python chapter09_cyclegan/train.py --resume               goes on with a stopped run

Then translate.py turns pictures of your own with what was trained.
"""

import argparse
import sys
from pathlib import Path

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from chapter09_cyclegan import download
from common import UserError, cli

BOOK = {  # GANs in Action, chapter 9
    "dataset": "apple2orange",
    "validation_images": 0,
    "size": 128,
    "model": "cyclegan",
    "generator": "unet",
    "generator_filters": 32,
    "discriminator_filters": 64,
    "patch": 94,
    "epochs": 100,
    "batch_size": 64,
    "sample_epochs": 5,
    "learning_rate": 2e-4,
    "beta_1": 0.5,
    "decay": 0.0,
    "lambda_cycle": 10.0,
    "lambda_identity": 9.0,
    "pool_size": 0,
    "separate_updates": True,
    "augmentation": "flip",
    "judge_epochs": 20,  # of the classifier that judges the translations
    "seed": 0,
    "precision": "float32",
}
PRESETS = {
    "quick": BOOK
    | {
        # What some of these do, measured, is in the chapter's README.
        "dataset": "fashion_sample:sneaker:ankle-boot",  # bundled
        "size": 32,
        "discriminator_filters": 32,
        "patch": 34,  # about the size of an image
        "epochs": 50,
        "batch_size": 16,
        "sample_epochs": 5,
        "learning_rate": 4e-4,
        "decay": 0.5,  # as in the paper
        "lambda_identity": 0.5,  # more, and what could be either stays what it was
        "separate_updates": False,  # as in the paper
        "augmentation": "none",  # mirrored, shoes are translated into shoes that look the other way
        "precision": "mixed_bfloat16",  # faster, on CPUs and GPUs that compute in it
    },
    "book": BOOK,
    "paper": BOOK
    | {  # Zhu et al. 2017, section 4 and appendix 7
        "size": 256,
        "generator": "resnet",
        "generator_filters": 64,
        "patch": 70,
        "epochs": 200,
        "batch_size": 1,
        "decay": 0.5,
        "lambda_identity": 5.0,
        "pool_size": 50,
        "separate_updates": False,
        "augmentation": "jitter",
    },
    "smoke": BOOK
    | {
        "dataset": "fashion_sample:sneaker:ankle-boot",  # needs no network
        "size": 32,
        "generator_filters": 4,
        "discriminator_filters": 4,
        "patch": 34,
        "epochs": 2,
        "batch_size": 64,
        "sample_epochs": 1,
        "pool_size": 64,
        "augmentation": "jitter",
        "judge_epochs": 1,
    },
}
DISCOGAN = {"lambda_cycle": 1.0, "lambda_identity": 0.0, "pool_size": 0}  # Kim et al. 2017


def dataset(text: str) -> str:
    """A data set's name, or the path of one, made absolute: a run can be resumed from anywhere."""
    named = text in download.NAMES or text.split(":")[0] in cli.DIGITS_OR_CLOTHES["choices"]
    return text if named else cli.folder(text)


def image_size(text: str) -> int:
    """A multiple of 16, for argparse, as the U-Net halves images four times; and 32 at least.

    Of 16×16, a single pixel would be left, of which instance normalisation leaves nothing.
    """
    number = cli.positive_int(text)
    if number % 16 or number < 32:
        raise argparse.ArgumentTypeError(f"{text} is not 32, 48, 64 or another multiple of 16")
    return number


def build_parser() -> argparse.ArgumentParser:
    parser = cli.parser(
        __doc__,
        PRESETS,
        unit="epochs",
        dataset={
            "type": dataset,
            "metavar": "DATASET",
            "help": "apple2orange, horse2zebra or another of the paper's; the path of a folder or "
            "zip with trainA, trainB, testA and testB (./maps, if it is called like one of the "
            "paper's); or two classes, as fashion_mnist:shirt:dress",
            "data_dir": "holds the data set by its name, so that nothing is downloaded",
        },
    )
    group = parser.add_argument_group("this chapter")
    group.add_argument(
        "--size", type=image_size, metavar="N", help="of the images, a multiple of 16 from 32 on"
    )
    group.add_argument(
        "--sample-epochs",
        type=cli.positive_int,
        metavar="N",
        help="epochs from one picture, line of history and checkpoint to the next "
        "(default: the preset's, or the next smaller number that divides --epochs)",
    )
    group.add_argument(
        "--model",
        choices=["cyclegan", "discogan"],
        help="the book's, or DiscoGAN (Kim et al. 2017), the same game with other losses",
    )
    group.add_argument(
        "--generator",
        choices=["unet", "resnet"],
        help="the book's, or the paper's, with the paper's discriminator",
    )
    for network in ("generator", "discriminator"):
        group.add_argument(
            f"--{network}-filters",
            type=cli.positive_int,
            metavar="N",
            help=f"of the {network}'s first convolution",
        )
    group.add_argument(
        "--patch",
        type=int,
        choices=[94, 70, 34, 16],
        help="pixels of the square that one of the discriminator's scores judges",
    )
    group.add_argument(
        "--learning-rate", type=cli.positive_float, metavar="X", help="of all three Adams"
    )
    group.add_argument("--beta-1", type=cli.fraction, metavar="X", help="of all three Adams")
    group.add_argument(
        "--decay",
        type=cli.fraction,
        metavar="X",
        help="the last share of training in which the learning rate falls linearly to 0",
    )
    for name, of in (
        ("cycle", "what comes back from a cycle"),
        ("identity", "images that are in the target domain already"),
    ):
        group.add_argument(
            f"--lambda-{name}",
            type=cli.non_negative_float,
            metavar="X",
            help=f"weight of the error of {of}",
        )
    group.add_argument(
        "--pool-size",
        type=cli.non_negative_int,
        metavar="N",
        help="how many earlier translations the discriminators may be shown; 0 for none",
    )
    group.add_argument(
        "--separate-updates",
        action=argparse.BooleanOptionalAction,
        help="update discriminators on real and on generated images apart, as the book does",
    )
    group.add_argument(
        "--augmentation",
        choices=["none", "flip", "cut", "jitter"],
        help="mirror training images, as the book does, or cut them out of slightly larger ones, "
        "or both",
    )
    return parser


def main(argv: list[str] | None = None) -> dict | None:
    config, options = cli.parse(build_parser(), PRESETS, argv)
    if config.model == "discogan":
        vars(config).update(DISCOGAN | options.given)
    from common import runs

    run = runs.open_run("chapter09_cyclegan", config, options)
    if 0 < config.pool_size < config.batch_size:
        raise UserError(
            f"--pool-size {config.pool_size} is less than --batch-size {config.batch_size}"
        )
    config.sample_epochs = cli.interval(
        config.epochs, config.sample_epochs, "sample_epochs" in options.given, "epochs", "epochs"
    )
    if options.dry_run:
        return cli.show(config)

    # TensorFlow takes seconds to load, so it is left until the flags are known to be right.
    import keras
    import tensorflow as tf

    from chapter09_cyclegan import augmentation, data, evaluation, networks
    from chapter09_cyclegan.cyclegan import CycleGAN, DiscoGAN, LinearDecay
    from common import callbacks, device, images, stream

    device_name = device.setup(config.seed, config.precision)
    domains = data.load(config.dataset, config.size, config.data_dir, config.validation_images)
    channels = domains.image_shape[-1]
    for name, part in zip(domains.names, (domains.train_A, domains.train_B), strict=True):
        if config.batch_size > len(part):
            raise UserError(
                f"--batch-size {config.batch_size} is more than the {len(part)} training images of "
                f"{name}"
            )
    # An epoch is a pass over the larger domain; the other begins anew meanwhile.
    epoch = max(len(domains.train_A), len(domains.train_B)) // config.batch_size
    config.sample_interval = config.sample_epochs * epoch
    config.iterations = config.epochs * epoch

    def build_generator():
        if config.generator == "unet":
            return networks.build_unet(channels, config.generator_filters)
        blocks = 9 if config.size >= 256 else 6  # as in the paper
        return networks.build_resnet(channels, config.generator_filters, blocks)

    def build_discriminator():
        paper = config.generator == "resnet"
        return networks.build_discriminator(
            channels, config.discriminator_filters, config.patch, paper
        )

    gan = (DiscoGAN if config.model == "discogan" else CycleGAN)(
        build_generator(),
        build_generator(),
        build_discriminator(),
        build_discriminator(),
        domains.image_shape,
        lambda_cycle=config.lambda_cycle,
        lambda_identity=config.lambda_identity,
        pool_size=config.pool_size,
        separate_updates=config.separate_updates,
        augmentation=getattr(augmentation, config.augmentation, None),
        seed=config.seed,
    )

    def adam(updates_an_iteration):
        rate, updates = config.learning_rate, config.iterations * updates_an_iteration
        decaying = round(updates * config.decay)
        if decaying:
            rate = LinearDecay(rate, updates - decaying, decaying)
        return keras.optimizers.Adam(rate, config.beta_1)

    block = stream.steps_per_block(
        config.sample_interval, config.batch_size, most=10, pixels=config.size**2 * channels
    )
    d_updates = 2 if config.separate_updates else 1
    gan.compile(adam(d_updates), adam(d_updates), adam(1), steps_per_execution=block)

    def picture():
        page = evaluation.cycles(gan, domains, rows=5)
        return images.grid(page, columns=6, zoom=max(1, 96 // config.size))

    def measure():
        return evaluation.evaluate(gan, domains, judge)

    done = run.restore(gan)
    batches = tf.data.Dataset.zip(
        *(
            stream.batches(part, config.batch_size, seed=seed, start=done, block=block)
            for part, seed in (
                (domains.train_A, config.seed),
                (domains.train_B, config.seed ^ 2**30),  # in another order
            )
        )
    )
    run.start(domains.describe())
    print(f"{len(domains.train_A)} and {len(domains.train_B)} training images: {domains.source}")
    print(f"training on the {device_name} into {run.path}; first the judge of the translations")
    with run.resumable(), data.reading_errors(domains):
        judge = evaluation.Judge(domains, config.judge_epochs, config.seed)
        untranslated = evaluation.of_doing_nothing(domains, judge)
        gan.fit(
            batches,
            epochs=config.epochs // config.sample_epochs,
            initial_epoch=done // config.sample_interval,
            steps_per_epoch=config.sample_interval,
            callbacks=[callbacks.SaveRun(run, picture, measure)],
            shuffle=False,  # the stream has done it
            verbose=1 if sys.stdout.isatty() else 2,
        )

        A, B = domains.names
        panels = {
            "adversarial loss": {
                "d_A_loss": f"discriminator of {A}",
                "d_B_loss": f"discriminator of {B}",
                "adversarial_loss": "generators",
            },
            "mean absolute error": {
                "AB_cycle_error": f"cycle from {A}, test",
                "BA_cycle_error": f"cycle from {B}, test",
                "AB_identity_error": f"identity of {B}, test",
                "BA_identity_error": f"identity of {A}, test",
            },
            "judged as the target": {"AB_target": f"{A} to {B}", "BA_target": f"{B} to {A}"},
        }
        title = f"Chapter 9, {type(gan).__name__}, {A} and {B}, {config.size}×{config.size}"
        run.write("history.png", images.plot_history(run.history, panels, title))
        run.write("progress.gif", images.film((run.path / "samples").glob("[0-9]*.png")))
        for name in ("g_AB", "g_BA", "d_A", "d_B"):
            run.save_model(f"{name}.keras", getattr(gan, name))

        results = run.history[-1]
        print(f"{'test images':<32}{f'{A} to {B}':>26}{f'{B} to {A}':>26}")
        for label, row, form in (
            ("judged as the target", "{}_target", ".1%"),
            ("the same, untranslated", "untranslated_{}_target", ".1%"),
            ("cycle error", "{}_cycle_error", ".3f"),
            ("identity error", "{}_identity_error", ".3f"),
        ):
            both = [(results | untranslated)[row.format(name)] for name in ("AB", "BA")]
            print(f"{label:<32}{both[0]:>26{form}}{both[1]:>26{form}}")
        return run.finish(untranslated)


if __name__ == "__main__":
    cli.run(main)
