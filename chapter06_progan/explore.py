r"""Walks through a generator's latent space, and finds given images in it (sections 6.1 and 6.4).

    python chapter06_progan/explore.py                            the latest run
    python chapter06_progan/explore.py 3 --images photo.png       run 3, and an image of one's own
    python chapter06_progan/explore.py --keras-file generator.keras --output-dir explored \
        --images photo.png                                        any Keras generator

What it makes goes into explore/ in the run's folder, or for --keras-file in --output-dir:

    interpolation.png   walks from one latent point to the next; interpolation.gif animates them
    straight.png        the same by straight lines
    search.png          images, what the search for their latent points began with, and found
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat, model_validator

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from chapter06_progan.levels import made_at_once
from chapter06_progan.settings import Settings as TrainingSettings
from common import UserError, cli, flags, runs
from common.flags import POSITIONAL
from common.settings import Count, Folder, Frozen, Seed

SEARCHED = 8  # images of the data set


class Settings(Frozen):
    """Which generator to explore, and how."""

    run: Annotated[str, POSITIONAL] = "latest"
    """the run's folder or number"""
    keras_file: str | None = None
    """instead of a run's, a generator in this .keras file, from a vector of noise to images in
    [-1, 1]; it is read with none of our code"""
    output_dir: Folder | None = None
    """of --keras-file: a new folder, in which the pictures go into explore/"""
    images: list[str] = Field(default_factory=list)
    """images to look for; without it, the first of the run's test images, or, where it was trained
    on photos, of these"""
    steps: Count = 300
    """of gradient descent"""
    starts: Annotated[int, Field(gt=0, le=1000)] = 16
    """random points to begin the search of each image with"""
    learning_rate: PositiveFloat = 0.1
    """of the search's Adam optimiser"""
    seed: Seed = 0
    """of the latent points"""
    data_dir: Folder | None = None
    """where the run's data is, if it has moved; of photos, their folder or zip"""

    @model_validator(mode="after")
    def _a_file_needs_a_folder(self):
        if (self.keras_file is None) != (self.output_dir is None):
            raise ValueError("--keras-file and --output-dir go together")
        if self.keras_file and not self.images:
            raise ValueError("--keras-file needs --images: without a run, there is no data set")
        for name, typed in (("run", f"the run {self.run}"), ("data_dir", "--data-dir")):
            if self.keras_file and name in self.model_fields_set:
                raise ValueError(f"{typed} has no part in --keras-file, which is explored alone")
        return self


def main(argv: list[str] | None = None) -> dict:
    settings = flags.read(__doc__, Settings, argv)
    if settings.keras_file:
        run = runs.new("chapter06_progan_explore", settings, settings.output_dir)
    else:
        run = runs.find_trained("chapter06_progan", TrainingSettings, settings.run)
    cli.setup(settings.seed)

    generator = load_generator(settings, run)
    shape = generator.output_shape[1:]
    targets = read_targets(settings, run, shape)
    if settings.keras_file:
        run.start({"source": settings.keras_file, "sha256": ""})
    random = np.random.default_rng(settings.seed)

    def draw_noise(count):
        return random.normal(size=(count, generator.input_shape[-1])).astype(np.float32)

    interpolate(run, generator, points=draw_noise(6))
    starts = draw_noise(settings.starts)
    found = search(generator, targets, starts, settings.steps, settings.learning_rate)
    write_search(run, targets, *found)
    begun, ended = (np.sqrt(np.mean((made - targets) ** 2, axis=(1, 2, 3))) for made in found)
    print(f"pictures: {run.path / 'explore'}")
    print(
        "distance to the images, root mean square of pixels in [-1, 1], median: "
        f"{np.median(ended):.3f}; of the nearest of {settings.starts} samples: "
        f"{np.median(begun):.3f}"
    )
    return {"distance": float(np.median(ended)), "sample_distance": float(np.median(begun))}


def load_generator(settings: Settings, run):
    """The generator: a Keras model from noise, n×d, to images, n×height×width×channels.

    Raises:
        UserError: it cannot be read, or is no such network.
    """
    import keras

    from common.files import foreign

    path = Path(settings.keras_file) if settings.keras_file else run.path / "generator.keras"
    if not os.path.isfile(path):
        raise UserError(f"{path}: there is no such file")
    with foreign(path, "cannot be loaded"):
        generator = keras.models.load_model(path, compile=False)
    shapes = [tuple(ends[0].shape) for ends in (generator.inputs, generator.outputs)]
    if len(generator.inputs) > 1 or [len(shape) for shape in shapes] != [2, 4]:
        raise UserError(f"{path}: is no network from noise to images, but from {shapes}")
    return generator


def read_targets(settings: Settings, run, shape) -> np.ndarray:
    """The images to look for, float in [-1, 1], n×height×width×channels of the generator's."""
    from chapter06_progan import training_images
    from common import data, images
    from common.photos import resize

    height, width, channels = shape
    if not settings.images:
        config, folder = run.config, settings.data_dir or run.config.data_dir
        name = run.data_name(folder)
        found = training_images.load(name, config.size, folder, config.validation_images)
        run.check_data(found.describe())
        kept = found.test_images if found.dataset else found.images
        return data.scale(kept[np.arange(min(SEARCHED, len(kept)))])
    photos = []
    for name in settings.images:
        photo = images.read_photo(Path(name), name)
        # As MNIST's are padded for this chapter's training, but not for that of the others.
        if channels == 1 and photo.shape[:2] == (28, 28) != (height, width):
            photo = training_images.pad(photo[None])[0]
        photo = resize(photo, height, width)
        photos.append(photo if channels == 3 else photo.mean(axis=-1, keepdims=True))
    return data.scale(np.stack(photos))


def maker(generator):
    """A function of noise, n×d, that gives the generator's images, n×h×w×c in [-1, 1]."""
    from common.model import predict

    batch_size = made_at_once(max(generator.output_shape[1:3]))
    return lambda noise: np.clip(predict(generator, noise, batch_size), -1, 1)


def interpolate(run, generator, points) -> None:
    """Pictures of the walks from each latent point to the next, a row each, and an animation."""
    from common import images
    from common.latent import walk

    make = maker(generator)
    zoom = max(1, 64 // generator.output_shape[1])
    for name, straight in (("interpolation", False), ("straight", True)):
        page = make(walk(points, steps=10, straight=straight))
        run.write(f"explore/{name}.png", images.png(images.grid(page, columns=10, zoom=zoom)))
    larger = max(1, 256 // generator.output_shape[1])
    frames = [images.grid(x[None], columns=1, zoom=larger) for x in make(walk(points, steps=20))]
    run.write("explore/interpolation.gif", images.gif(frames, seconds=12, hold=0))


def search(generator, targets, starts, steps: int, learning_rate: float):
    """Gradient descent to the latent points whose images are nearest to given ones.

    Section 6.4 goes from a point to an image; this is the way back. The generator is held fixed,
    and the noise is what is trained. Each search begins at the start whose image is the nearest of
    all starts', as there are local minima. Points are kept on the sphere on which nearly all noise
    lies, of radius √d.

    Args:
        targets: n×height×width×channels in [-1, 1].
        starts: noise, m×d.

    Returns:
        The images of the starts and of the points that were found, of the shape of `targets`.
    """
    import keras
    import tensorflow as tf

    radius = starts.shape[1] ** 0.5

    def on_sphere(noise):
        return radius * tf.math.l2_normalize(noise, axis=1)

    make = maker(generator)
    starts = on_sphere(starts).numpy()
    samples = make(starts)
    squares = np.stack([np.mean((samples - target) ** 2, axis=(1, 2, 3)) for target in targets])
    nearest = np.argmin(squares, axis=1)
    point = tf.Variable(starts[nearest])
    best = tf.Variable(starts[nearest])
    least = tf.Variable(squares.min(axis=1))
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps))
    optimizer.build([point])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            noise = on_sphere(point)
            made = generator(noise, training=False)
            # Not of the clipped images, which give no gradient where they are clipped. A sum over
            # the images, as each has its own point.
            loss = tf.reduce_sum(tf.reduce_mean(tf.square(made - targets), axis=(1, 2, 3)))
        clipped = tf.clip_by_value(made, -1, 1)
        distances = tf.reduce_mean(tf.square(clipped - targets), axis=(1, 2, 3))
        nearer = distances < least
        best.assign(tf.where(nearer[:, None], noise, best))
        least.assign(tf.where(nearer, distances, least))
        optimizer.apply(tape.gradient(loss, [point]), [point])

    for _ in range(steps):
        step()
    return samples[nearest], make(best.numpy())


def write_search(run, targets, begun, ended) -> None:
    """search.png: a row of the images, a row of the starts, a row of what was found."""
    from common import images

    rows = np.concatenate([targets, begun, ended])
    zoom = max(1, 64 // targets.shape[1])
    page = images.grid(rows, columns=len(targets), zoom=zoom)
    run.write("explore/search.png", images.png(page))


if __name__ == "__main__":
    cli.run(main)
