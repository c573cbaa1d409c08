"""Trains small classifiers on MNIST, attacks them, and shows how little it takes to fool them.

On two CPU cores:

    python chapter10_adversarial/train.py                         three minutes
    python chapter10_adversarial/train.py --defend                seven to nine: a defended one too
    python chapter10_adversarial/train.py --defend --preset book  larger: an hour on one core
    python chapter10_adversarial/train.py --resume                goes on with a stopped run

The book's own experiment, on photos, is imagenet.py.
"""

import sys
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import UserError, cli
from common.settings import Count, EpochSettings, Fraction, Width
from common.training import TrainingRun


class Settings(EpochSettings):
    """The book trains no classifier, so no setting is the book's. Comments give Madry et al.'s
    (2018) values for MNIST."""

    defend: bool = False
    """also train a network on adversarial images, and attack it beside the others"""
    epsilon: Annotated[float, Field(gt=0, le=1)] = 0.3
    """how far a pixel may be changed, from 0 to 1, in training and tests (curves go from 0 to 4/3
    of it)"""
    attack_steps: Count = 40
    """steps of PGD on test images"""
    attack_step_size: PositiveFloat = 1 / 30  # .01 where epsilon is .3
    """the length of these steps, times epsilon; with fewer steps take longer ones"""
    attacked_images: Count = 1_000
    """test images that the curves, the histogram and the checks are made from (and, up to 500, the
    history)"""
    apgd_steps: Count = 100
    """steps of Auto-PGD, and of APGD-T towards each class, in the checks"""
    apgd_classes: Annotated[int, Field(ge=1, le=9)] = 9
    """how many wrong classes APGD-T aims at in the checks, the likeliest first"""
    random_tries: Count = 100
    """how many random perturbations the checks draw for an image, where the best counts"""
    square_queries: Count = 1_000
    """squares that the Square attack tries in the checks"""
    convolutions: Literal[2, 4] = 4  # theirs: 2, of 5×5, each before pooling
    """convolutions of the networks: two of 5×5, each of which halves height and width; or four of
    3×3, of which every second does"""
    filters: Width = 32  # theirs: 32 and 64, too
    """filters of the first half of the networks' convolutions; those of the second half have twice
    as many"""
    units: Width = 128  # theirs: 1,024
    """units of the networks' hidden dense layer"""
    binarization: Annotated[float, Field(ge=0, le=32)] = 30.0
    """with --defend: steepness of the sigmoid by which the defended network makes pixels black or
    white before it looks at them; 0: it does not"""
    training_steps: Count = 3  # theirs: 40, of .033
    """with --defend: steps of the attack that the defended network is trained with"""
    training_step_size: PositiveFloat = 0.5
    """with --defend: the length of these steps, times epsilon"""
    trades: Annotated[float, Field(ge=0, le=100)] = 4.0  # Zhang et al. (2019): 1 to 6
    """with --defend: weight of TRADES' loss, the KL divergence between what the defended network
    predicts for an image before and after an attack, beside the cross-entropy on images as they
    are; 0: the cross-entropy on adversarial images alone"""
    average: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """with --defend: the defended network ends with a running average of its weights, of this
    momentum (at most 1 - 6 / iterations, so that a short run does not keep its initial weights); 0:
    with its last weights"""
    warmup: Fraction = 0.3  # with all of epsilon at once, nothing was learned
    """with --defend: the first share of training, in which the epsilon of the attack that the
    defended network is trained with grows from 0"""
    learning_rate: PositiveFloat = 3e-3
    """learning rate of the networks' Adams, lowered linearly to 0"""

    @model_validator(mode="after")
    def _steps_reach_epsilon(self) -> Self:
        for kind, steps, size in (
            ("attack", self.attack_steps, self.attack_step_size),
            ("training", self.training_steps, self.training_step_size),
        ):
            if steps * size < 1:
                raise ValueError(
                    f"--{kind}-steps {steps} of --{kind}-step-size {size:g} do not get as far as "
                    "epsilon; take more or longer ones"
                )
        return self


# Here `book` has the larger networks, to be compared with Madry et al.'s (2018).
BOOK = Settings(epochs=10, batch_size=100)  # theirs: 83 epochs
PRESETS = {
    # What these do, measured, is in the chapter's README.
    "quick": BOOK.replace(
        apgd_classes=3,
        convolutions=2,
        filters=16,  # as Wong et al. (2020)
        units=100,
        average=0.0,
    ),
    "book": BOOK,
    "smoke": BOOK.replace(
        dataset="sample",  # needs no network
        attack_steps=3,
        attack_step_size=0.8,
        attacked_images=20,
        apgd_steps=4,
        apgd_classes=1,
        random_tries=2,
        square_queries=2,
        convolutions=2,
        filters=4,
        units=16,
        average=0.5,
        training_steps=2,
        epochs=2,
        batch_size=500,
    ),
}


def train(config: Settings, run: TrainingRun) -> dict:
    """Data → networks → model → fit → results. What `run` does is in common/training.py."""
    from chapter10_adversarial.evaluation import Attacker, AttackEvaluator
    from chapter10_adversarial.networks import build_classifier
    from chapter10_adversarial.report import Report
    from chapter10_adversarial.training import BOUNDS

    check_defence(config, run)
    dataset = run.load_data()
    count = count_attacked(config, run, len(dataset.x_test))

    names = ["undefended", "second"] + (["defended"] if config.defend else [])
    with run.scope():
        classifiers = {
            name: build_classifier(
                config.filters,
                config.units,
                config.binarization if name == "defended" else 0,
                config.convolutions,
            )
            for name in names
        }
        model = build_training(config, classifiers, run.iterations)
        model.compile(
            *(build_optimizer(config, run.iterations, name) for name in names),
            steps_per_execution=run.steps_per_execution(),
            jit_compile=run.xla,
        )

    attack = Attacker(config.attack_steps, config.attack_step_size, config.seed)
    evaluator = AttackEvaluator(
        classifiers, attack, dataset.x_test, dataset.y_test, config.epsilon, count
    )

    run.begin(model, dataset.describe())
    model.fit(
        run.batches(dataset.x_train, dataset.y_train, value_range=BOUNDS),
        callbacks=run.callbacks(evaluator.sample_images, evaluator.evaluate),
        **run.fit_arguments,
    )
    if config.defend:
        model.take_averages()

    title = f"Chapter 10, {config.dataset}"
    run.plot_history(evaluator.plots(), title)
    run.save_models(**classifiers)
    report = Report(run, evaluator, title)
    report.gallery()
    report.curves()
    checks = report.checks(
        steps=config.apgd_steps,
        classes=config.apgd_classes,
        tries=config.random_tries,
        queries=config.square_queries,
    )
    return run.finish(checks | report.accuracies())


def build_optimizer(config, updates, name):
    """Adam, whose learning rate falls to 0; the defended network's may average the weights."""
    from common import optimizers

    # In few updates the average would keep much of the initial weights: exp(-6) of them at most.
    most = max(0.0, 1 - 6 / updates)
    average = min(config.average, most) if name == "defended" else 0.0
    return optimizers.adam(
        config.learning_rate, 0.9, updates, use_ema=average > 0, ema_momentum=average
    )


OF_THE_DEFENCE = (
    "binarization",
    "training_steps",
    "training_step_size",
    "trades",
    "average",
    "warmup",
)


def check_defence(config, run):
    """A UserError if what only the defended network has was typed without --defend."""
    for name in OF_THE_DEFENCE:
        if name in run.typed and not config.defend:
            raise UserError(f"--{name.replace('_', '-')} needs --defend")


def count_attacked(config, run, test_images):
    """How many images are attacked.

    A preset's `attacked_images` is lowered to the number of test images; a typed one must not
    exceed it.

    Raises:
        UserError: it does.
    """
    if config.attacked_images > test_images and "attacked_images" in run.typed:
        raise UserError(
            f"--attacked-images {config.attacked_images} is more than the {test_images} test images"
        )
    return min(config.attacked_images, test_images)


def build_training(config, classifiers, iterations):
    """The Keras model that trains them, with or without adversarial images."""
    from chapter10_adversarial.training import AdversarialTraining, Training

    if not config.defend:
        return Training(**classifiers)
    return AdversarialTraining(
        **classifiers,
        epsilon=config.epsilon,
        warmup=round(config.warmup * iterations),
        steps=config.training_steps,
        step_size=config.training_step_size,
        trades=config.trades,
        seed=config.seed,
    )


main = cli.program("chapter10_adversarial", __doc__, PRESETS, train)

if __name__ == "__main__":
    cli.run(main)
