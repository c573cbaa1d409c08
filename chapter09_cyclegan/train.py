"""Trains the CycleGAN of "GANs in Action" (chapter 9): one kind of image into another, and back.

On two CPU cores:

    python chapter09_cyclegan/train.py                        sneakers ↔ ankle boots, 6 minutes
    python chapter09_cyclegan/train.py --precision float32    the same without bfloat16, 8
    python chapter09_cyclegan/train.py --dataset MY_FOLDER    with trainA, trainB, testA, testB
    python chapter09_cyclegan/train.py --preset discogan      sneakers ↔ bags, by DiscoGAN
    python chapter09_cyclegan/train.py --preset book          apples ↔ oranges; takes a GPU
    python chapter09_cyclegan/train.py --resume               goes on with a stopped run

Then translate.py translates pictures of your own with what was trained.
"""

import sys
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, model_validator

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from chapter09_cyclegan import download
from common import UserError, cli, data, settings
from common.settings import Count, DigitSet, Fraction, Width, absolute
from common.training import TrainingRun


def check_dataset(name: str) -> str:
    """A data set's name, or the path of one, made absolute: a run can be resumed from anywhere."""
    named = name in download.NAMES or name.split(":")[0] in get_args(DigitSet)
    return name if named else absolute(name)


def is_of_digits(name: str) -> bool:
    """Whether a data set is two classes of MNIST, whose images mean something else mirrored."""
    return data.NAMES.get(name.split(":")[0]) == "mnist"


def check_size(size: int) -> int:
    if size > 2048:
        raise ValueError("is more than 2048")
    if size % 16 or size < 32:
        raise ValueError(
            "is not 32, 48, 64 or another multiple of 16, as the U-Net halves images four times "
            "and instance normalisation leaves nothing of a single pixel"
        )
    return size


DISCOGAN = {  # of Kim et al. 2017; what --model discogan sets where no flag says otherwise
    "generator": "encoder-decoder",
    "lambda_cycle": 1.0,
    "lambda_identity": 0.0,
    "pool_size": 0,
}


class Settings(settings.Settings):
    """GANs in Action, chapter 9; batch size, seed and precision: common/settings.py."""

    dataset: Annotated[str, AfterValidator(check_dataset)] = "apple2orange"
    """apple2orange, horse2zebra or another of the paper's; the path of a folder or zip with trainA,
    trainB, testA and testB (with ./ before it, if it has the name of one of the paper's); or two
    classes, as fashion_mnist:shirt:dress"""
    data_dir: settings.Folder | None = None
    """the folder that a named set lies in, as NAME.zip or a folder NAME, or as MNIST's or
    Fashion-MNIST's files; where --dataset is a path, the folder or zip to read in its place, if it
    has moved since the run began"""
    size: Annotated[int, AfterValidator(check_size)] = 128
    """height and width of the images, a multiple of 16 from 32 on"""
    epochs: Count = 100
    """passes over the training images of the larger domain"""
    sample_epochs: Count = 5
    """epochs from one picture, line of history and checkpoint to the next; it must divide
    --epochs, and is lowered until it does where --epochs is given alone"""
    model: Literal["cyclegan", "discogan"] = "cyclegan"
    """the book's, or DiscoGAN (Kim et al. 2017): the same algorithm with other losses and networks;
    where the preset has the other model, the weights of the losses and the generator change with
    it"""
    generator: Literal["unet", "resnet", "encoder-decoder"] = "unet"
    """the book's; the paper's, with the paper's discriminator; or DiscoGAN's, which passes no
    outlines on, with a discriminator that judges whole images"""
    generator_filters: Width = 32
    """of the generator's first convolution"""
    discriminator_filters: Width = 64
    """of the discriminator's first convolution"""
    patch: Literal[94, 70, 34, 16] = 94
    """height and width in pixels of what one of the discriminator's scores sees (not with
    --generator encoder-decoder, whose discriminator judges whole images)"""
    learning_rate: PositiveFloat = 2e-4
    """of all three Adam optimisers"""
    beta_1: Fraction = 0.5
    """momentum of all three Adam optimisers"""
    decay: Fraction = 0.0
    """the last share of training, in which the learning rate falls linearly to 0"""
    lambda_cycle: NonNegativeFloat = 10.0
    """weight of the cycle-consistency loss"""
    lambda_identity: NonNegativeFloat = 9.0
    """weight of the identity loss, the change of images that are in the target domain already"""
    pool_size: Annotated[int, Field(ge=0, le=10_000)] = 0
    """how many earlier translations the discriminators may be shown; 0 for none"""
    separate_updates: bool = True
    """update discriminators on real and on generated images apart, as the book does"""
    augmentation: Literal["none", "flip", "cut", "jitter"] = "flip"
    """mirror training images, as the book does (flip), or cut them out of slightly larger ones
    (cut), or both (jitter); digits, which mean something else mirrored, take none or cut"""
    evaluator_epochs: Count = 20
    """epochs of the classifier that evaluates the translations"""

    @model_validator(mode="after")
    def _pool_holds_a_batch(self):
        if 0 < self.pool_size < self.batch_size:
            raise ValueError(
                f"--pool-size {self.pool_size} is less than --batch-size {self.batch_size}"
            )
        return self

    @model_validator(mode="after")
    def _xla_can_compile(self):
        if self.xla and self.pool_size:
            raise ValueError("--xla cannot compile image pools: it takes --pool-size 0")
        return self

    @model_validator(mode="after")
    def _batches_are_of_one_domain(self):
        if self.generator == "encoder-decoder" and self.lambda_identity:
            raise ValueError(
                "--generator encoder-decoder normalises over a batch, in which the identity loss "
                "would mix both domains; it takes --lambda-identity 0"
            )
        return self

    @model_validator(mode="after")
    def _digits_are_not_mirrored(self):
        if self.augmentation in ("flip", "jitter") and is_of_digits(self.dataset):
            raise ValueError(
                f"--augmentation {self.augmentation} mirrors images, and a mirrored digit is none "
                "or another; give none or cut"
            )
        return self

    @model_validator(mode="after")
    def _intervals_fill_the_run(self):
        if self.epochs % self.sample_epochs:
            raise ValueError(
                f"--epochs {self.epochs} is not a multiple of --sample-epochs {self.sample_epochs}"
            )
        return self

    def compiles(self, device):
        return super().compiles(device) and not self.pool_size  # which XLA cannot compile

    def with_flags(self, typed):
        if typed.get("model") == "discogan" and self.model != "discogan":
            typed = {**DISCOGAN, **typed}
        if typed.get("model") == "cyclegan" and self.model == "discogan":
            typed = {"generator": "unet", "lambda_identity": 0.5, **typed}  # quick's
        if "patch" in typed and typed.get("generator", self.generator) == "encoder-decoder":
            raise UserError(
                "--patch has no part in --generator encoder-decoder, whose discriminator judges "
                "whole images"
            )
        if "epochs" in typed and "sample_epochs" not in typed:
            total = self.replace(epochs=typed["epochs"], sample_epochs=1).epochs
            interval = settings.divisor(total, self.sample_epochs, "--epochs", "--sample-epochs")
            typed = {**typed, "sample_epochs": interval}
        return super().with_flags(typed)


BOOK = Settings(batch_size=64)
QUICK = BOOK.replace(
    # How these were chosen is in the chapter's README.
    dataset="fashion_sample:sneaker:ankle-boot",  # bundled
    size=32,
    discriminator_filters=32,
    patch=34,  # about the size of an image
    epochs=50,
    batch_size=16,
    learning_rate=4e-4,
    decay=0.5,  # as in the paper
    lambda_identity=0.5,  # more, and shoes that could be of either kind are left as they are
    separate_updates=False,  # as in the paper
    augmentation="none",  # mirrored, shoes are translated into shoes that look the other way
    precision="mixed_bfloat16",  # faster, on CPUs and GPUs that compute in it
)
PRESETS = {
    "quick": QUICK,
    "book": BOOK,
    "paper": BOOK.replace(  # Zhu et al. 2017, section 4 and appendix 7
        size=256,
        generator="resnet",
        generator_filters=64,
        patch=70,
        epochs=200,
        batch_size=1,
        decay=0.5,
        lambda_identity=5.0,
        pool_size=50,
        separate_updates=False,
        augmentation="jitter",
    ),
    "discogan": QUICK.with_flags(
        {
            "model": "discogan",
            "dataset": "fashion_mnist:sneaker:bag",  # Kim et al. have photos of shoes and bags
            "epochs": 18,
            "sample_epochs": 3,
            "batch_size": 32,
            "lambda_cycle": 10.0,  # with 1, more shoes become the same bag; see the README
            "evaluator_epochs": 3,  # about as many batches as in quick, which has fewer images
        }
    ),
    "smoke": BOOK.replace(
        dataset="fashion_sample:sneaker:ankle-boot",  # needs no network
        size=32,
        generator_filters=4,
        discriminator_filters=4,
        patch=34,
        epochs=2,
        sample_epochs=1,
        pool_size=64,
        augmentation="jitter",
        evaluator_epochs=1,
    ),
}


def train(config: Settings, run: TrainingRun) -> dict:
    """Data → networks → model → fit → results. What `run` does is in common/training.py."""
    import tensorflow as tf

    from chapter09_cyclegan import report
    from chapter09_cyclegan.build import build_model, trained_networks
    from chapter09_cyclegan.domains import load_domains
    from chapter09_cyclegan.evaluation import Evaluator, sample_cycles
    from chapter09_cyclegan.schedule import decayed_adam
    from common import images
    from common.photos import reading_errors

    name = run.data_name(config.data_dir)
    domains = load_domains(name, config.size, config.data_dir, config.validation_images)
    domains.check_batch_size(config.batch_size)
    # An epoch is a pass over the larger domain; the other begins anew meanwhile.
    epoch = max(len(domains.train_A), len(domains.train_B)) // config.batch_size
    run.schedule(iterations=config.epochs * epoch, interval=config.sample_epochs * epoch)

    with run.scope():
        gan = build_model(config, domains.image_shape)
        d_updates = 2 if config.separate_updates else 1  # of each discriminator in an iteration

        def adam(updates):
            return decayed_adam(config.learning_rate, config.beta_1, updates, config.decay)

        gan.compile(
            d_A_optimizer=adam(d_updates * run.iterations),
            d_B_optimizer=adam(d_updates * run.iterations),
            g_optimizer=adam(run.iterations),
            steps_per_execution=run.steps_per_execution(most=10),
            jit_compile=run.xla,
        )

    def sample_images():
        cycles = sample_cycles(gan, domains, rows=5)
        return images.grid(cycles, columns=6, zoom=max(1, 96 // config.size))

    run.begin(gan, domains.describe())
    print("training the classifier that evaluates the translations")
    mirrored = not is_of_digits(config.dataset)
    evaluator = Evaluator(domains, config.evaluator_epochs, config.seed, mirrored)
    batches_A = run.batches(domains.train_A)
    batches_B = run.batches(domains.train_B, seed=config.seed ^ 2**30)  # another order
    with reading_errors(domains.train_A, domains.train_B):
        gan.fit(
            tf.data.Dataset.zip(batches_A, batches_B),
            callbacks=run.callbacks(sample_images, lambda: evaluator.evaluate(gan)),
            **run.fit_arguments,
        )

    run.plot_history(report.plots(domains.names), report.title(config, domains.names))
    run.save_models(**trained_networks(gan, config))
    untranslated = evaluator.evaluate_untranslated()
    report.print_table(domains.names, run.history[-1] | untranslated)
    return run.finish(untranslated)


main = cli.program("chapter09_cyclegan", __doc__, PRESETS, train)

if __name__ == "__main__":
    cli.run(main)
