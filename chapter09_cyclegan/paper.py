"""How the CycleGAN paper trains the discriminators (Zhu et al. 2017, section 4 and its code)."""

import tensorflow as tf
from keras import ops

from chapter09_cyclegan.cyclegan import CycleGAN
from chapter09_cyclegan.pool import ImagePool
from common.distribution import minimize


class PaperCycleGAN(CycleGAN):
    """CycleGAN with image pools, and one update of a discriminator rather than two.

    Args:
        networks: g_AB, g_BA, d_A and d_B, as `CycleGAN` takes them.
        image_shape: height, width, channels of the images in the pools.
        pool_size: images in each domain's pool, at least a batch; 0 for no pools.
        separate_updates: update each discriminator on real images and then on generated ones, as
            in the book, rather than once on both, as in the paper.
        settings: the weights of the losses, the augmentation and the seed, as `CycleGAN` takes
            them.
    """

    def __init__(self, *networks, image_shape, pool_size=50, separate_updates=False, **settings):
        super().__init__(*networks, **settings)
        self.pool_A = ImagePool(pool_size, image_shape) if pool_size else None
        self.pool_B = ImagePool(pool_size, image_shape) if pool_size else None
        self.separate_updates = separate_updates

    def train_discriminators(self, real_A, real_B, fake_A, fake_B):
        if self.pool_A and self.pool_B:
            *_, seed_A, seed_B = tf.unstack(self.seeds())
            fake_A = self.pool_A.exchange(fake_A, seed_A)
            fake_B = self.pool_B.exchange(fake_B, seed_B)
        return super().train_discriminators(real_A, real_B, fake_A, fake_B)

    def train_discriminator(self, discriminator, optimizer, real_images, fake_images):
        if self.separate_updates:
            return super().train_discriminator(discriminator, optimizer, real_images, fake_images)
        variables = discriminator.trainable_variables
        with tf.GradientTape() as tape:
            scores = discriminator(ops.concatenate([real_images, fake_images]), training=True)
            scores_real, scores_fake = ops.split(scores, 2)
            loss = (self.loss_real(scores_real) + self.loss_fake(scores_fake)) / 2
        minimize(optimizer, tape, loss, variables)
        return loss
