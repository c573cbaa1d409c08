"""The training step of all games (GANs in Action, section 5.2).

The book's chapters 3 and 4 update the discriminator twice, on real and on generated images. Here
both kinds meet in one loss, as in the papers: the relativistic game compares them, and a gradient
penalty lies between them. They still go through the discriminator apart, so that its batch
normalisation, if it has one, sees each kind alone.
"""

from typing import ClassVar

import tensorflow as tf
from keras import ops

from chapter05_training.games import Game
from chapter05_training.smoothness import clip_weights
from common import distribution
from common.distribution import minimize
from common.gan import BaseGAN
from common.model import normal_noise
from common.penalties import gradient_penalty, r1_penalty
from common.random_layers import set_random_layers
from common.spectral import update_vectors


class GameGAN(BaseGAN):
    """Trains a generator and a discriminator in one of the games.

    A training step is one update of the generator, and takes `critic_steps` batches of real images.

    Args:
        generator: n×latent_dim to images.
        discriminator: images to logits, n×1.
        game: what the two minimise.
        critic_steps: updates of the discriminator for one of the generator.
        r1: γ; the discriminator's loss gets γ/2 · E |∂f/∂x|² at real images. 0 for none.
        gradient_penalty: λ; it gets λ · E (|∂f/∂x| - 1)² between real and generated images. 0 for
            none.
        clip: limit for the discriminator's weights; None for none.
        seed: with the iteration, sets all that is random in a training step.
    """

    # The penalty is R1 or the gradient penalty, weighted; d_loss is without it.
    METRICS = ("d_loss", "g_loss", "penalty", "real_logit", "fake_logit")
    PLOTS: ClassVar = {
        "loss": {"d_loss": "discriminator", "g_loss": "generator"},
        "discriminator's mean logit": {"real_logit": "real", "fake_logit": "generated"},
        "FID": {"fid": "against training images"},
    }

    def __init__(
        self,
        generator,
        discriminator,
        game: Game,
        *,
        critic_steps: int = 1,
        r1: float = 0.0,
        gradient_penalty: float = 0.0,
        clip: float | None = None,
        seed: int = 0,
    ):
        super().__init__(generator, discriminator, seed)
        self.game = game
        self.critic_steps = critic_steps
        self.r1 = r1
        self.gradient_penalty = gradient_penalty
        self.clip = clip

    def train_step(self, real_images):
        # A batch of real images and noise of its own for each update of the discriminator.
        batches = tf.split(real_images, self.critic_steps)
        noises = tf.unstack(self.step_noise(self.critic_steps, tf.shape(batches[0])[0]))
        set_random_layers(self.discriminator, self.seed, self.iterations)

        # 1. The discriminator alone, where the game gives it more updates than the generator.
        for number in range(self.critic_steps - 1):
            fake_images = self.generator(noises[number], training=True)
            self.train_discriminator(batches[number], fake_images)

        with tf.GradientTape() as tape:
            # 2. The discriminator once more, and …
            fake_images = self.generator(noises[-1], training=True)
            with tape.stop_recording():  # the discriminator's update has a tape of its own
                logs = self.train_discriminator(batches[-1], fake_images)

            # 3. … the generator, on the same generated images. (The papers' algorithms draw new
            # ones; these save a forward pass.)
            g_loss = self.generator_loss(batches[-1], fake_images)
        variables = self.generator.trainable_variables
        minimize(self.g_optimizer, tape, g_loss, variables)

        return self.report(g_loss=g_loss, **logs)

    def train_discriminator(self, real_images, fake_images):
        """One update. Gives what is reported of it."""
        update_vectors(self.discriminator)  # of spectral normalisation, if it has that
        penalty = tf.zeros(())
        with tf.GradientTape() as tape:
            if self.r1:
                real, r1 = r1_penalty(self.discriminate, real_images)
                penalty += self.r1 / 2 * r1
            else:
                real = self.discriminate(real_images)
            fake = self.discriminate(fake_images)
            if self.gradient_penalty:
                alpha = self.step_alpha(real_images)
                penalty += self.gradient_penalty * gradient_penalty(
                    self.discriminate, real_images, fake_images, alpha
                )
            loss = self.discriminator_loss(real, fake)
            penalized_loss = loss + penalty
        variables = self.discriminator.trainable_variables
        minimize(self.d_optimizer, tape, penalized_loss, variables)
        if self.clip is not None:
            clip_weights(self.discriminator, self.clip)
        means = {"real_logit": ops.mean(real), "fake_logit": ops.mean(fake)}
        return {"d_loss": loss, "penalty": penalty, **means}

    def discriminate(self, images):
        """Logits, n×1, in training mode: batch normalisation by the statistics of the batch."""
        return self.discriminator(images, training=True)

    def discriminator_loss(self, real, fake):
        """Of the logits of real and of generated images, n×1 each."""
        return self.game.discriminator_loss(real, fake)

    def generator_loss(self, real_images, fake_images):
        """Of the generated images; the relativistic game compares them with the real ones."""
        real = self.discriminate(real_images) if self.game.generator_compares else None
        return self.game.generator_loss(real, self.discriminate(fake_images))

    def step_noise(self, count, batch_size):
        """Noise for the updates of a step, count×batch_size×latent_dim."""
        shape = (count, batch_size, self.latent_dim)
        return normal_noise(shape, self.seed, self.iterations, axis=1)

    def step_alpha(self, images):
        """Where between real and generated images an update's penalties are: uniform, n×1×1×1."""
        shape = (tf.shape(images)[0], *(1 for _ in images.shape[1:]))
        return distribution.draw(
            tf.random.stateless_uniform, shape, self.update_seed(1), alg="philox"
        )

    def update_seed(self, purpose: int):
        """A seed for one update of the discriminator, another for each purpose, 1, 2, …"""
        seed = tf.stack([self.seed, tf.cast(self.d_optimizer.iterations, tf.int32)])
        return tf.random.fold_in(seed, purpose)
