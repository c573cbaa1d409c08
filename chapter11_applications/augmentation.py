"""Does a GAN's augmentation help a classifier that has few images? (GANs in Action, section 11.1.)

On two CPU cores:

    python chapter11_applications/augmentation.py                            digits
    python chapter11_applications/augmentation.py --dataset fashion_mnist    clothes
    python chapter11_applications/augmentation.py --dataset FOLDER           your own, as X-rays
    python chapter11_applications/augmentation.py --preset full              more numbers of images
    python chapter11_applications/augmentation.py --resume                   goes on with a run

For each number of images and seed, a small conditional GAN is trained on these images alone, and
then the same classifier four times: without augmentation, with classic augmentation, with the GAN's
images, and with both. FOLDER is a folder or zip that has a folder of images for each class.
"""

import sys
from pathlib import Path
from typing import Annotated, Self, get_args

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, model_validator

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import UserError, cli, settings
from common.settings import Count, DigitSet, Fraction, Width, absolute
from common.training import TrainingRun


def check_dataset(name: str) -> str:
    """A data set's name, or the path of one, made absolute: a run can be resumed from anywhere."""
    return name if name in get_args(DigitSet) else absolute(name)


class Settings(settings.Settings):
    """GANs in Action, section 11.1; Frid-Adar et al. 2018."""

    dataset: Annotated[str, AfterValidator(check_dataset)] = "mnist"
    """mnist, fashion_mnist, sample or fashion_sample; or the path of a folder or zip that has a
    folder of images for each class, itself or in train and test"""
    size: Annotated[int, Field(ge=8, le=128, multiple_of=4)] = 32
    """height and width that a folder's images are brought to; MNIST's keep their 28"""
    color: bool = False
    """keep the colours of a folder's images"""
    images: Annotated[list[Count], Field(min_length=1)]
    """numbers of training images of each class, one experiment with each"""
    seeds: Annotated[int, Field(ge=2, le=30)] = 5
    """how often each experiment is made, each time with other images, from --seed on"""
    batch_size: Count = 32
    """images of one training step"""
    generated: Count = 16
    """images of a classifier's batch that are generated ones, for gan and for both"""
    rotation: Annotated[float, Field(ge=0, le=180)] = 10.0
    """classic augmentation rotates images by at most so many degrees to either side"""
    zoom: Fraction = 0.1
    """classic augmentation changes their size by at most this share"""
    shift: Fraction = 0.07
    """classic augmentation moves them by at most this share of height and width"""
    latent_dim: Width = 64
    """size of the noise vector z"""
    width: Annotated[int, Field(ge=4, le=1024, multiple_of=2)] = 48
    """channels of the generator where its images are smallest, and of the discriminator at that
    size; after one more step the discriminator has twice as many"""
    gan_iterations: Count = 1_500
    """training steps of each GAN"""
    generator_learning_rate: PositiveFloat = 5e-3
    """of the generator's Adam, which falls to 0, as all do"""
    discriminator_learning_rate: PositiveFloat = 2e-3
    """of the discriminator's Adam"""
    beta_1: Fraction = 0.0
    """momentum of the GAN's Adam optimisers"""
    r1: NonNegativeFloat = 1.0
    """weight of R1, half the squared gradient of the discriminator's logit at real images"""
    classifier_updates: Count = 2_000
    """training steps of each classifier"""
    classifier_learning_rate: PositiveFloat = 3e-3
    """of the classifiers' Adam"""

    def check_replicas(self, replicas):
        replicas.check({"--batch-size": self.batch_size, "--generated": self.generated})

    @model_validator(mode="after")
    def _settings_go_together(self) -> Self:
        if self.generated >= self.batch_size:
            raise ValueError(
                f"--generated {self.generated} leaves no real image of --batch-size "
                f"{self.batch_size}"
            )
        if len(set(self.images)) < len(self.images):
            raise ValueError("--images has a number twice")
        if self.seed + self.seeds > 2**31:
            raise ValueError(f"--seed {self.seed} leaves no room for --seeds {self.seeds}")
        if self.xla:
            raise ValueError("--xla: XLA cannot compile rotations")
        if self.dataset in get_args(DigitSet):
            if (self.size, self.color) != (32, False):
                raise ValueError(f"--size and --color have no part in --dataset {self.dataset}")
            if self.data_dir and self.dataset.endswith("sample"):
                raise ValueError(
                    f"--data-dir has no part in --dataset {self.dataset}, which is bundled"
                )
        return self


QUICK = Settings(images=[10, 50])
PRESETS = {
    "quick": QUICK,
    "full": QUICK.replace(images=[10, 20, 50, 100, 200], gan_iterations=4_000),
    "smoke": QUICK.replace(
        dataset="sample",
        images=[2, 3],
        seeds=2,
        batch_size=8,
        generated=4,
        gan_iterations=4,
        classifier_updates=4,
    ),
}


def train(config: Settings, run: TrainingRun) -> dict:
    """Data → models → a cell of the table after the other → results."""
    from chapter11_applications import augmentation_report as report
    from chapter11_applications import cells, classes

    if run.workers:
        raise UserError("--distribute multi-worker: these are small trainings, for one machine")
    dataset, names = classes.load(config, run.data_name(config.data_dir))
    count = len(cells.cells_of(config))
    run.schedule(count, 1, unit="cell")
    experiment = cells.Experiment(config, dataset, names, run)
    run.start(dataset.describe())
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    print(f"{dataset.source}: {len(names)} classes ({shown}), {len(dataset.x_test)} test images")
    print(f"training on the {run.device}, {count} cells, into {run.path}")

    measured = dict(cells.train_all(config, run, experiment))

    run.write_csv("history.csv", report.rows(measured))
    title = f"Chapter 11, {Path(config.dataset).name}: {config.seeds} seeds, 95 % intervals"
    summary = report.summarize(measured)
    run.write("history.png", report.plot(summary, title))
    print(f"\n{report.table(summary)}\n\nplot and samples: {run.path}")
    results = {"test_images": len(dataset.x_test), "data": dataset.source, "images": summary}
    run.write_json("results.json", results)
    return results


main = cli.program("chapter11_applications/augmentation", __doc__, PRESETS, train)

if __name__ == "__main__":
    cli.run(main)
