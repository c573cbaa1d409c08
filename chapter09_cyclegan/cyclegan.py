"""The training algorithm of CycleGAN (GANs in Action, chapter 9; Zhu et al. 2017).

Two generators translate images from domain A to B and back, and two discriminators tell each
domain's real images from translated ones. There are no pairs to learn from. What keeps a
translation close to its original is cycle consistency: there and back again should end where it
began.

    here            g_AB    g_BA    d_A    d_B
    in the paper    G       F       D_X    D_Y
"""

import tensorflow as tf
from keras import ops

from common.distribution import minimize
from common.model import ChapterModel


def loss_real(scores):
    """Least squares (Mao et al. 2017): mean of (score - 1)², small where scores say "real".

    Args:
        scores: of a discriminator, n×h×w×1.

    Returns:
        A scalar.
    """
    return ops.mean(ops.square(scores - 1))


def loss_fake(scores):
    """Least squares: mean of score², a scalar, small where scores, n×h×w×1, say "fake"."""
    return ops.mean(ops.square(scores))


def loss_cycle(images, reconstructed):
    """Mean absolute difference of images and what comes back from a cycle, a scalar.

    Args:
        images, reconstructed: n×height×width×channels in [-1, 1].
    """
    return ops.mean(ops.abs(images - reconstructed))


def loss_identity(images, translated):
    """Mean absolute change of images that are in the generator's target domain already, a scalar.

    Args:
        images, translated: n×height×width×channels in [-1, 1].
    """
    return ops.mean(ops.abs(images - translated))


class CycleGAN(ChapterModel):
    """Trains two generators and two discriminators.

    Args:
        g_AB, g_BA: images in [-1, 1], n×height×width×channels, to the same.
        d_A, d_B: images to scores, n×h×w×1.
        lambda_cycle, lambda_identity: weights of these losses beside the adversarial one.
        augmentation: changes real images before each use, given a seed; see augmentation.py.
        seed: with the iteration, sets all that is random in a training step.
    """

    METRICS: tuple[str, ...] = (
        "d_A_loss",
        "d_B_loss",
        "adversarial_loss",
        "cycle_loss",
        "identity_loss",
        "g_loss",
    )

    # Attributes of the class, so that a subclass can have other losses.
    loss_real = staticmethod(loss_real)
    loss_fake = staticmethod(loss_fake)
    loss_cycle = staticmethod(loss_cycle)

    def __init__(
        self,
        g_AB,
        g_BA,
        d_A,
        d_B,
        *,
        lambda_cycle=10.0,
        lambda_identity=9.0,
        augmentation=None,
        seed=0,
    ):
        super().__init__()
        self.g_AB = g_AB
        self.g_BA = g_BA
        self.d_A = d_A
        self.d_B = d_B
        self.lambda_cycle = lambda_cycle
        self.lambda_identity = lambda_identity
        self.augmentation = augmentation
        self.seed = seed

    def compile(self, d_A_optimizer, d_B_optimizer, g_optimizer, **kwargs):
        super().compile(optimizer=None, **kwargs)
        self.d_A_optimizer = d_A_optimizer
        self.d_B_optimizer = d_B_optimizer
        self.g_optimizer = g_optimizer
        d_A_optimizer.build(self.d_A.trainable_variables)
        d_B_optimizer.build(self.d_B.trainable_variables)
        g_optimizer.build(self.g_AB.trainable_variables + self.g_BA.trainable_variables)

    @property
    def iterations(self):
        """Training steps done so far: the generators are updated once in each."""
        return self.g_optimizer.iterations

    def seeds(self):
        """Four seeds of this iteration, 4×2: a function of the model's seed and the iteration.

        Two are for the augmentation of A and B; the others, for variants of the model.
        """
        return tf.random.split(tf.stack([self.seed, tf.cast(self.iterations, tf.int32)]), 4)

    def train_step(self, batch):
        """One iteration.

        Args:
            batch: images of A and images of B, each n×height×width×channels in [-1, 1].

        Returns:
            By the names of METRICS, the means since the epoch began.
        """
        real_A, real_B = batch
        if self.augmentation:
            seed_A, seed_B, *_ = tf.unstack(self.seeds())
            real_A = self.augmentation(real_A, seed_A)
            real_B = self.augmentation(real_B, seed_B)

        with tf.GradientTape() as tape:
            fake_B, same_B = self.translate_with_identity(self.g_AB, real_A, real_B)
            fake_A, same_A = self.translate_with_identity(self.g_BA, real_B, real_A)

            # 1. The discriminators, on real images and generated ones.
            with tape.stop_recording():  # the generators' gradients need none of these updates
                d_A_loss, d_B_loss = self.train_discriminators(real_A, real_B, fake_A, fake_B)

            # 2. Both generators. Their images are to pass for real …
            adversarial_loss = self.loss_real(self.d_B(fake_B, training=True)) + self.loss_real(
                self.d_A(fake_A, training=True)
            )
            # … and to come back as they were …
            cycle_loss = self.loss_cycle(real_A, self.g_BA(fake_B, training=True))
            cycle_loss += self.loss_cycle(real_B, self.g_AB(fake_A, training=True))
            # … and images that are in the target domain already are to stay as they are.
            identity_loss = loss_identity(real_A, same_A) + loss_identity(real_B, same_B)
            g_loss = (
                adversarial_loss
                + self.lambda_cycle * cycle_loss
                + self.lambda_identity * identity_loss
            )
        variables = self.g_AB.trainable_variables + self.g_BA.trainable_variables
        minimize(self.g_optimizer, tape, g_loss, variables)

        return self.report(
            d_A_loss=d_A_loss,
            d_B_loss=d_B_loss,
            adversarial_loss=adversarial_loss / 2,  # means of the two directions
            cycle_loss=cycle_loss / 2,
            identity_loss=identity_loss / 2,
            g_loss=g_loss,
        )

    def translate_with_identity(self, generator, images, of_target_domain):
        """Translates images, and images of the target domain; in one pass, which is faster.

        Instance normalisation treats each image apart, so the numbers are those of two passes.

        Args:
            images, of_target_domain: n×height×width×channels in [-1, 1].

        Returns:
            Both, translated; the second as they are, if the identity loss has no weight: then it
            is 0.
        """
        if not self.lambda_identity:
            return generator(images, training=True), of_target_domain
        both = generator(ops.concatenate([images, of_target_domain]), training=True)
        return ops.split(both, 2)

    def train_discriminators(self, real_A, real_B, fake_A, fake_B):
        d_A_loss = self.train_discriminator(self.d_A, self.d_A_optimizer, real_A, fake_A)
        d_B_loss = self.train_discriminator(self.d_B, self.d_B_optimizer, real_B, fake_B)
        return d_A_loss, d_B_loss

    def train_discriminator(self, discriminator, optimizer, real_images, fake_images):
        """Updates one discriminator on real images, and then on generated ones.

        Returns:
            The mean of the two losses, each from before its own update, a scalar.
        """
        variables = discriminator.trainable_variables
        with tf.GradientTape() as tape:
            loss_real = self.loss_real(discriminator(real_images, training=True))
        minimize(optimizer, tape, loss_real, variables)
        with tf.GradientTape() as tape:
            loss_fake = self.loss_fake(discriminator(fake_images, training=True))
        minimize(optimizer, tape, loss_fake, variables)
        return (loss_real + loss_fake) / 2
