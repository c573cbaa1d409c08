"""The settings of chapter 5. Imports no TensorFlow."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from chapter05_training.tables import (
    COMMON,
    KERAS_BETA_2,
    NAMES,
    OF_PAPERS,
    PAPER,
    TUNED,
    GameName,
)
from common import UserError
from common.settings import CHOSEN_FOR, Count, DigitSettings, Fraction, Width

CriticSteps = Annotated[int, Field(ge=1, le=20)]
Normalization = Literal["none", "batch", "spectral"]


class Settings(DigitSettings):
    """GANs in Action, chapter 5. What is None here is in a table of each game's own: tables.py."""

    game: Annotated[list[GameName], Field(min_length=1)]
    """the games to train, one after the other"""
    game_settings: Literal["tuned", "paper"] = "tuned"
    """where each game's own settings come from: chosen on validation images, or its paper's"""
    images: Count
    """real images that each game's discriminator sees, whatever its critic steps"""
    measurements: Annotated[int, Field(ge=1, le=1000)] = 8
    """how often pictures are made, the FID is measured, and the checkpoint is written"""
    latent_dim: Width = 100
    """size of the noise vector z"""
    interval_fid_images: Annotated[int, Field(ge=65, le=100_000)] = 2_000
    """images generated for the FID at each measurement, against as many training images as test
    images; more than the classifier's 64 features"""
    fid_images: Annotated[int, Field(ge=65, le=100_000)] = 10_000
    """images generated for the FID and the other metrics at the end, against the test images"""

    batch_size: Count | None = None  # type: ignore[assignment]
    """images of one update (default: the game's own)"""
    generator_learning_rate: PositiveFloat | None = None
    """of the generator's optimiser (default: the game's own)"""
    discriminator_learning_rate: PositiveFloat | None = None
    """of the discriminator's optimiser (default: the game's own)"""
    optimizer: Literal["adam", "rmsprop"] | None = None
    """of both networks (default: the game's own); with another than the game's, beta-2 is Keras'
    default"""
    beta_1: Fraction | None = None
    """momentum of Adam, which RMSprop does not have (default: the game's own)"""
    beta_2: Fraction | None = None
    """of the mean of squared gradients, which RMSprop calls rho (default: the game's own)"""
    learning_rate_decay: bool | None = None
    """lower the learning rates linearly to 0 (default: the game's own)"""
    critic_steps: CriticSteps | None = None
    """updates of the discriminator for one of the generator, each on new real images (default: the
    game's own)"""
    r1: NonNegativeFloat | None = None
    """weight of R1, half the squared gradient at real images; for all games but the Wasserstein
    ones (default: the game's own)"""
    gradient_penalty: NonNegativeFloat | None = None
    """weight of the gradient penalty between real and generated images; for wgan-gp alone (default:
    the game's own)"""
    clip: PositiveFloat | None = None
    """limit for the weights of the critic; for wgan alone (default: the game's own)"""
    normalization: Normalization | None = None
    """in the discriminator: none, batch, or spectral normalisation (default: the game's own)"""

    symmetric_range: bool = True
    """scale images to [-1, 1], and end the generator in tanh; without it [0, 1] and sigmoid"""
    synchronized_batch_norm: bool = True
    """on several devices, normalise by the statistics of the whole batch, as on one device; without
    it, each device normalises its part by itself, which is faster and needs larger batches"""
    generator_batch_norm: bool = True
    """batch normalisation in the generator"""
    slope: Fraction = 0.01
    """slope of LeakyReLU below 0 in both networks; 0 makes it ReLU, with sparse gradients"""
    pooling: bool = False
    """max-pooling in the discriminator in place of strides: sparse gradients, too"""
    extra_layers: Annotated[int, Field(ge=0, le=20)] = 0
    """further convolutions in each network: deeper ones"""
    label_smoothing: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """soft labels: how far below 1 the label of a real image is; for minimax and non-saturating"""
    label_noise: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """noisy labels: the share of images with the wrong one; for minimax and non-saturating"""
    image_noise: Annotated[float, Field(ge=0, le=1)] = 0.0
    """standard deviation of noise on all images that the discriminator sees in training"""
    minibatch_discrimination: bool = False
    """let the discriminator compare the images of a batch with each other"""
    feature_matching: bool = False
    """let the generator match the mean features of the real images instead of playing its game"""

    @property
    def value_range(self) -> tuple[float, float]:
        """What the pixels 0 and 255 become."""
        return (-1.0, 1.0) if self.symmetric_range else (0.0, 1.0)

    def of(self, name: GameName) -> Self:
        """The settings of one game, each with its value."""
        return self.replace(game=[name], **self.own(name))

    def check_replicas(self, replicas):
        for name in self.game:
            replicas.check({"--batch-size": self.of(name).batch_size})

    @property
    def step_images(self) -> int:
        """Real images of a training step of one game: a batch for each critic step."""
        assert self.batch_size and self.critic_steps
        return self.batch_size * self.critic_steps

    def own(self, name: GameName) -> dict[str, Any]:
        """What a game's own settings give for those that are None here."""
        table = {"tuned": TUNED, "paper": PAPER}[self.game_settings]
        common = COMMON | (OF_PAPERS if self.game_settings == "paper" else {})
        own = common | table[name]
        if self.optimizer and self.optimizer != own["optimizer"]:
            own["beta_2"] = KERAS_BETA_2[self.optimizer]  # the table's is for the other optimiser
        if (self.optimizer or own["optimizer"]) == "rmsprop":
            own["beta_1"] = None
        return {key: value for key, value in own.items() if getattr(self, key) is None}

    def with_flags(self, typed: Mapping[str, Any]) -> Self:
        config = super().with_flags(typed)
        return config.of(config.game[0]) if len(config.game) == 1 else config

    @model_validator(mode="after")
    def _settings_go_with_the_games(self) -> Self:
        if len(set(self.game)) < len(self.game):
            raise ValueError("--game names a game twice")
        for name in self.game:
            self._check(name, self.model_dump() | self.own(name))
        return self

    def _check(self, name: GameName, values: Mapping[str, Any]) -> None:
        """Raises a ValueError, for pydantic, if settings are not those of this game."""

        def only(flag: str, value: Any, *games: str) -> None:
            if value and name not in games:
                raise ValueError(f"{flag} goes with --game {' or '.join(games)}, not with {name}")

        others = [game for game in NAMES if not game.startswith("wgan")]
        only("--clip", values["clip"], "wgan")
        only("--gradient-penalty", values["gradient_penalty"], "wgan-gp")
        only("--r1", values["r1"], *others)
        only("--normalization spectral", values["normalization"] == "spectral", *others, "wgan-gp")
        only("--label-smoothing", self.label_smoothing, "minimax", "non-saturating")
        only("--label-noise", self.label_noise, "minimax", "non-saturating")
        if values["optimizer"] == "rmsprop" and values["beta_1"] is not None:
            raise ValueError(f"--beta-1 goes with --optimizer adam; {name} has rmsprop")
        if name == "wgan-gp" and not values["gradient_penalty"]:
            raise ValueError(
                "--gradient-penalty 0 leaves nothing that bounds the slope of wgan-gp's critic, "
                "whose loss then falls without end"
            )
        mixes = (
            # A paper's settings may have batch normalisation, which nobody typed.
            ("--normalization batch", values["normalization"] == "batch", "--normalization none"),
            (
                "--minibatch-discrimination",
                self.minibatch_discrimination,
                "--no-minibatch-discrimination",
            ),
        )
        for flag, given, without in mixes:
            if given and (values["r1"] or values["gradient_penalty"]):
                raise ValueError(
                    f"{flag} makes an image's logit depend on the others of its batch, so that a "
                    f"penalty on its gradient, as {name} has it, means little; give {without}"
                    + ("" if values["gradient_penalty"] else ", or --r1 0")
                )

    def check_images(self, images: int) -> None:
        """Raises a UserError if a game's training step, or an interval, has too few images."""
        for name in self.game:
            one = self.of(name)
            step = f"--batch-size {one.batch_size} × --critic-steps {one.critic_steps} of {name}"
            if one.step_images > images:
                raise UserError(f"{step}: more than the {images} training images")
            if one.step_images * one.measurements > one.images:
                raise UserError(
                    f"{step} × --measurements {one.measurements}: more than --images {one.images}"
                )

    def advice(self, images: int) -> str | None:
        """One line, if there are far fewer training images than the presets were chosen for."""
        passes = self.images / images
        if images > CHOSEN_FOR / 2 or passes < 20:
            return None
        return (
            f"{images} training images make {passes:.0f} passes in each game, where the presets "
            f"were chosen for {CHOSEN_FOR} images; if they lead to mode collapse, lower --images: "
            f"{round(self.images * images / CHOSEN_FOR)} make as many passes as there"
        )

    def schedule(self, images: int) -> tuple[int, int]:
        """Iterations of a game, and from one measurement to the next: updates of its generator.

        As many as the images make, rounded down so that measurements divide them.
        """
        interval = self.images // (self.step_images * self.measurements)
        return interval * self.measurements, interval

    def shown(self) -> dict[str, Any]:
        """As `Settings.shown`; of several games, what each has of its own."""
        shown = super().shown()
        for name in [name for name, value in shown.items() if value is None]:
            of_games = {game: self.own(game).get(name) for game in self.game}
            if any(value is not None for value in of_games.values()):
                shown[name] = ", ".join(f"{game} {value}" for game, value in of_games.items())
        return shown
