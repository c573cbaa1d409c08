"""Trains small classifiers on MNIST, attacks them, and shows how little it takes to fool them.

On two CPU cores:

    python chapter10_adversarial/train.py                            two and a half minutes
    python chapter10_adversarial/train.py --defend                   six: also one that withstands
    python chapter10_adversarial/train.py --defend --preset book     the same at length
    python chapter10_adversarial/train.py --resume                   goes on with a stopped run

The book's own experiment, on photos, is imagenet.py.
"""

import argparse
import sys
from pathlib import Path

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import UserError, cli

# GANs in Action attacks networks that others have trained. Here `book` is the longer run; it stands
# beside Madry et al. (2018), MNIST.
BOOK = {
    "dataset": "mnist",
    "validation_images": 0,
    "defend": False,
    "epsilon": 0.3,
    "attack_steps": 40,
    "attack_step_size": 1 / 30,  # .01 where epsilon is .3
    "attacked_images": 2_000,
    "restarts": 10,
    "noise_tries": 100,
    "square_queries": 1_000,
    "filters": 32,  # theirs has 32 and 64 too, before pooling, and then 1,024 units
    "units": 128,
    "training_steps": 7,  # theirs are 40, of .033
    "training_step_size": 0.3,
    "warmup": 0.3,  # of the training; with all of epsilon at once, nothing was learned
    "epochs": 20,  # theirs are 83
    "batch_size": 100,
    "learning_rate": 2e-3,
    "seed": 0,
    "precision": "float32",
}
PRESETS = {
    "quick": BOOK
    | {
        # What these do, measured, is in the chapter's README.
        "attacked_images": 1_000,
        "restarts": 5,
        "filters": 16,  # as Wong et al. (2020)
        "units": 100,
        "training_steps": 3,
        "training_step_size": 0.5,
        "epochs": 10,
        "learning_rate": 3e-3,
    },
    "book": BOOK,
    "smoke": BOOK
    | {
        "dataset": "sample",  # needs no network
        "attack_steps": 3,
        "attack_step_size": 0.8,
        "attacked_images": 20,
        "restarts": 2,
        "noise_tries": 2,
        "square_queries": 2,
        "filters": 4,
        "units": 16,
        "training_steps": 2,
        "epochs": 2,
        "batch_size": 500,
    },
}


def build_parser() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__, PRESETS, unit="epochs")
    group = parser.add_argument_group("this chapter")
    group.add_argument(
        "--defend",
        action=argparse.BooleanOptionalAction,
        help="also train a network on adversarial images, and attack it beside the others",
    )
    group.add_argument(
        "--epsilon",
        type=cli.positive_float,
        metavar="X",
        help="how far a pixel may be changed, from 0 to 1, in training and in all tests",
    )
    group.add_argument(
        "--attack-steps",
        type=cli.positive_int,
        metavar="N",
        help="steps of PGD on test images",
    )
    group.add_argument(
        "--attack-step-size",
        type=cli.positive_float,
        metavar="X",
        help="the length of these steps, times epsilon; with fewer steps take longer ones",
    )
    group.add_argument(
        "--attacked-images",
        type=cli.positive_int,
        metavar="N",
        help="test images that the curves, the histogram and the checks are made from (and, up to "
        "500, the history)",
    )
    group.add_argument(
        "--restarts",
        type=cli.positive_int,
        metavar="N",
        help="how often PGD begins anew in the checks, where the best attempt counts",
    )
    group.add_argument(
        "--noise-tries",
        type=cli.positive_int,
        metavar="N",
        help="how much noise the checks draw for an image, where the best counts",
    )
    group.add_argument(
        "--square-queries",
        type=cli.positive_int,
        metavar="N",
        help="squares that the Square attack tries in the checks",
    )
    group.add_argument(
        "--filters",
        type=cli.positive_int,
        metavar="N",
        help="filters of the networks' first convolution; the second has twice as many",
    )
    group.add_argument(
        "--units",
        type=cli.positive_int,
        metavar="N",
        help="units of the networks' hidden dense layer",
    )
    group.add_argument(
        "--training-steps",
        type=cli.positive_int,
        metavar="N",
        help="steps of the attack that the defended network is trained with",
    )
    group.add_argument(
        "--training-step-size",
        type=cli.positive_float,
        metavar="X",
        help="the length of these steps, times epsilon",
    )
    group.add_argument(
        "--warmup",
        type=cli.fraction,
        metavar="X",
        help="the first share of training in which the epsilon of this attack grows from 0",
    )
    group.add_argument(
        "--learning-rate",
        type=cli.positive_float,
        metavar="X",
        help="learning rate of the networks' Adams, lowered linearly to 0",
    )
    return parser


def main(argv: list[str] | None = None) -> dict | None:
    config, options = cli.parse(build_parser(), PRESETS, argv)
    from common import runs

    run = runs.open_run("chapter10_adversarial", config, options)
    if config.epsilon > 1:
        raise UserError(f"--epsilon {config.epsilon:g} is more than images in [0, 1] have room for")
    if config.attack_steps * config.attack_step_size < 1:
        raise UserError(
            f"--attack-steps {config.attack_steps} of --attack-step-size "
            f"{config.attack_step_size:g} do not get as far as epsilon; take more or longer ones"
        )
    if options.dry_run:
        return cli.show(config)

    # TensorFlow takes seconds to load, so it is left until the flags are known to be right.
    import numpy as np

    from chapter10_adversarial import evaluation, networks
    from chapter10_adversarial.report import Report
    from chapter10_adversarial.training import Training
    from common import callbacks, data, device, images, optimizers, stream

    device_name = device.setup(config.seed, config.precision)
    dataset = data.load(config.dataset, config.data_dir, config.validation_images)
    stream.check_batch_size(config.batch_size, dataset.x_train)
    if config.attacked_images > len(dataset.x_test):
        if "attacked_images" in options.given:
            raise UserError(
                f"--attacked-images {config.attacked_images} is more than the "
                f"{len(dataset.x_test)} test images"
            )
        config.attacked_images = len(dataset.x_test)  # of the preset's: as many as there are
    config.sample_interval = len(dataset.x_train) // config.batch_size  # an epoch
    config.iterations = config.epochs * config.sample_interval

    def build_classifier():
        return networks.build_classifier(config.filters, config.units)

    classifiers = {"undefended": build_classifier(), "second": build_classifier()}
    if config.defend:
        classifiers["defended"] = build_classifier()
    attacked = [name for name in classifiers if name != "second"]
    training = Training(
        classifiers["undefended"],
        classifiers["second"],
        classifiers.get("defended"),
        epsilon=config.epsilon,
        warmup=round(config.warmup * config.iterations),
        steps=config.training_steps,
        step_size=config.training_step_size,
        seed=config.seed,
    )
    block = stream.steps_per_block(config.sample_interval, config.batch_size)
    training.compile(
        *(optimizers.adam(config.learning_rate, 0.9, config.iterations) for _ in classifiers),
        steps_per_execution=block,
    )

    make = evaluation.Attacks(config.attack_steps, config.attack_step_size, config.seed)
    test_images = dataset.x_test.astype(np.float32) / 255
    labels = dataset.y_test
    n = config.attacked_images
    shown = [np.flatnonzero(labels == label)[0] for label in np.unique(labels)]  # one of each

    def adversarial(name, chosen):
        """Images that PGD makes for a network."""
        return make("pgd", classifiers[name], test_images[chosen], labels[chosen], config.epsilon)

    def picture():
        """An image of each class; under it, what PGD makes of it for each attacked network."""
        rows = [test_images[shown], *(adversarial(name, shown) for name in attacked)]
        return images.grid(np.concatenate(rows) * 2 - 1, columns=len(shown))

    def measure():
        """Accuracy of the attacked networks on the first test images, as they are and attacked."""
        first = slice(0, min(n, 500))
        accuracies = {}
        for name in attacked:
            for kind, pictures in (
                ("", test_images[first]),
                ("pgd_", adversarial(name, first)),
            ):
                right = evaluation.is_right(classifiers[name], pictures, labels[first])
                accuracies[f"{name}_{kind}accuracy"] = float(np.mean(right))
        return accuracies

    done = run.restore(training)
    batches = stream.batches(
        dataset.x_train,
        config.batch_size,
        labels=dataset.y_train,
        seed=config.seed,
        start=done,
        block=block,
        value_range=(0.0, 1.0),
    )
    run.start(dataset.describe())
    print(f"{len(dataset.x_train)} training images: {dataset.source}")
    print(f"training on the {device_name} into {run.path}")
    with run.resumable():
        training.fit(
            batches,
            epochs=config.epochs,
            initial_epoch=done // config.sample_interval,
            steps_per_epoch=config.sample_interval,
            callbacks=[callbacks.SaveRun(run, picture, measure)],
            shuffle=False,  # the stream has done it
            verbose=1 if sys.stdout.isatty() else 2,
        )

        title = f"Chapter 10, {config.dataset}"
        panels = {
            "loss": {f"{name}_loss": name for name in classifiers},
            "accuracy, first test images": {
                f"{name}_{kind}accuracy": f"{name}{text}"
                for name in attacked
                for kind, text in (("", ""), ("pgd_", ", under PGD"))
            },
        }
        run.write("history.png", images.plot_history(run.history, panels, title))
        run.write("progress.gif", images.film((run.path / "samples").glob("[0-9]*.png")))
        for name, network in classifiers.items():
            run.save_model(f"{name}.keras", network)

        report = Report(run, classifiers, attacked, test_images, labels, make, title)
        report.gallery(shown)
        report.curves()
        return run.finish(report.checks() | report.accuracies())


if __name__ == "__main__":
    cli.run(main)
