"""What a run is told: each setting is one field, with its name, type, bounds, default and help.

Its flag, `--help`, `--dry-run`, the run's config.json and the check of that when a run is resumed
all come from the field. Settings are frozen: what depends on the data is a local variable of
`train`, not a changed setting. Imports no TensorFlow.
"""

import os
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    ValidationError,
    create_model,
    model_validator,
)

from common import UserError
from common.replicas import Replicas

Fraction = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(gt=0, le=10**9)]  # of steps, images, …: less than int32 holds
Width = Annotated[int, Field(gt=0, le=10_000)]  # of a layer or a vector
Seed = Annotated[int, Field(ge=0, lt=2**31)]  # NumPy takes none below 0, int32 none above
NOT_UTF8 = "its path is not UTF-8, as of a folder unzipped in another encoding; rename it"


def absolute(path: str) -> str:
    """A path that means the same from every folder, so that a run can be resumed from anywhere.

    Raises:
        ValueError: its text can't stand in a file, for pydantic.
    """
    path = os.path.abspath(os.path.expanduser(path))
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ValueError(NOT_UTF8) from None
    return path


Folder = Annotated[str, AfterValidator(absolute)]
CHOSEN_FOR = 60_000  # training images of MNIST and of Fashion-MNIST
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
DigitSet = Literal["mnist", "fashion_mnist", "sample", "fashion_sample"]


class Frozen(BaseModel):
    """What `flags` makes flags from: a docstring under a field is its help."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_by_name=True,
    )

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> Self:
        """Settings of these values, or a UserError of one line that names the first wrong flag."""
        try:
            return cls.model_validate(dict(values))
        except UnicodeEncodeError as error:  # in what a check of ours says of it
            raise UserError(f"{error.object}: {NOT_UTF8}") from error
        except ValidationError as error:
            first = error.errors()[0]
            problem = str(first.get("ctx", {}).get("error") or first["msg"].removeprefix("Input "))
            if first["type"] == "string_unicode":
                problem = NOT_UTF8
            if not first["loc"]:  # of several settings together
                raise UserError(problem) from error
            flag = "--" + str(first["loc"][0]).replace("_", "-")
            if first["type"] == "too_short":  # a list's
                least = first["ctx"]["min_length"]
                raise UserError(f"{flag} needs at least {least} value (see --help)") from error
            raise UserError(f"{flag} {first['input']}: {problem} (see --help)") from error

    @classmethod
    def convert(cls, name: str, text: Any) -> Any:
        """The value of one setting from what was typed, whatever the other settings are.

        Raises:
            UserError: its flag does not take it.
        """
        field = cls.model_fields[name]
        fields: dict[str, Any] = {name: (field.annotation, field)}
        alone = create_model("Alone", __base__=Frozen, **fields)
        return getattr(alone.check({name: text}), name)

    def replace(self, **changes: Any) -> Self:
        """These settings with some of them changed, checked as a whole."""
        return self.check({**self.model_dump(), **changes})


class Settings(Frozen):
    """The settings of every chapter."""

    data_dir: Folder | None = None
    """a folder with the data set, as NAME.npz or IDX files; without it, MNIST is the bundled one,
    and others are looked for in the folder that the environment's GANS_DATA names, in Keras' cache,
    and then downloaded"""
    validation_images: NonNegativeInt = 0
    """measure on the last N training images, which are then left out of training, instead of on the
    test images; for choosing settings"""
    batch_size: Count
    """images of one training step"""
    seed: Seed = 0
    """on the same machine and cores, the same seed gives the same run, to the bit"""
    precision: Precision = "float32"
    """mixed_bfloat16 computes with half the bits: faster on hardware that has instructions for it,
    slower on other CPUs; mixed_float16 is for GPUs without them, as NVIDIA's before 2020"""
    xla: bool | None = None
    """compile the training steps with XLA (default: on a GPU, where XLA can compile them)"""

    def with_flags(self, typed: Mapping[str, Any]) -> Self:
        """A preset's settings, with the flags that were typed.

        Raises:
            UserError: a value is not one that its flag takes, or does not go with the others.
        """
        return self.replace(**typed)

    def compiles(self, device: str) -> bool:
        """Whether XLA compiles the training steps on a "CPU" or "GPU"."""
        if device == "GPU" and sys.platform == "darwin":  # XLA does not know Apple's GPUs
            return False
        return device == "GPU" if self.xla is None else self.xla

    def check_replicas(self, replicas: Replicas) -> None:
        """Raises a UserError if the batches cannot be divided among several devices."""
        replicas.check({"--batch-size": self.batch_size})

    def shown(self) -> dict[str, Any]:
        """What --dry-run prints, by name."""
        return self.model_dump()


class DigitSettings(Settings):
    """The settings of the chapters that train on MNIST or Fashion-MNIST."""

    dataset: DigitSet = "mnist"
    """digits or clothes; sample is the first 4,000 training images of MNIST, fashion_sample the
    bundled 8,000 of Fashion-MNIST"""

    @model_validator(mode="after")
    def _samples_are_bundled(self) -> Self:
        if self.data_dir and self.dataset.endswith("sample"):
            raise ValueError(
                f"--data-dir has no part in --dataset {self.dataset}, which is bundled"
            )
        return self


class EpochSettings(DigitSettings):
    """The settings of the chapters that count their training in epochs."""

    epochs: Count
    """passes over the training images"""

    def schedule(self, images: int) -> tuple[int, int]:
        """Iterations of the run, and of an interval, which is an epoch, with so many images."""
        return self.epochs * (images // self.batch_size), images // self.batch_size

    def advice(self, images: int) -> None:
        """With fewer images, epochs are as many passes, and shorter: there is nothing to lower."""


class GANSettings(DigitSettings):
    """The settings of the GANs that make digits or clothes from noise."""

    iterations: Count
    """training steps of the whole run"""
    sample_interval: Count
    """iterations from one picture, line of history and checkpoint to the next; it must divide
    --iterations, and is lowered until it does where --iterations is given alone"""
    latent_dim: Width = 100
    """size of the noise vector z"""
    fid: bool = False
    """measure the FID at each sample interval too, for history.csv, not only at the end; its
    features are those of the bundled MNIST or Fashion-MNIST classifier"""
    fid_images: Annotated[int, Field(ge=65, le=100_000)] = 10_000
    """images generated for the FID and the other metrics; at least 65, as the classifier has 64
    features, whose covariance needs more images"""

    @model_validator(mode="after")
    def _intervals_fill_the_run(self) -> Self:
        if self.iterations % self.sample_interval:
            raise ValueError(
                f"--iterations {self.iterations} is not a multiple of --sample-interval "
                f"{self.sample_interval}; change one of the two"
            )
        return self

    def with_flags(self, typed: Mapping[str, Any]) -> Self:
        if "iterations" in typed and "sample_interval" not in typed:
            total = self.replace(iterations=typed["iterations"], sample_interval=1).iterations
            typed = {**typed, "sample_interval": divisor(total, self.sample_interval)}
        return super().with_flags(typed)

    def schedule(self, images: int) -> tuple[int, int]:
        """Iterations of the run, and of a sample interval, whatever the number of images."""
        return self.iterations, self.sample_interval

    def advice(self, images: int) -> str | None:
        """One line, if there are far fewer training images than the presets were chosen for.

        A discriminator that sees each image too often learns them by heart, and the generator
        collapses to a few modes.
        """
        passes = self.iterations * self.batch_size / images
        if images > CHOSEN_FOR / 2 or passes < 20:
            return None
        fewer = max(1, round(self.iterations * images / CHOSEN_FOR))
        if fewer > self.sample_interval:
            fewer = round(fewer / self.sample_interval) * self.sample_interval
        return (
            f"{images} training images make {passes:.0f} passes, where the presets were chosen for "
            f"{CHOSEN_FOR} images; if they lead to mode collapse, lower --iterations: "
            f"{fewer} make as many passes as there"
        )


def divisor(
    total: int, most: int, total_flag: str = "--iterations", flag: str = "--sample-interval"
) -> int:
    """The largest divisor of `total` up to `most`: how much training lies between two pictures.

    Raises:
        UserError: there is none near `most`, as with primes: there would be hundreds of pictures.
    """
    best = max(n for n in range(1, min(most, total) + 1) if total % n == 0)
    if best * 10 < most and best < total:
        rounded = -(-total // most) * most
        raise UserError(
            f"{total_flag} {total} cannot be divided into intervals of about {most}; "
            f"take {rounded}, or give {flag}"
        )
    return best
