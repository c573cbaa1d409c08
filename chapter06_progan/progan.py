"""The training of a GAN that grows (GANs in Action, section 6.2; Karras et al. 2018).

Each step trains the critic on real images and on generated ones in one loss, WGAN-GP with a drift
term, and then the generator. While a new level is faded in, it is so in both networks and in the
real images.
"""

from typing import ClassVar

import numpy as np
import tensorflow as tf
from keras import ops

from chapter06_progan.layers import double, fade_in, halve
from chapter06_progan.levels import made_at_once, size_of
from chapter06_progan.schedule import Phase
from common import distribution
from common.averages import update_averages
from common.distribution import minimize
from common.model import ChapterModel, normal_noise
from common.penalties import gradient_penalty


class ProGAN(ChapterModel):
    """Trains a generator and a discriminator, one phase after the other.

    Args:
        generator, discriminator: see `networks.py`.
        averaged: another generator of the same weights. It becomes the average of the generator's
            weights over the last steps, which makes the pictures.
        gradient_penalty: its weight, the paper's λ.
        drift: weight of the mean squared score of real images, which keeps scores near 0.
        average: how much of the average is left after a step.
        seed: with the number of images seen, sets all that is random in a training step.
    """

    # The penalty is that of the gradient, weighted, and the drift; d_loss is without both.
    METRICS = ("d_loss", "g_loss", "penalty", "real_score", "fake_score")
    PLOTS: ClassVar = {
        "loss": {"d_loss": "discriminator", "g_loss": "generator"},
        "discriminator's mean score": {"real_score": "real", "fake_score": "generated"},
    }

    def __init__(
        self,
        generator,
        discriminator,
        averaged,
        *,
        gradient_penalty: float = 10.0,
        drift: float = 1e-3,
        average: float = 0.999,
        seed: int = 0,
    ):
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.averaged = averaged
        self.gradient_penalty = gradient_penalty
        self.drift = drift
        self.average = average
        self.seed = seed
        self.images_seen = self.add_weight((), "zeros", "int32", trainable=False, name="images")
        averaged.set_weights(generator.get_weights())

    def compile(self, d_optimizer, g_optimizer, *, decay: float = 0.0, total: int = 1, **kwargs):
        """
        Args:
            decay: the last share of training, in which the learning rates fall to 0.
            total: images of the whole training.
        """
        super().compile(optimizer=None, **kwargs)
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer
        d_optimizer.build(self.discriminator.trainable_variables)
        g_optimizer.build(self.generator.trainable_variables)
        self.rates = [float(o.learning_rate.numpy()) for o in (d_optimizer, g_optimizer)]
        self.decay, self.total = decay, total

    @property
    def iterations(self):
        """Training images seen so far: the paper counts in these, as batches have several sizes."""
        return self.images_seen

    def begin(self, phase: Phase, steps_per_execution: int = 1) -> None:
        """Takes up a phase, at its beginning or, after a resume, within it.

        The optimisers forget what they know of the gradients when a phase begins, as in the
        authors' code.
        """
        self.phase = phase
        if int(self.images_seen.numpy()) == phase.begin:
            for optimizer in (self.d_optimizer, self.g_optimizer):
                for variable in optimizer.variables:  # the learning rate too; each step sets it
                    variable.assign(ops.zeros_like(variable))
        # Functions of the former phase are of another level.
        self.compile_step()
        self.steps_per_execution = steps_per_execution
        self.make_train_function(force=True)
        self.compile_pictures()

    def compile_pictures(self) -> None:
        """The averaged generator at the phase's level, as one program of noise and fade."""
        level = self.phase.level
        self.make_pictures = tf.function(
            lambda noise, fade: self.averaged(noise, level=level, fade=fade, training=False),
            reduce_retracing=True,
        )

    def train_step(self, real_images):
        phase = self.phase
        batch_size = tf.shape(real_images)[0]
        seen = ops.cast(self.images_seen, "float32")
        for optimizer, rate in zip((self.d_optimizer, self.g_optimizer), self.rates, strict=True):
            optimizer.learning_rate = rate * self.decay_factor(seen)
        shape = (2, batch_size, self.generator.latent_dim)
        noise_for_d, noise_for_g = tf.unstack(
            normal_noise(shape, self.seed, self.images_seen, axis=1)
        )

        # Real images are faded from the former size to the new one, too: the critic is to tell real
        # from generated images, and not faded ones from others.
        if phase.fading:
            real_images = fade_in(double(halve(real_images)), real_images, self.fade)

        # 1. The critic.
        d_logs = self.train_discriminator(real_images, self.make(noise_for_d, 0))

        # 2. The generator.
        with tf.GradientTape() as tape:
            g_loss = self.generator_loss(self.score(self.make(noise_for_g, 1)))
        variables = self.generator.variables_of(phase.level, phase.fading)
        minimize(self.g_optimizer, tape, g_loss, variables)

        # 3. The average of the generator's weights.
        averages = self.averaged.variables_of(phase.level, phase.fading)
        update_averages(averages, variables, self.average)

        self.images_seen.assign_add(batch_size * distribution.replicas())
        return self.report(g_loss=g_loss, **d_logs)

    def decay_factor(self, seen):
        """What is left of the learning rates after so many images: 1, and in the end a line to 0.

        The paper has no such line.
        """
        if not self.decay:
            return 1.0
        return ops.minimum(1.0, (self.total - seen) / (self.decay * self.total))

    @property
    def fade(self):
        """How far the phase's level is faded in, from 0 to 1; None, if wholly."""
        return self.phase.fade(ops.cast(self.images_seen, "float32"))

    def make(self, noise, number: int):
        """Images for a step's update of the critic (0) or of the generator (1)."""
        return self.generator(noise, level=self.phase.level, fade=self.fade, training=True)

    def score(self, images):
        return self.discriminator(images, level=self.phase.level, fade=self.fade, training=True)

    def generator_loss(self, scores):
        return -ops.mean(scores)

    def train_discriminator(self, real_images, fake_images):
        """One update. Gives what is reported of it."""
        alpha_shape = (tf.shape(real_images)[0], 1, 1, 1)
        alpha = distribution.draw(
            tf.random.stateless_uniform, alpha_shape, self.step_seed(1), alg="philox"
        )
        with tf.GradientTape() as tape:
            # By the mini-batch standard deviation an image's score depends a little on the others
            # of its group, and so does its slope; as in the authors' code.
            real, fake = self.score(real_images), self.score(fake_images)
            loss = ops.mean(fake) - ops.mean(real)
            penalty = self.gradient_penalty * gradient_penalty(
                self.score, real_images, fake_images, alpha
            ) + self.drift * ops.mean(ops.square(real))
            penalized_loss = loss + penalty
        self.update_discriminator(tape, penalized_loss)
        means = {"real_score": ops.mean(real), "fake_score": ops.mean(fake)}
        return {"d_loss": loss, "penalty": penalty, **means}

    def update_discriminator(self, tape, loss):
        variables = self.discriminator.variables_of(self.phase.level, self.phase.fading)
        minimize(self.d_optimizer, tape, loss, variables)

    def step_seed(self, purpose: int):
        """A seed for a training step, another for each purpose, 1, 2, …"""
        return tf.random.fold_in(tf.stack([self.seed, self.images_seen.value]), purpose)

    def fixed_noise(self, count: int):
        """Noise for pictures and metrics, count×latent_dim: the same each time, new to training."""
        return normal_noise((count, self.generator.latent_dim), self.seed, -1)

    def generate(self, count: int):
        """Images of `fixed_noise` by the averaged generator, as far as it has grown, NumPy's."""
        at_once = made_at_once(size_of(self.phase.level))
        parts = np.array_split(self.fixed_noise(count), -(-count // at_once))
        return np.concatenate([self.make_pictures(noise, self.fade).numpy() for noise in parts])
