"""The smallest GAN there is, in each game: which games come to rest, and which go in circles?

    python chapter05_training/dirac.py                         all games
    python chapter05_training/dirac.py --step-size 0.5         larger steps

The Dirac-GAN (Mescheder et al. 2018, section 2): the data is a single number, 0, the generator
makes a single number θ, and the discriminator's logit is f(x) = ψ·x. The game should end at
θ = ψ = 0, where the generator makes what the data is, and the discriminator cannot tell. dirac.png
shows where gradient descent leads; it and results.json go into runs/chapter05_dirac/NUMBER.
"""

import sys
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import UserError, cli, flags, runs
from common.settings import Count, Folder, Frozen

START = (1.0, 1.0)  # (θ, ψ) at which the generator and the discriminator begin


class Variant(NamedTuple):
    """A game, and what keeps its discriminator from growing steep; see `gan.GameGAN`."""

    game: str
    r1: float = 0.0
    gradient_penalty: float = 0.0
    clip: float | None = None


VARIANTS = {
    "minimax": Variant("minimax"),
    "non-saturating": Variant("non-saturating"),
    "least-squares": Variant("least-squares"),
    "hinge": Variant("hinge"),
    "relativistic": Variant("relativistic"),
    "wgan, not clipped": Variant("wgan"),
    "wgan, |ψ| ≤ 0.5": Variant("wgan", clip=0.5),
    "wgan-gp, λ = 0.25": Variant("wgan-gp", gradient_penalty=0.25),
    "minimax with R1, γ = 1": Variant("minimax", r1=1.0),
    "non-saturating with R1, γ = 1": Variant("non-saturating", r1=1.0),
}


class Settings(Frozen):
    """The steps."""

    step_size: Annotated[float, Field(gt=0, le=10)] = 0.1
    """learning rate of both, by plain gradient descent"""
    steps: Count = 1_000
    """updates of each"""
    simultaneous: bool = False
    """update both at once, rather than one after the other"""
    output_dir: Annotated[Folder | None, Field(exclude=True)] = None
    """where the picture goes (default: runs/chapter05_dirac/NUMBER)"""


def main(argv: list[str] | None = None) -> dict:
    config = flags.read(__doc__, Settings, argv)
    run = runs.new("chapter05_dirac", config, config.output_dir)
    cli.setup(seed=0)
    run.start({"source": "a single number, 0", "sha256": ""})

    results: dict[str, Any] = {}
    paths = {}
    print(f"{'':<32}{'largest |eigenvalue|':>22}{'distance at the end':>22}")
    for name, variant in VARIANTS.items():
        paths[name] = trajectory(variant, config.step_size, config.steps, config.simultaneous)
        if not np.all(np.isfinite(paths[name])):
            raise UserError(f"{name} goes to infinity; take a smaller --step-size or fewer --steps")
        distance = float(np.linalg.norm(paths[name][-1]))
        # The field of wgan-gp jumps at (0, 0), and has no derivative there.
        largest = None
        if not variant.gradient_penalty:
            largest = float(max(abs(eigenvalues(variant, config.step_size, config.simultaneous))))
        results[name] = {"largest_eigenvalue": largest, "distance": distance}
        shown = "-" if largest is None else f"{largest:.4f}"
        print(f"{name:<32}{shown:>22}{distance:>22.3g}")
    run.write("dirac.png", draw(paths))
    run.write_json("results.json", results)
    print(f"picture: {run.path / 'dirac.png'}")
    return results


def velocity(variant: Variant, point):
    """What gradient descent does at a point (θ, ψ): minus each network's own gradient, a pair.

    The losses and penalties are those of `games.py` and `common/penalties.py`, on a batch of one.
    """
    import tensorflow as tf

    from chapter05_training.games import GAMES
    from common.penalties import gradient_penalty, r1_penalty

    game = GAMES[variant.game]
    theta, psi = tf.unstack(tf.convert_to_tensor(point, tf.float64))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([theta, psi])

        def discriminate(x):
            return psi * x

        real, fake = tf.zeros((1, 1), tf.float64), tf.reshape(theta, (1, 1))
        logits = discriminate(real), discriminate(fake)
        g_loss = game.generator_loss(*logits)
        d_loss = game.discriminator_loss(*logits)
        if variant.r1:
            d_loss += variant.r1 / 2 * r1_penalty(discriminate, real)[1]
        if variant.gradient_penalty:
            between = gradient_penalty(discriminate, real, fake, tf.constant([[0.5]], tf.float64))
            d_loss += variant.gradient_penalty * between
    return tf.stack([-tape.gradient(g_loss, theta), -tape.gradient(d_loss, psi)])


def make_step(variant: Variant, step_size: float, simultaneous: bool):
    """An update of the discriminator and one of the generator: (θ, ψ) to (θ, ψ), float64."""
    import tensorflow as tf

    def step(point):
        theta, psi = tf.unstack(point)
        moved_psi = psi + step_size * velocity(variant, point)[1]
        if variant.clip is not None:
            moved_psi = tf.clip_by_value(moved_psi, -variant.clip, variant.clip)
        seen = point if simultaneous else tf.stack([theta, moved_psi])
        return tf.stack([theta + step_size * velocity(variant, seen)[0], moved_psi])

    return step


def trajectory(variant: Variant, step_size: float, steps: int, simultaneous: bool) -> np.ndarray:
    """The points (θ, ψ) of gradient descent from START, steps+1×2."""
    import tensorflow as tf

    step = tf.function(make_step(variant, step_size, simultaneous))
    points = [tf.constant(START, tf.float64)]
    for _ in range(steps):
        points.append(step(points[-1]))
    return np.stack(points)


def eigenvalues(variant: Variant, step_size: float, simultaneous: bool) -> np.ndarray:
    """Of the derivative of one step at (0, 0), two complex numbers.

    If the absolute values of both are smaller than 1, what begins near (0, 0) gets there, by that
    factor a step. If one is larger, it gets away. At exactly 1, they do not decide.
    """
    import tensorflow as tf

    point = tf.zeros(2, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(point)
        moved = make_step(variant, step_size, simultaneous)(point)
    return np.linalg.eigvals(tape.jacobian(moved, point).numpy())


def field(variant: Variant, points: np.ndarray) -> np.ndarray:
    """Velocities at points, n×2."""
    import tensorflow as tf

    compute = tf.function(lambda all_points: tf.map_fn(lambda p: velocity(variant, p), all_points))
    return compute(tf.constant(points)).numpy()


def draw(paths: dict[str, np.ndarray]) -> bytes:
    """The field and the path of each game, and the distance from (0, 0) at each step, as PNG."""
    from matplotlib.figure import Figure

    from common import images

    figure = Figure(figsize=(15, 10), layout="constrained")
    grid = figure.add_gridspec(3, 5)
    axis = np.linspace(-1.8, 1.8, 13)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    for number, (name, path) in enumerate(paths.items()):
        ax = figure.add_subplot(grid[number // 5, number % 5])
        arrows = field(VARIANTS[name], points)
        arrows /= np.linalg.norm(arrows, axis=1, keepdims=True) + 0.3  # long ones no longer than 1
        ax.quiver(*points.T, *arrows.T, color="lightgray", angles="xy")
        ax.plot(*path.T, lw=0.8)
        ax.plot(*path[0], "o", label="start")
        ax.plot(*path[-1], "s", label="end")
        ax.plot(0, 0, "k+", ms=12, label="where it should end")
        ax.set(xlim=(-2, 2), ylim=(-2, 2), xlabel="θ", ylabel="ψ", aspect="equal")
        ax.set_title(name, fontsize=10)
        if name == "least-squares":  # there is room
            ax.legend(fontsize=8, loc="lower left")
    ax = figure.add_subplot(grid[2, :])
    for name, path in paths.items():
        ax.semilogy(np.linalg.norm(path, axis=1), label=name, lw=1)
    ax.set(xlabel="step", ylabel="distance from (0, 0)", ylim=(1e-4, 10))
    ax.grid(alpha=0.3)
    ax.legend(ncols=2, fontsize=8, loc="lower left")
    return images.figure_png(figure)


if __name__ == "__main__":
    cli.run(main)
