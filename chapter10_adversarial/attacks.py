"""Attacks on classifiers: images that are changed so little that they should still be recognised.

All are functions of the same things, given by name:

    logits      the classifier: a function of images that gives logits, n×K. A Keras model is one;
                it is called with `training=False`. Preprocessing belongs inside it, so that epsilon
                has the unit of the images.
    images      n×height×width×channels, within `bounds`; both are taken as float32.
    labels      whole numbers, n: the true classes, which the classifier is to miss; with
                targeted=True the classes that it is to see instead.
    epsilon     how far an image may be changed; one number, or one for each image.
    bounds      the lowest and the highest value that an image may have.
    batch_size  so many images at a time; more take more memory.

They give float32 images, n×height×width×channels, that lie within the bounds and within epsilon of
the images given: not up to rounding, but exactly (see `geometry`). They raise a ValueError if what
they are given does not fit together, or if the classifier gives probabilities. They may be called
inside a `tf.function`, as training does; there only shapes are checked, and if n is not known,
`batch_size` has no part.

A random perturbation, FGSM and PGD stand here; Auto-PGD, which chooses its own step size, in
`auto_pgd`; the Square attack, which needs no gradient, in `square_attack`. What is checked and
compiled around them stands in `calling`. An attack is compiled for each classifier, each size of
images, each norm and number of restarts (Auto-PGD for each number of steps too), and kept with the
classifier in an LRU cache of the last 100, so give the same function object each time. New weights
are seen, new layers are not: after changing these, or to free the memory of classifiers that are no
longer needed, call `forget`.
"""

import tensorflow as tf

from chapter10_adversarial import calling
from chapter10_adversarial.auto_pgd import apgd, apgd_t
from chapter10_adversarial.calling import forget
from chapter10_adversarial.square_attack import square
from common import distribution

__all__ = ["apgd", "apgd_t", "fgsm", "forget", "pgd", "random_perturbation", "square"]


def random_perturbation(
    *,
    logits,
    images,
    labels,
    epsilon,
    bounds,
    norm="inf",
    tries=1,
    targeted=False,
    seed=(0, 0),
    batch_size=500,
) -> tf.Tensor:
    """A change as large as epsilon allows, in a random direction: what an attack has to beat.

    Args:
        norm: "inf", where each value goes up or down by epsilon, or "2".
        tries: so many are drawn, and for each image the one is kept that fools the classifier
            most: random search.
        seed: two whole numbers, of what is random.
    """
    calling.check_counts(tries=tries)
    return calling.run(
        _random_perturbation,
        logits=logits,
        images=images,
        labels=labels,
        epsilon=epsilon,
        bounds=bounds,
        norm=norm,
        targeted=targeted,
        seed=seed,
        batch_size=batch_size,
        attempts=tries,
    )


def _random_perturbation(objective, ball, seed):
    shape = tf.shape(ball.images)
    normal = distribution.draw(tf.random.stateless_normal, shape, seed, alg="philox")
    perturbation = ball.epsilon * ball.unit(normal)
    return ball.project(ball.images + perturbation)


def fgsm(*, logits, images, labels, epsilon, bounds, targeted=False, batch_size=500) -> tf.Tensor:
    """The fast gradient sign method (Goodfellow et al. 2015, section 4): x + ε · sign(∇ loss).

    A single step up the loss, as long as L∞ allows.
    """
    return calling.run(
        _fgsm,
        logits=logits,
        images=images,
        labels=labels,
        epsilon=epsilon,
        bounds=bounds,
        targeted=targeted,
        batch_size=batch_size,
    )


def _fgsm(objective, ball, seed):
    gradient = objective.gradient(ball.images)
    perturbation = ball.epsilon * tf.sign(gradient)
    return ball.project(ball.images + perturbation)


def pgd(
    *,
    logits,
    images,
    labels,
    epsilon,
    bounds,
    norm="inf",
    steps=40,
    step_size=None,
    random_start=True,
    restarts=1,
    targeted=False,
    seed=(0, 0),
    batch_size=500,
) -> tf.Tensor:
    """Projected gradient descent (Madry et al. 2018, section 2.1).

    From a random point near the image, each step goes up the loss, and where it leaves the ball
    around the image, it is brought back. L∞ steps along the sign of the gradient, L2 along itself.

    Args:
        norm: "inf" or "2".
        steps: how many.
        step_size: of each, times epsilon. By default 2.5 / steps (Madry et al.'s rule): all steps
            together are then 2.5 ε long, more than the ball's diameter of 2 ε. For MNIST, they have
            1/30: 40 steps of .01 for an epsilon of .3.
        random_start: begin at a random point of the ball rather than at the image.
        restarts: begin so often, and keep for each image what fools the classifier most.
        seed: two whole numbers, of what is random.
    """
    calling.check_counts(steps=steps, restarts=restarts)
    if step_size is not None:
        calling.check_step_size(step_size)
    return calling.run(
        _pgd,
        tf.cast(steps, tf.int32),
        tf.cast(2.5 / steps if step_size is None else step_size, tf.float32),
        logits=logits,
        images=images,
        labels=labels,
        epsilon=epsilon,
        bounds=bounds,
        norm=norm,
        targeted=targeted,
        seed=seed,
        batch_size=batch_size,
        attempts=restarts,
        random_start=random_start,
    )


def _pgd(objective, ball, seed, steps, step_size, random_start):
    adversarial = ball.images
    if random_start:
        adversarial = ball.project(ball.random_point(seed))
    for _ in tf.range(steps):
        gradient = objective.gradient(adversarial)
        ascent_direction = ball.unit(gradient)  # for L∞ its sign
        step = step_size * ball.epsilon * ascent_direction
        adversarial = ball.project(adversarial + step)  # into the ball, and clipped to the bounds
    return adversarial
