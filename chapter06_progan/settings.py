"""The settings of chapter 6's training. Imports no TensorFlow."""

import math
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, model_validator

from chapter06_progan.levels import GROUP, LEAST_FILTERS, filters_of, level_of, levels_of
from chapter06_progan.schedule import Phase, phases
from common import UserError, settings
from common.settings import CHOSEN_FOR, Count, DigitSet, Folder, Fraction, Width, absolute

# Settings that have no effect, by model.
OF_THE_OTHER = {
    "progan": ("mapping_layers", "mapping_rate", "r1", "mixing"),
    "stylegan": ("gradient_penalty", "drift", "equalized", "pixel_norm"),
}


def check_dataset(name: str) -> str:
    """A data set's name, or the path of one, made absolute: a run can be resumed from anywhere."""
    return name if name in get_args(DigitSet) else absolute(name)


def check_size(size: int) -> int:
    if size < 8 or size > 1024 or size & (size - 1):
        raise ValueError("is none of 8, 16, 32, …, 1024: sizes double from 4 on")
    return size


class Settings(settings.Settings):
    """GANs in Action, chapter 6; batch size, seed and precision: common/settings.py."""

    data_dir: Folder | None = None
    """a folder with MNIST or Fashion-MNIST, as NAME.npz or IDX files; without it, MNIST is the
    bundled one, and Fashion-MNIST is looked for in the folder that the environment's GANS_DATA
    names, in Keras' cache, and then downloaded. Of photos, where their folder or zip is now, if it
    has moved since the run began"""
    dataset: Annotated[str, AfterValidator(check_dataset)] = "mnist"
    """mnist, fashion_mnist, sample or fashion_sample, padded to 32×32; or the path of a folder or
    zip of photos"""
    size: Annotated[int, AfterValidator(check_size)] = 32
    """height and width of the last level's images, a power of two from 8 to 1024"""
    phase_images: Count
    """training images of each phase but the last; each level is faded in in one phase and trained
    as it is in another"""
    last_images: Count
    """training images of the last phase"""
    sample_images: Count
    """training images from one picture, line of history and checkpoint to the next; it must divide
    those of the phases"""
    smaller_batches: bool = False
    """halve batches at each level above 16×16, down to 4, as the authors did for memory"""
    latent_dim: Width = 512
    """size of the noise vector z"""
    total_filters: Count = 16_384
    """a level's features are this number divided by the height of its images, but at most
    --most-filters"""
    most_filters: Width = 512
    """features of a level, at most"""
    learning_rate: PositiveFloat = 1e-3
    """of both Adam optimisers"""
    decay: Fraction = 0.0
    """the last share of training, in which the learning rate falls linearly to 0"""
    gradient_penalty: NonNegativeFloat = 10.0
    """progan: weight of the gradient penalty, λ"""
    drift: NonNegativeFloat = 1e-3
    """progan: weight of the squared scores of real images, which keeps scores near 0"""
    average: Fraction = 0.999
    """decay of the exponential moving average (EMA) of the generator's weights, for each step"""
    model: Literal["progan", "stylegan"] = "progan"
    """the chapter's, or the style-based generator (Karras et al. 2019), which is not in the book,
    and which --preset stylegan has settings for"""
    mapping_layers: Width = 8
    """stylegan: layers from the noise to the style"""
    mapping_rate: PositiveFloat = 0.01
    """stylegan: learning rate of these layers, as a multiple of the others'"""
    r1: NonNegativeFloat = 10.0
    """stylegan: weight of R1, half the squared gradient of the discriminator's score at real
    images, the paper's γ, whose 10 is for images of 1024×1024; smaller ones need less"""
    mixing: Annotated[float, Field(ge=0, le=1)] = 0.9
    """stylegan: how often an image is made of two styles in training"""
    grow: bool = True
    """begin with images of 4×4; --no-grow trains at the largest size alone"""
    equalized: bool = True
    """progan: equalised learning rate"""
    minibatch_deviation: bool = True
    """mini-batch standard deviation in the discriminator"""
    pixel_norm: bool = True
    """progan: pixel-wise feature normalisation in the generator; the noise is normalised without
    it, too"""
    fid: bool = False
    """measure the FID at each sample interval too, not only at the end; of MNIST and Fashion-MNIST
    alone, by the bundled classifier's features"""
    fid_images: Annotated[int, Field(ge=65, le=100_000)] = 10_000
    """images generated for the FID and the other metrics, more than the classifier's 64 features"""

    @property
    def plan(self) -> list[Phase]:
        """The phases of training, in their order."""
        return phases(
            levels_of(self.size),
            self.phase_images,
            self.last_images,
            self.batch_size,
            grow=self.grow,
            smaller_batches=self.smaller_batches,
        )

    @property
    def group(self) -> int:
        """Images of a batch that belong together."""
        return GROUP if self.minibatch_deviation else 1

    @model_validator(mode="after")
    def _levels_have_features(self):
        least = min(LEAST_FILTERS, self.most_filters)
        if filters_of(level_of(self.size), self.total_filters, self.most_filters) < least:
            raise ValueError(
                f"--total-filters {self.total_filters} leaves "
                f"{self.total_filters // self.size} features at --size {self.size}; give "
                f"{least * self.size} or more"
            )
        return self

    @model_validator(mode="after")
    def _batches_are_groups(self):
        for phase in self.plan:
            if phase.batch_size > self.group and phase.batch_size % self.group:
                smaller = "" if phase.batch_size == self.batch_size else ", made smaller,"
                raise ValueError(
                    f"--batch-size {self.batch_size}{smaller} is no multiple of {self.group}, the "
                    "images of a group of the mini-batch standard deviation"
                )
        return self

    @model_validator(mode="after")
    def _intervals_fill_the_phases(self):
        for flag in ("phase_images", "last_images"):
            if getattr(self, flag) % self.sample_images:
                raise ValueError(
                    f"--{flag.replace('_', '-')} {getattr(self, flag)} is not a multiple of "
                    f"--sample-images {self.sample_images}"
                )
        for phase in self.plan:
            if self.sample_images % phase.batch_size:
                raise ValueError(
                    f"--sample-images {self.sample_images} is not a multiple of the "
                    f"{phase.batch_size} images of a batch"
                )
        return self

    def check_replicas(self, replicas):
        least = self.group * replicas.count  # groups stay together
        for phase in self.plan:
            if phase.batch_size == self.batch_size:
                replicas.check({"--batch-size": phase.batch_size}, self.group)
            elif replicas.count > 1 and phase.batch_size % least:
                raise UserError(
                    f"--smaller-batches makes batches of {phase.batch_size}, which cannot be "
                    f"divided among {replicas.count} devices in groups of {self.group}; give "
                    f"--no-smaller-batches --batch-size {least}, or a multiple of it"
                )

    def with_flags(self, typed):
        model = self.replace(model=typed.get("model", self.model)).model
        for name in OF_THE_OTHER[model]:
            if name in typed:
                flag = ("no-" if typed[name] is False else "") + name.replace("_", "-")
                raise UserError(f"--{flag} has no part in --model {model}")
        dataset = self.replace(dataset=typed.get("dataset", self.dataset)).dataset
        for name in ("fid", "fid_images"):
            if name in typed and dataset not in get_args(DigitSet):
                flag = name.replace("_", "-")
                raise UserError(
                    f"--{flag} has no part in --dataset {dataset}: photos have no classifier here"
                )
        if typed.keys() & {"phase_images", "last_images"} and "sample_images" not in typed:
            typed = {**typed, "sample_images": self._interval(typed)}
        return super().with_flags(typed)

    def _interval(self, typed) -> int:
        """The most --sample-images, up to the preset's, that fill the phases that were typed."""
        names = ("phase_images", "last_images", "batch_size")
        values = [str(typed.get(name, getattr(self, name))) for name in names]
        if not all(value.isdecimal() for value in values):
            return self.sample_images  # what is wrong with them is told as of any other flag
        phase, last, batch = map(int, values)
        whole = math.gcd(phase, last)
        fitting = range(batch, min(self.sample_images, whole) + 1, batch) if batch else ()
        best = max((count for count in fitting if whole % count == 0), default=0)
        if best * 10 < self.sample_images and best < whole:  # there would be very many pictures
            raise UserError(
                f"--phase-images {phase} and --last-images {last} cannot be divided into intervals "
                f"of about {self.sample_images} images, of whole batches of {batch}; give "
                "--sample-images"
            )
        return best

    def advice(self, images: int) -> str | None:
        """One line, if there are far fewer training images than the presets were chosen for."""
        passes = self.plan[-1].end / images
        if images > CHOSEN_FOR / 2 or passes < 100:
            return None
        share = self.sample_images * images / CHOSEN_FOR
        interval = self.batch_size * max(1, round(share / self.batch_size))
        phase, last = (n // self.sample_images for n in (self.phase_images, self.last_images))
        return (
            f"{images} training images make {passes:.0f} passes; if they lead to mode collapse, "
            f"lower them: --phase-images {phase * interval} --last-images {last * interval}"
        )
