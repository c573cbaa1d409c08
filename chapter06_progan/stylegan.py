"""The training of the style-based generator (Karras et al. 2019).

The steps are those of `progan.py`, at one size or growing. What differs: the game is the
non-saturating one with R1, two styles may be mixed in an image, each layer gets noise, and the
average style is followed.
"""

import functools

import numpy as np
import tensorflow as tf
from keras import ops

from chapter06_progan.levels import made_at_once, size_of
from chapter06_progan.progan import ProGAN
from common import distribution
from common.penalties import r1_penalty


class StyleGAN(ProGAN):
    """Trains a `style_networks.StyleGenerator` and a discriminator.

    Args:
        r1: γ; the discriminator's loss gets γ/2 · E |∂f/∂x|² at real images.
        mixing: how often an image is made of two styles.
        style_average: how much of the average style is left after a step.
        settings: as `ProGAN`'s.
    """

    def __init__(
        self,
        generator,
        discriminator,
        averaged,
        *,
        r1: float = 10.0,
        mixing: float = 0.9,
        style_average: float = 0.995,
        **settings,
    ):
        super().__init__(generator, discriminator, averaged, **settings)
        self.r1 = r1
        self.mixing = mixing
        self.style_average = style_average

    def make(self, noise, number: int):
        """Images of mixed styles, with noise in each layer; `number` as in `ProGAN.make`."""
        level = self.phase.level
        seed = self.step_seed(10 + number)
        count = ops.shape(noise)[0]
        styles = self.generator.styles(noise, training=True)
        if number == 1:
            self.follow(styles)
        other = distribution.draw(
            tf.random.stateless_normal,
            tf.shape(noise),
            tf.random.fold_in(seed, 1),
            alg="philox",
        )
        mixed = self.mix(styles, self.generator.styles(other, training=True), seed)
        added = pixel_noise(level, count, tf.random.fold_in(seed, 2))
        return self.generator.synthesize(mixed, level, self.fade, added, training=True)

    def mix(self, styles, others, seed):
        """For each layer its styles: from some layer on, another one's for each image.

        Section 3.1, mixing regularisation: neighbouring layers are not to rely on having one style.
        """
        layers = self.generator.layers_of(self.phase.level)
        count = tf.shape(styles)[0]
        seeds = [tf.random.fold_in(seed, number) for number in (3, 4)]
        uniform = functools.partial(tf.random.stateless_uniform, alg="philox")
        first = distribution.draw(uniform, (count, 1), seeds[0], 1, layers, tf.int32)
        chance = distribution.draw(uniform, (count, 1), seeds[1])
        first = tf.where(chance < self.mixing, first, layers)
        return [tf.where(number < first, styles, others) for number in range(layers)]

    def follow(self, styles):
        """Moves the average style towards a batch's. It is the averaged generator's, too."""
        mean = distribution.mean(ops.stop_gradient(ops.mean(styles, axis=0)))
        average = self.generator.average_style
        average.assign(mean + self.style_average * (average - mean))
        self.averaged.average_style.assign(average)

    def generator_loss(self, scores):
        return ops.mean(ops.softplus(-scores))

    def train_discriminator(self, real_images, fake_images):
        with tf.GradientTape() as tape:
            real, r1 = r1_penalty(self.score, real_images)
            fake = self.score(fake_images)
            loss = ops.mean(ops.softplus(-real)) + ops.mean(ops.softplus(fake))
            penalty = self.r1 / 2 * r1
            penalized_loss = loss + penalty
        self.update_discriminator(tape, penalized_loss)
        means = {"real_score": ops.mean(real), "fake_score": ops.mean(fake)}
        return {"d_loss": loss, "penalty": penalty, **means}

    def generate(self, count: int, truncation: float = 1.0):
        """As `ProGAN.generate`; `truncation` as in `StyleGenerator.styles`."""
        styles = self.averaged.styles(self.fixed_noise(count), truncation)
        return self.draw([styles] * self.averaged.layers_of(self.phase.level))

    def draw(self, styles, noisy: bool = True, pixel_seed: int = 0) -> np.ndarray:
        """Images of styles by the averaged generator, as far as it has grown.

        Args:
            styles: for each layer, n×latent_dim.
            noisy: with noise in each layer.
            pixel_seed: images of the same one have the same noise.
        """
        styles = tf.stack(styles)
        seed = tf.random.fold_in(tf.constant([self.seed, -2]), pixel_seed)
        made = []
        at_once = made_at_once(size_of(self.phase.level))
        for first in range(0, styles.shape[1], at_once):
            part_seed = tf.random.fold_in(seed, first)
            part = styles[:, first : first + at_once]
            made.append(self.make_pictures(part, self.fade, part_seed, noisy).numpy())
        return np.concatenate(made)

    def compile_pictures(self) -> None:
        level = self.phase.level

        @tf.function(reduce_retracing=True)
        def make(styles, fade, seed, noisy: bool):
            added = pixel_noise(level, tf.shape(styles)[1], seed) if noisy else None
            return self.averaged.synthesize(tf.unstack(styles), level, fade, added)

        self.make_pictures = make


def pixel_noise(level: int, count, seed):
    """For each layer of a level's images, normal noise, count×h×w×1."""
    sizes = [size_of(i) for i in range(level + 1) for _ in range(2)]
    lengths = [size**2 for size in sizes]
    shape = (count, sum(lengths))
    drawn = distribution.draw(tf.random.stateless_normal, shape, seed, alg="philox")
    parts = tf.split(drawn, lengths, axis=1)
    return [tf.reshape(x, (-1, size, size, 1)) for x, size in zip(parts, sizes, strict=True)]
