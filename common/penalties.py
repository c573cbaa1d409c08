"""Penalties that keep a discriminator from growing steep.

GANs in Action, section 5.4, names gradient penalties among the hacks; for a Wasserstein critic
they are no hack but a part of the game.
"""

import tensorflow as tf
from keras import ops

from common.distribution import gradient


def r1_penalty(discriminator, real_images):
    """R1: E |∂f/∂x|² at real images x (Mescheder et al. 2018, equation 9, without its γ/2).

    The discriminator is to be flat where the data is, so that a generator that has arrived there is
    not pushed on.

    Args:
        discriminator: images to logits, n×1, or to a tuple or list that begins with these; no
            image's logit should depend on the other images, as it does with batch normalisation:
            its slope is then that of a sum over several logits.
        real_images: n×height×width×channels.

    Returns:
        What the discriminator gives, and the penalty, a scalar.
    """
    judged, squares = squared_slopes(discriminator, real_images)
    return judged, ops.mean(squares)


def gradient_penalty(discriminator, real_images, fake_images, alpha):
    """WGAN-GP: E (|∂f/∂x| - 1)² at points x between real and generated images.

    Gulrajani et al. 2017, algorithm 1, without its λ. A critic that measures the Wasserstein
    distance has the slope 1 on the lines between the pairs of an optimal transport (proposition 1);
    here, as there, the pairs are those of the batches.

    Args:
        discriminator: as in `r1_penalty`.
        real_images, fake_images: n×height×width×channels.
        alpha: n×1×1×1, uniform in [0, 1): where on its line each point lies. One for each pair, not
            one for the batch.
    """
    between = real_images + alpha * (fake_images - real_images)
    _, squares = squared_slopes(discriminator, between)
    # The root has no derivative at 0, and TensorFlow's would make NaN of it.
    slopes = ops.sqrt(ops.maximum(squares, 1e-12))
    return ops.mean(ops.square(slopes - 1))


def squared_slopes(discriminator, images):
    """What the discriminator gives, and |∂f/∂x|², n: the norm runs over all axes of an image.

    Since no logit depends on another image, the sum of all logits has each image's own gradient.
    """
    with tf.GradientTape() as tape:
        tape.watch(images)
        judged = discriminator(images)
        logits = judged[0] if isinstance(judged, (tuple, list)) else judged
    gradients = gradient(tape, logits, images)
    return judged, ops.sum(ops.square(gradients), axis=tuple(range(1, len(images.shape))))
