"""The losses of the GANs of augmentation.py and design.py, on logits of "real", n×1."""

from keras import ops


def discriminator_loss(logits_real, logits_fake):
    """Mean of -log P(real) at real images, and of -log(1 - P(real)) at generated ones, added."""
    return ops.mean(ops.softplus(-logits_real)) + ops.mean(ops.softplus(logits_fake))


def generator_loss(logits_fake):
    """Mean of -log P(real) at generated images: the non-saturating loss."""
    return ops.mean(ops.softplus(-logits_fake))
