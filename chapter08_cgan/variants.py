"""The conditional GAN's training with an R1 gradient penalty, with shared fakes, or with both.

Neither is in the book's chapter 8. Chapter 4's README says what each does for the FID there.
"""

import tensorflow as tf

from chapter08_cgan.cgan import CGAN, loss_fake, loss_real
from common.distribution import minimize
from common.gan import accuracies
from common.penalties import r1_penalty


class RegularizedCGAN(CGAN):
    """A CGAN with an R1 penalty on its discriminator, with fakes that both share, or with both.

    Args:
        generator: noise, n×latent_dim, and labels, n, to images in [-1, 1].
        discriminator: images and labels, n, to logits, n×1.
        classes: how many there are; the labels count from 0.
        r1: weight of the R1 penalty on the discriminator; 0 is no penalty.
        shared_fakes: train both networks on the same generated images, rather than as in the book
            on two batches of them.
        seed: with the iteration, sets the noise and the random labels of each training step.
    """

    def __init__(
        self,
        generator,
        discriminator,
        classes=10,
        r1=0.0,
        shared_fakes=False,
        seed=0,
    ):
        super().__init__(generator, discriminator, classes, seed)
        self.r1 = r1
        self.shared_fakes = shared_fakes

    def train_step(self, batch):
        real_images, labels = batch
        batch_size = tf.shape(labels)[0]
        noise_for_d, noise_for_g = tf.unstack(self.noise(self.iterations, batch_size))

        # 1. The discriminator on real images, where its gradient is penalised.
        if self.r1:
            d_loss_real, logits_real = self.train_discriminator_with_penalty(real_images, labels)
        else:
            d_loss_real, logits_real = self.train_discriminator(real_images, labels, loss_real)

        # 2. The discriminator on generated images, and 3. the generator.
        if self.shared_fakes:
            d_loss_fake, logits_fake, g_loss = self.train_on_shared_fakes(noise_for_d, labels)
        else:
            fake_images = self.generator([noise_for_d, labels], training=False)
            d_loss_fake, logits_fake = self.train_discriminator(fake_images, labels, loss_fake)
            random_labels = self.random_labels(self.iterations, batch_size)
            g_loss = self.train_generator(noise_for_g, random_labels)

        return self.report(
            d_loss=(d_loss_real + d_loss_fake) / 2,
            g_loss=g_loss,
            **accuracies(logits_real, logits_fake),
        )

    def train_discriminator_with_penalty(self, real_images, labels):
        """As `train_discriminator` with `loss_real`, plus R1; the loss it gives is without R1.

        Penalising the squared gradient at real images (R1, Mescheder et al. 2018) makes the
        discriminator flat there. A discriminator that is steep at the real images pushes the
        generated images past them. With batch normalisation each logit depends on the whole batch,
        and the gradient is that of the sum of the logits.
        """

        def judge(images):
            loss, logits = self.loss_and_logits(images, labels, loss_real)
            return logits, loss

        with tf.GradientTape() as tape:
            (logits, loss), penalty = r1_penalty(judge, real_images)
            penalized_loss = loss + self.r1 / 2 * penalty
        variables = self.discriminator.trainable_variables
        minimize(self.d_optimizer, tape, penalized_loss, variables)
        return loss, logits

    def train_on_shared_fakes(self, noise, labels):
        """Updates 2 and 3 on the same generated images, and so with the same labels.

        That saves a forward pass of the generator. And the images of update 2 are then normalised
        by the statistics of the batch, as those of update 3 are: early in training, the running
        statistics lag far behind and make other images.

        Returns:
            The discriminator's loss and its logits, n×1, on the images before its update; the
            generator's loss after that.
        """
        with tf.GradientTape() as tape:
            fake_images = self.generator([noise, labels], training=True)
            with tape.stop_recording():  # the discriminator's update has a tape of its own
                d_loss_fake, logits_fake = self.train_discriminator(fake_images, labels, loss_fake)
            g_loss, _ = self.loss_and_logits(fake_images, labels, loss_real)
        variables = self.generator.trainable_variables
        minimize(self.g_optimizer, tape, g_loss, variables)
        return d_loss_fake, logits_fake, g_loss
