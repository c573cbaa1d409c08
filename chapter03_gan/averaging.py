"""The average of the generator's weights, which `quick` keeps in place of the last ones.

The book does not have it. Yazici et al. (2019), *The unusual effectiveness of averaging in GAN
training*: the two networks chase each other around a solution, and the average is nearer to it.
"""

import keras

from chapter03_gan.gan import GAN
from common.averages import early_decay, update_averages
from common.model import predict


class AveragedGAN(GAN):
    """A `GAN` that makes its pictures with the average of the generator's weights.

    Args:
        generator, discriminator, seed: as a `GAN`'s. Training is that of a `GAN`, to the bit.
        decay: how much of the average is left after an iteration; less in the first ones, see
            `early_decay`.
    """

    def __init__(self, generator, discriminator, decay: float, seed=0):
        super().__init__(generator, discriminator, seed)
        self.averaged = keras.models.clone_model(generator)
        self.averaged.set_weights(generator.get_weights())
        self.decay = decay

    def train_step(self, real_images):
        results = super().train_step(real_images)
        decay = early_decay(self.decay, self.iterations)
        update_averages(self.averaged.weights, self.generator.weights, decay)
        return results

    def generate(self, count: int):
        return predict(self.averaged, self.fixed_noise(count))
