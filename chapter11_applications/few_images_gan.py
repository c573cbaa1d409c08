"""A class-conditional GAN for few images: the generator of augmentation.py.

As Frid-Adar et al. (2018) did, it is trained on the few images there are, classically augmented.
What it is made of is chapter 8's: labels as one-hot vectors (Mirza & Osindero 2014), R1 (Mescheder
et al. 2018), and one set of generated images for both updates.
"""

import tensorflow as tf

from chapter11_applications.gan_losses import discriminator_loss, generator_loss
from common.distribution import minimize
from common.gan import BaseGAN, accuracies
from common.model import predict
from common.penalties import r1_penalty


class FewImagesGAN(BaseGAN):
    """Trains a generator and a discriminator that are both given the label.

    Args:
        generator: noise, n×latent_dim, and labels, n, to images in [-1, 1].
        discriminator: images and labels, n, to logits, n×1.
        augmentation: a `transforms.Augmentation`.
        r1: weight of the gradient penalty, γ.
        seed: a tf.Variable of int32, so that the compiled step serves for all seeds; with the
            iteration, it sets all that is random in a training step.
    """

    def __init__(self, generator, discriminator, augmentation, r1, seed):
        super().__init__(generator, discriminator, seed)
        self.augmentation = augmentation
        self.r1 = r1

    def train_step(self, batch):
        few_images, labels = batch
        noise = self.noise(self.iterations, tf.shape(labels)[0])[0]

        # 1. Real images: another variation of each, every time that its turn comes.
        real_images = self.augmentation(few_images, self.step_seed(1))

        with tf.GradientTape() as g_tape:
            # 2. Generated images of the same labels.
            fake_images = self.generator([noise, labels], training=True)

            # 3. The discriminator's update, which has no part in the generator's gradient.
            with g_tape.stop_recording():
                with tf.GradientTape() as d_tape:
                    logits_real, penalty = r1_penalty(lambda x: self.judge(x, labels), real_images)
                    logits_fake = self.judge(fake_images, labels)
                    d_loss = discriminator_loss(logits_real, logits_fake)
                    penalized = d_loss + self.r1 / 2 * penalty
                variables = self.discriminator.trainable_variables
                minimize(self.d_optimizer, d_tape, penalized, variables)

            # 4. The generator's, by the discriminator as it is now.
            g_loss = generator_loss(self.judge(fake_images, labels))
        minimize(self.g_optimizer, g_tape, g_loss, self.generator.trainable_variables)
        return self.report(
            d_loss=d_loss / 2,  # the mean over real and generated images
            g_loss=g_loss,
            **accuracies(logits_real, logits_fake),
        )

    def judge(self, images, labels):
        """The discriminator's logits of "real", n×1."""
        return self.discriminator([images, labels], training=True)

    def step_seed(self, number):
        """The seed of what is drawn in this iteration beside the noise."""
        step_seed = tf.stack([self.seed, tf.cast(self.iterations, tf.int32)])
        return tf.random.fold_in(step_seed, number)

    def generate(self, noise, labels):
        """Images of noise, n×latent_dim, and labels, n: n×height×width×channels in [-1, 1]."""
        return predict(self.generator, [noise, labels])
