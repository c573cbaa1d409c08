"""What keeps a discriminator from growing steep by its weights alone.

Penalties of its slope, R1 and WGAN-GP's, are in `common/penalties.py`; spectral normalisation is in
`common/spectral.py`.
"""

from keras import ops


def clip_weights(discriminator, limit: float) -> None:
    """Moves all weights into [-limit, limit] (Arjovsky et al. 2017, algorithm 1).

    Then no slope can be larger than some bound, though nobody knows which.
    """
    for variable in discriminator.trainable_variables:
        variable.assign(ops.clip(variable, -limit, limit))
