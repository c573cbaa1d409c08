"""The games of GANs: what the discriminator minimises, and what the generator minimises.

GANs in Action, sections 5.2 and 5.3. All is on logits: f(x) is the discriminator's output without
a sigmoid, which would be P(real) = σ(f). In the formulas x is a real image and G(z) a generated
one, and E is the mean over a batch. Each loss takes `real`, f(x), and `fake`, f(G(z)), both n×1,
and gives a scalar. Since softplus(f) = log(1 + exp(f)),

    -log σ(f) = softplus(-f)        and        -log(1 - σ(f)) = softplus(f),

which do not overflow as the logarithm of a sigmoid does.
"""

from collections.abc import Callable
from typing import NamedTuple

from keras import ops

from common import distribution


class Game(NamedTuple):
    """What each network minimises, given the logits of real and of generated images, n×1 each."""

    discriminator_loss: Callable
    generator_loss: Callable
    generator_compares: bool = False  # whether the generator's loss takes the real logits, too


def cross_entropy(real, fake):
    """The discriminator of the first two games: -E log σ(f(x)) - E log(1 - σ(f(G(z)))).

    Goodfellow et al. 2014, algorithm 1. The book's chapters 3 and 4 minimise it in two updates, of
    the first term and of the second.
    """
    return ops.mean(ops.softplus(-real)) + ops.mean(ops.softplus(fake))


def minimax_generator(real, fake):
    """Min-max: E log(1 - σ(f(G(z)))), the discriminator's own second term with the sign changed.

    Goodfellow et al. 2014, equation 1. Where the discriminator is sure of its case, σ(f) near 0,
    its slope is near 0, too, and the generator learns nothing.
    """
    return -ops.mean(ops.softplus(fake))


def non_saturating_generator(real, fake):
    """Non-saturating: -E log σ(f(G(z))). Goodfellow et al. 2014, section 3.

    It has the same equilibrium as min-max, and its slope is the larger, the surer the discriminator
    is. It is what the book's chapters 3 and 4 train, as cross-entropy with the label "real".
    """
    return ops.mean(ops.softplus(-fake))


def least_squares_discriminator(real, fake):
    """Least squares: ½ E (f(x) - 1)² + ½ E f(G(z))². Mao et al. 2017, equation 9.

    f itself is to be the label, 1 or 0: a sigmoid before the square would be another loss.
    """
    return ops.mean(ops.square(real - 1)) / 2 + ops.mean(ops.square(fake)) / 2


def least_squares_generator(real, fake):
    """Least squares: ½ E (f(G(z)) - 1)². Mao et al. 2017, equation 9."""
    return ops.mean(ops.square(fake - 1)) / 2


def wasserstein_critic(real, fake):
    """Wasserstein: E f(G(z)) - E f(x). Arjovsky et al. 2017, algorithm 1.

    Its negative is at most the Wasserstein distance of the real and the generated images, times the
    largest slope that f may have. Something has to bound that slope: clipped weights, or a gradient
    penalty. The paper calls f a critic, as it is no classifier any more.
    """
    return ops.mean(fake) - ops.mean(real)


def wasserstein_generator(real, fake):
    """Wasserstein: -E f(G(z)). Arjovsky et al. 2017, algorithm 1."""
    return -ops.mean(fake)


def hinge_discriminator(real, fake):
    """Hinge: E max(0, 1 - f(x)) + E max(0, 1 + f(G(z))). Lim and Ye 2017, Tran et al. 2017;
    Miyato et al. 2018, equation 16.

    An image that is surely on its side, |f| > 1, has no part in it.
    """
    return ops.mean(ops.relu(1 - real)) + ops.mean(ops.relu(1 + fake))


def relativistic_discriminator(real, fake):
    """Relativistic average: -E log σ(f(x) - E f(G(z))) - E log(1 - σ(f(G(z)) - E f(x))).

    Jolicoeur-Martineau 2019, section 4.3. Not "is it real?", but "is it more real than the others
    are on average?"
    """
    mean_real, mean_fake = distribution.mean(ops.mean(real)), distribution.mean(ops.mean(fake))
    return cross_entropy(real - mean_fake, fake - mean_real)


def relativistic_generator(real, fake):
    """Relativistic average: -E log σ(f(G(z)) - E f(x)) - E log(1 - σ(f(x) - E f(G(z)))).

    Jolicoeur-Martineau 2019, section 4.3: the discriminator's loss with real and fake exchanged.
    Both halves train the generator, the second through E f(G(z)).
    """
    return relativistic_discriminator(fake, real)


GAMES = {
    "minimax": Game(cross_entropy, minimax_generator),
    "non-saturating": Game(cross_entropy, non_saturating_generator),
    "least-squares": Game(least_squares_discriminator, least_squares_generator),
    "wgan": Game(wasserstein_critic, wasserstein_generator),  # with clipped weights
    "wgan-gp": Game(wasserstein_critic, wasserstein_generator),  # with a gradient penalty
    "hinge": Game(hinge_discriminator, wasserstein_generator),
    "relativistic": Game(relativistic_discriminator, relativistic_generator, True),
}
