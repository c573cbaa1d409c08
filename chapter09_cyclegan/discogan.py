"""DiscoGAN (Kim et al. 2017), published in the same month: CycleGAN's algorithm, other losses."""

import keras
from keras import ops

from chapter09_cyclegan.paper import PaperCycleGAN
from common.distribution import undivided

cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)


class DiscoGAN(PaperCycleGAN):
    """Cross-entropy of logits in place of least squares, and a squared cycle error.

    In the paper, the cycle loss and the adversarial loss weigh the same, there is no identity loss
    and no image pool, and the generators have no skip connections: `lambda_cycle=1`,
    `lambda_identity=0`, `pool_size=0`, and the networks of discogan_networks.py. The authors' code
    also matches features of the discriminators; this does not.
    """

    @staticmethod
    def loss_real(logits):
        """Mean of -log P(real), a scalar; of logits, n×1 (or n×h×w×1, of a PatchGAN)."""
        return undivided(cross_entropy(ops.ones_like(logits), logits))

    @staticmethod
    def loss_fake(logits):
        """Mean of -log(1 - P(real)), a scalar; of such logits."""
        return undivided(cross_entropy(ops.zeros_like(logits), logits))

    @staticmethod
    def loss_cycle(images, reconstructed):
        """Mean squared difference of images and what comes back from a cycle, a scalar."""
        return ops.mean(ops.square(images - reconstructed))
