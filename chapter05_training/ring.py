"""Mode collapse, seen: the games on eight Gaussians in the plane.

    python chapter05_training/ring.py                             all games, some seconds each
    python chapter05_training/ring.py --game wgan-gp minimax      some
    python chapter05_training/ring.py --beta-1 0.5                with less momentum

The data are points near eight centres on a circle. A generator that finds only some of the centres
has collapsed to these modes: GANs in Action, section 5.2. For each game NAME.gif shows how its
samples move; ring.png has the last of each, and the modes that they cover. All go into
runs/chapter05_ring/NUMBER.
"""

import sys
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, model_validator

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from chapter05_training.tables import NAMES, GameName
from common import UserError, cli, flags, runs
from common.settings import Count, Folder, Fraction, Frozen, Seed

MODES = 8
RADIUS = 2.0
DEVIATION = 0.05  # of the points from their centre, in each direction
NEAR = 4 * DEVIATION  # a sample this close to a centre counts as good
SAMPLES = 2_000
FRAMES = 40

# What each game has of its own. λ and the critic steps: Gulrajani et al. 2017, authors' code for
# points in the plane.
OWN: dict[str, dict[str, Any]] = {
    "minimax": {},
    "non-saturating": {},
    "least-squares": {},
    "wgan": {"critic_steps": 5, "clip": 0.1},
    "wgan-gp": {"critic_steps": 5, "gradient_penalty": 0.1},
    "hinge": {},
    "relativistic": {},
}


class Settings(Frozen):
    """Which games, and how long."""

    game: list[GameName] = Field(default_factory=lambda: list(NAMES), min_length=1)
    """the games to play"""
    iterations: Annotated[int, Field(ge=FRAMES, le=10**6)] = 4_000
    """updates of each generator, a multiple of the film's 40 intervals"""
    batch_size: Count = 256
    """points of one update"""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """of both Adam optimisers"""
    beta_1: Fraction = 0.9
    """momentum of both, in the book and in Keras 0.9; with 0.5 the games collapse less"""
    r1: Annotated[float, Field(ge=0)] = 0.0
    """weight of R1, for all games but the Wasserstein ones"""
    seed: Seed = 0
    """of the points, the noise and the initial weights"""
    output_dir: Annotated[Folder | None, Field(exclude=True)] = None
    """where the pictures go (default: runs/chapter05_ring/NUMBER)"""

    @model_validator(mode="after")
    def _settings_go_together(self) -> Self:
        if len(set(self.game)) < len(self.game):
            raise ValueError("--game names a game twice")
        if self.iterations % FRAMES:
            raise ValueError(f"--iterations {self.iterations} is not a multiple of {FRAMES}")
        if self.r1 and all(name.startswith("wgan") for name in self.game):
            raise ValueError("--r1 goes with all games but wgan and wgan-gp")
        return self


def main(argv: list[str] | None = None) -> dict:
    config = flags.read(__doc__, Settings, argv)
    run = runs.new("chapter05_ring", config, config.output_dir)
    cli.setup(config.seed)
    from common import images

    run.start({"source": f"{MODES} Gaussians on a circle", "sha256": ""})
    results: dict[str, Any] = {}
    last: dict[str, np.ndarray] = {}
    for name in config.game:
        frames = train(name, config)
        if not np.all(np.isfinite(frames[-1])):
            raise UserError(f"{name} has diverged; try a smaller --learning-rate")
        last[name] = frames[-1]
        results[name] = measure(frames[-1])
        print(f"{name:<16}" + "   ".join(f"{k} {v:.3g}" for k, v in results[name].items()))
        run.write(f"{name}.gif", images.gif([picture({name: points}) for points in frames]))
    run.write("ring.png", images.png(picture(last, results)))
    run.write_json("results.json", results)
    print(f"pictures: {run.path}")
    return results


def centres() -> np.ndarray:
    """The centres of the Gaussians, MODES×2."""
    angles = 2 * np.pi * np.arange(MODES) / MODES
    return RADIUS * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def stream(batch_size: int, seed: int):
    """Endless batches of points, batch_size×2, float32."""
    import tensorflow as tf

    means = tf.constant(centres(), tf.float32)

    def draw(step):
        seeds = tf.random.split(tf.stack([tf.cast(seed, tf.int64), step]), 2)
        which = tf.random.stateless_uniform((batch_size,), seeds[0], 0, MODES, tf.int32)
        noise = tf.random.stateless_normal((batch_size, 2), seeds[1])
        return tf.gather(means, which) + DEVIATION * noise

    return tf.data.Dataset.counter().map(draw).prefetch(2)


def train(name: str, config: Settings) -> list[np.ndarray]:
    """Plays one game; gives the generator's samples, SAMPLES×2, always of the same noise.

    They are FRAMES + 1: before training, and after each of FRAMES intervals.
    """
    import keras
    from keras import layers

    from chapter05_training.games import GAMES
    from chapter05_training.gan import GameGAN

    keras.utils.set_random_seed(config.seed)  # each game begins with the same networks

    def network(inputs, outputs):
        hidden = [layers.Dense(128, activation="relu") for _ in range(3)]
        return keras.Sequential([keras.Input((inputs,)), *hidden, layers.Dense(outputs)])

    own = dict(OWN[name])
    if not name.startswith("wgan"):
        own["r1"] = config.r1
    gan = GameGAN(network(2, 2), network(2, 1), GAMES[name], seed=config.seed, **own)
    interval = config.iterations // FRAMES
    gan.compile(
        keras.optimizers.Adam(config.learning_rate, config.beta_1),
        keras.optimizers.Adam(config.learning_rate, config.beta_1),
        steps_per_execution=interval,
        jit_compile=True,
    )
    noise = gan.fixed_noise(SAMPLES)
    frames = [gan.generator.predict_on_batch(noise)]

    class KeepSamples(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            frames.append(gan.generator.predict_on_batch(noise))

    points = stream(config.batch_size * gan.critic_steps, config.seed)
    gan.fit(
        points,
        epochs=FRAMES,
        steps_per_epoch=interval,
        callbacks=[KeepSamples()],
        shuffle=False,  # without this, Keras warns
        verbose=0,
    )
    return frames


def measure(points: np.ndarray) -> dict[str, float]:
    """Modes covered, of MODES, with at least a fifth of their share; and the share of good points.

    Args:
        points: n×2.
    """
    distances = np.linalg.norm(points[:, None] - centres(), axis=-1)
    good = distances.min(axis=1) < NEAR
    shares = np.bincount(distances.argmin(axis=1)[good], minlength=MODES) / len(points)
    return {"modes": int(np.sum(shares >= 0.2 / MODES)), "good": float(np.mean(good))}


def picture(points: dict[str, np.ndarray], results: dict | None = None) -> np.ndarray:
    """Samples of games, n×2 each, side by side over the data's centres: uint8 pixels."""
    import imageio.v3 as imageio
    from matplotlib.figure import Figure

    from common import images

    columns = min(4, len(points))
    rows = -(-len(points) // columns)
    figure = Figure(figsize=(2.6 * columns, 2.8 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[len(points) :]:
        ax.axis("off")
    for ax, (name, samples) in zip(axes, points.items(), strict=False):
        ax.scatter(*centres().T, s=150, color="none", edgecolor="tab:orange")
        ax.scatter(*samples[:500].T, s=3)
        ax.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[], aspect="equal", title=name)
        if results:
            found = results[name]
            ax.set_xlabel(f"{found['modes']} of {MODES} modes, {found['good']:.0%} good")
    return imageio.imread(images.figure_png(figure), plugin="pillow")[..., :3]


if __name__ == "__main__":
    cli.run(main)
