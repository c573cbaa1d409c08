"""Can one tell which images a GAN or a VAE was trained on? Membership inference, measured.

On two CPU cores:

    python chapter12_looking_ahead/membership.py                          three seeds of each
    python chapter12_looking_ahead/membership.py --dataset fashion_mnist  clothes
    python chapter12_looking_ahead/membership.py --model vae --images 500 --repeats 1
    python chapter12_looking_ahead/membership.py --resume                 goes on with a stopped run

Each model is trained on few, on more and on all images, and then attacked.
"""

import sys
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import UserError, cli
from common.settings import Count, Fraction, GANSettings
from common.training import TrainingRun


class Settings(GANSettings):
    """What is trained and attacked; the rest: common/settings.py."""

    model: Annotated[list[Literal["gan", "vae"]], Field(min_length=1)]
    """the models to attack"""
    images: Annotated[list[Count], Field(min_length=1)]
    """numbers of training images, a training for each; all have the same number of iterations, so
    the fewer images, the more often each is seen"""
    repeats: Annotated[int, Field(ge=1, le=1_000)] = 3
    """trainings of each kind, with the seeds --seed, --seed + 1, …, each on other images"""
    attacked: Annotated[int, Field(ge=100, le=10_000)] = 1_000
    """how many members are scored, and as many test images; all members, if there are fewer"""
    learning_rate: PositiveFloat = 1e-3
    """of all Adam optimisers"""
    beta_1: Fraction = 0.5
    """momentum of the GAN's Adam optimisers; the VAE's have 0.9"""
    fid_images: Annotated[int, Field(ge=65, le=100_000)] = 5_000
    """images generated for the FID, and among which the attacker without the networks looks for the
    nearest"""
    xla: bool | None = None
    """compile the training steps with XLA (default: on a GPU, and the VAE's on a CPU, too)"""

    @model_validator(mode="after")
    def _each_part_can_be_trained_and_attacked(self) -> Self:
        for flag, values in (("--model", self.model), ("--images", self.images)):
            if len(set(values)) < len(values):
                raise ValueError(f"{flag} names one twice")
        if self.repeats > 1 and self.seed + self.repeats > 2**31:
            raise ValueError(f"--seed {self.seed} leaves no room for --repeats {self.repeats}")
        if min(self.images) < 100:
            raise ValueError(f"--images {min(self.images)}: attacks are measured on 100 at least")
        if self.batch_size > min(self.images):
            raise ValueError(
                f"--batch-size {self.batch_size} is more than --images {min(self.images)}"
            )
        return self

    @property
    def parts(self) -> dict[str, Self]:
        """The settings of each training, by its name."""
        return {
            f"{model}_{count}_seed{seed}": self.replace(
                model=[model], images=[count], seed=seed, repeats=1
            )
            for seed in range(self.seed, self.seed + self.repeats)
            for count in self.images
            for model in self.model
        }

    def compiles(self, device: str) -> bool:
        """XLA by default for the VAE, whose dense networks gain by it on a CPU, too."""
        return super().compiles(device) or (self.xla is None and self.model == ["vae"])

    def check_images(self, training: int, test: int) -> None:
        """Raises a UserError if there are too few images to train on, or to tell members from."""
        if max(self.images) > training:
            raise UserError(
                f"--images {max(self.images)}: there are {training} training images; give other "
                f"numbers, as --images 500 {training}"
            )
        if min(self.attacked, max(self.images)) > test:
            raise UserError(f"--attacked {self.attacked}: there are only {test} test images")


QUICK = Settings(
    model=["gan", "vae"],
    images=[500, 5_000, 60_000],
    batch_size=64,
    iterations=2_000,
    sample_interval=1_000,
    latent_dim=64,
    fid_images=5_000,
)
PRESETS = {
    "quick": QUICK,
    "long": QUICK.replace(iterations=20_000, sample_interval=2_000),
    "smoke": QUICK.replace(
        dataset="sample",
        images=[100, 200],
        repeats=1,
        attacked=100,
        iterations=2,
        sample_interval=1,
        batch_size=8,
        latent_dim=8,
        fid_images=100,
    ),
}


def train(config: Settings, run: TrainingRun) -> dict:
    """Data → networks → model → fit → attack, for each model, number of images and seed."""
    from chapter12_looking_ahead import membership_figures
    from common import data, metrics, parts

    name = run.data_name(config.data_dir)
    dataset = data.load(name, config.data_dir, config.validation_images)
    config.check_images(len(dataset.x_train), len(dataset.x_test))
    evaluator = metrics.Evaluator(dataset.name, dataset.x_test)

    def train_one(settings, part):
        return train_model(settings, part, dataset, evaluator)

    if len(config.parts) == 1:
        results = train_one(config, run)
        if results:  # the workers but the first have none
            found = dict.fromkeys(config.parts, results)
            print("\n" + membership_figures.table(membership_figures.summarize(config, found)))
        return results
    found = parts.train_parts(run, dataset.describe(), config.parts, train_one)
    return membership_figures.compare(run, config, found)


def train_model(config: Settings, run: TrainingRun, dataset, evaluator) -> dict:
    """Trains one model on its images, and attacks it.

    Args:
        run: see common/training.py.
        dataset: a `data.Dataset`.
        evaluator: the `metrics.Evaluator` of its test images.
    """
    import keras

    from chapter12_looking_ahead import attacks
    from common import images
    from common.batch_norm import unfuse

    candidates = attacks.choose(dataset, config.images[0], config.attacked, config.seed)
    run.schedule(*config.schedule(len(candidates.training)))

    keras.utils.set_random_seed(config.seed)
    with run.scope():
        model, networks = build(config, run)

    def sample_images():
        return images.grid(model.generate(16), columns=4)

    def evaluate():
        scores = attacks.attack(model.membership_scores, candidates)
        fid = {"fid": evaluator.fid(model.generate(config.fid_images))} if config.fid else {}
        return {"auc": attacks.measure(scores)["auc"], **fid}

    run.begin(model, dataset.describe() | {"training_images": len(candidates.training)})
    model.fit(
        run.batches(candidates.training, value_range=model.VALUE_RANGE),
        callbacks=run.callbacks(sample_images, evaluate),
        **run.fit_arguments,
    )

    generated = model.generate(config.fid_images)
    run.plot_history(model.PLOTS, f"Chapter 12, {config.model[0]} of {config.images[0]} images")
    run.write("nearest.png", attacks.draw_nearest(candidates, generated))
    run.save_models(**{name: unfuse(network) for name, network in networks.items()})
    found = attacks.attack_all(run, model, candidates, generated)
    return run.finish({"fid": evaluator.fid(generated), "attacks": found})


def build(config: Settings, run: TrainingRun):
    """The model that the settings name, compiled, and its networks by name."""
    from keras.optimizers import Adam

    from chapter12_looking_ahead import target_networks
    from chapter12_looking_ahead.targets import GAN, VAE
    from common.batch_norm import fuse

    if config.model == ["vae"]:
        networks = {
            "encoder": target_networks.build_encoder(config.latent_dim),
            "decoder": target_networks.build_decoder(config.latent_dim),
        }
        model = VAE(**networks, seed=config.seed)
        optimizers = [Adam(config.learning_rate)]
    else:
        networks = {
            "generator": fuse(target_networks.build_generator(config.latent_dim)),
            "discriminator": target_networks.build_discriminator(),
        }
        model = GAN(**networks, seed=config.seed)
        optimizers = [Adam(config.learning_rate, config.beta_1) for _ in range(2)]
    model.compile(
        *optimizers, steps_per_execution=run.steps_per_execution(most=20), jit_compile=run.xla
    )
    return model, networks


main = cli.program("chapter12_looking_ahead/membership", __doc__, PRESETS, train)

if __name__ == "__main__":
    cli.run(main)
