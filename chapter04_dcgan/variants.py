"""The DCGAN's training with an R1 gradient penalty, with shared fakes, or with both.

Neither is in the book's chapter 4. The chapter's README says what each does for the FID.
"""

import tensorflow as tf

from chapter04_dcgan.dcgan import DCGAN, loss_fake, loss_real
from common.distribution import minimize
from common.gan import accuracies
from common.penalties import r1_penalty


class RegularizedDCGAN(DCGAN):
    """A DCGAN with an R1 penalty on its discriminator, with fakes that both share, or with both.

    Args:
        generator: n×latent_dim to images in [-1, 1].
        discriminator: images to logits, n×1.
        r1: weight of the R1 penalty on the discriminator; 0 is no penalty.
        shared_fakes: train both networks on the same generated images, rather than as in the book
            on two batches of them.
        seed: with the iteration, sets the noise of each training step.
    """

    def __init__(self, generator, discriminator, r1=0.0, shared_fakes=False, seed=0):
        super().__init__(generator, discriminator, seed)
        self.r1 = r1
        self.shared_fakes = shared_fakes

    def train_step(self, real_images):
        noise_for_d, noise_for_g = tf.unstack(self.noise(self.iterations, tf.shape(real_images)[0]))

        # 1. The discriminator on real images, where its gradient is penalised.
        if self.r1:
            d_loss_real, logits_real = self.train_discriminator_with_penalty(real_images)
        else:
            d_loss_real, logits_real = self.train_discriminator(real_images, loss_real)

        # 2. The discriminator on generated images, and 3. the generator.
        if self.shared_fakes:
            d_loss_fake, logits_fake, g_loss = self.train_on_shared_fakes(noise_for_d)
        else:
            fake_images = self.generator(noise_for_d, training=False)
            d_loss_fake, logits_fake = self.train_discriminator(fake_images, loss_fake)
            g_loss = self.train_generator(noise_for_g)

        return self.report(
            d_loss=(d_loss_real + d_loss_fake) / 2,
            g_loss=g_loss,
            **accuracies(logits_real, logits_fake),
        )

    def train_discriminator_with_penalty(self, real_images):
        """As `train_discriminator` with `loss_real`, plus R1; the loss it gives is without R1."""
        with tf.GradientTape() as tape:
            logits, squared_gradient = self.squared_gradient(real_images)
            loss = loss_real(logits)
            penalized_loss = loss + self.r1 / 2 * squared_gradient
        variables = self.discriminator.trainable_variables
        minimize(self.d_optimizer, tape, penalized_loss, variables)
        return loss, logits

    def squared_gradient(self, images):
        """Logits, n×1, and the mean over the images of |∂logit/∂image|², a scalar.

        Penalising the squared gradient at real images (R1, Mescheder et al. 2018) makes the
        discriminator flat there. A discriminator that is steep at the real images pushes the
        generated images past them. With batch normalisation each logit depends on the whole batch,
        and the gradient is that of the sum of the logits.
        """
        return r1_penalty(lambda x: self.discriminator(x, training=True), images)

    def train_on_shared_fakes(self, noise):
        """Updates 2 and 3 on the same generated images.

        That saves a forward pass of the generator. And the images of update 2 are then normalised
        by the statistics of the batch, as those of update 3 are: early in training, the running
        statistics lag far behind and make other images.

        Returns:
            The discriminator's loss and its logits, n×1, on the images before its update; the
            generator's loss after that.
        """
        with tf.GradientTape() as tape:
            fake_images = self.generator(noise, training=True)
            with tape.stop_recording():  # the discriminator's update has a tape of its own
                d_loss_fake, logits_fake = self.train_discriminator(fake_images, loss_fake)
            g_loss = loss_real(self.discriminator(fake_images, training=True))
        variables = self.generator.trainable_variables
        minimize(self.g_optimizer, tape, g_loss, variables)
        return d_loss_fake, logits_fake, g_loss
