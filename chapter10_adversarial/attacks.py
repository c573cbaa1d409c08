"""Attacks on classifiers: images that are changed so little that they should still be recognised.

All are functions of the same things, given by name:

    logits      the classifier: a function of images that gives logits, n×K. Preprocessing belongs
                inside it, so that epsilon has the unit of the images.
    images      n×height×width×channels, within `bounds`; both are taken as float32.
    labels      whole numbers, n: the true classes, which the classifier is to miss; with
                targeted=True the classes that it is to see instead.
    epsilon     how far an image may be changed; one number, or one for each image.
    bounds      the lowest and the highest value that an image may have.
    batch_size  so many images at a time; more take more memory.

They give float32 images, n×height×width×channels, that lie within the bounds and within epsilon of
the images given: not up to rounding, but exactly (see `geometry.ball`). They raise a ValueError if
what they are given does not fit together, or if the classifier gives probabilities. They may be
called inside a `tf.function`, as training does; there only shapes are checked, and if n is not
known, `batch_size` has no part.

An attack is compiled for each classifier that it has not seen, and kept with it, for the last 32
(so give the same function object each time). New weights are seen, new layers are not: after
changing these, or to free the memory of classifiers that are no longer needed, call `forget`.
"""

import functools
import warnings

import tensorflow as tf

from chapter10_adversarial import calling, geometry


def fgsm(*, logits, images, labels, epsilon, bounds, targeted=False, batch_size=500) -> tf.Tensor:
    """The fast gradient sign method (Goodfellow et al. 2015, section 4): x + ε · sign(∇ loss).

    A single step up the loss, as long as L∞ allows.
    """
    images = calling.as_images(images)
    attack = _compile_pgd(
        logits, images.shape[1:], "inf", random_start=False, restarts=1, targeted=targeted
    )
    return calling.in_batches(attack, batch_size, images, labels, epsilon, bounds, (0, 0), 1, 1.0)


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
        step_size: of each, times epsilon. By default 2.5 / steps, with which the steps lead from
            any start to any end, and along the border (Madry et al.'s rule). For MNIST, they have
            1/30: 40 steps of .01 for an epsilon of .3.
        random_start: begin at a random point of the ball rather than at the image.
        restarts: begin so often, and keep for each image what fools the classifier most.
        seed: two whole numbers, of what is random.
    """
    calling.check_counts(steps=steps, restarts=restarts)
    images = calling.as_images(images)
    attack = _compile_pgd(
        logits, images.shape[1:], geometry.name_of(norm), random_start, restarts, targeted
    )
    step_size = 2.5 / steps if step_size is None else step_size
    given = (images, labels, epsilon, bounds, seed)
    return calling.in_batches(attack, batch_size, *given, steps, step_size)


def noise(
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
    """Noise as large as epsilon allows, in a random direction: what an attack has to beat.

    Args:
        norm: "inf", where each value goes up or down by epsilon, or "2".
        tries: so many are drawn, and for each image the one is kept that fools the classifier
            most. A search without gradients.
        seed: two whole numbers, of what is random.
    """
    calling.check_counts(tries=tries)
    images = calling.as_images(images)
    attack = _compile_noise(logits, images.shape[1:], geometry.name_of(norm), tries, targeted)
    return calling.in_batches(attack, batch_size, images, labels, epsilon, bounds, seed)


def square(
    *,
    logits,
    images,
    labels,
    epsilon,
    bounds,
    queries=1_000,
    targeted=False,
    seed=(0, 0),
    batch_size=500,
) -> tf.Tensor:
    """The Square attack (Andriushchenko et al. 2020), L∞: a search without gradients.

    From vertical stripes of ±ε, it sets a random square of each image to ±ε, each channel by a
    coin, and keeps that where it fools the classifier more. The squares become smaller. What hides
    its gradients cannot hide from it.

    Args:
        queries: squares that are tried, one after the other.
        seed: two whole numbers, of what is random.
    """
    calling.check_counts(queries=queries)
    images = calling.as_images(images)
    attack = _compile_square(logits, images.shape[1:], targeted)
    return calling.in_batches(attack, batch_size, images, labels, epsilon, bounds, seed, queries)


def forget() -> None:
    """Lets go of all compiled attacks, and of the classifiers that they were compiled for."""
    for compiled in (_compile_pgd, _compile_noise, _compile_square):
        compiled.cache_clear()


@functools.lru_cache(maxsize=32)
def _compile_pgd(logits, shape, norm, random_start, restarts, targeted):
    sign = -1.0 if targeted else 1.0

    def uphill(changed, labels):
        with tf.GradientTape() as tape:
            tape.watch(changed)
            # A sum, so that each image has the gradient of its own odds.
            odds = tf.reduce_sum(geometry.log_odds(logits(changed), labels))
        gradient = tape.gradient(odds, changed)
        if gradient is None:  # as where a classifier rounds, or leaves TensorFlow
            warnings.warn(
                "the classifier gives no gradient, so FGSM and PGD have nowhere to go; try square",
                stacklevel=2,
            )
            return tf.zeros_like(changed)
        return sign * geometry.unit(gradient, norm)

    def attack(images, labels, epsilon, low, high, seed, steps, step_size):
        project = geometry.ball(images, epsilon, low, high, norm)

        def attempt(seed):
            changed = images
            if random_start:
                changed = project(geometry.random_point(images, epsilon, norm, seed))
            for _ in tf.range(steps):
                changed = project(changed + step_size * epsilon * uphill(changed, labels))
            return changed

        return _best(attempt, restarts, seed, lambda x: sign * geometry.margin(logits(x), labels))

    return calling.compile_attack(attack, logits, shape, tf.int32, tf.float32)


@functools.lru_cache(maxsize=32)
def _compile_noise(logits, shape, norm, tries, targeted):
    sign = -1.0 if targeted else 1.0

    def attack(images, labels, epsilon, low, high, seed):
        project = geometry.ball(images, epsilon, low, high, norm)

        def attempt(seed):
            normal = tf.random.stateless_normal(tf.shape(images), seed, alg="philox")
            return project(images + epsilon * geometry.unit(normal, norm))

        return _best(attempt, tries, seed, lambda x: sign * geometry.margin(logits(x), labels))

    return calling.compile_attack(attack, logits, shape)


@functools.lru_cache(maxsize=32)
def _compile_square(logits, shape, targeted):
    sign = -1.0 if targeted else 1.0
    height, width, channels = shape

    def attack(images, labels, epsilon, low, high, seed, queries):
        project = geometry.ball(images, epsilon, low, high, "inf")
        n = tf.shape(images)[0]

        def coins(seed, *shape):
            uniform = tf.random.stateless_uniform((n, *shape, channels), seed, alg="philox")
            return epsilon * tf.where(uniform < 0.5, -1.0, 1.0)

        def corner(seed, most):
            """Where each image's square begins, on one axis."""
            place = tf.random.stateless_uniform((n, 1, 1, 1), seed, alg="philox")
            return tf.floor(place * tf.cast(most + 1, tf.float32))

        rows = tf.reshape(tf.range(height, dtype=tf.float32), (1, -1, 1, 1))
        columns = tf.reshape(tf.range(width, dtype=tf.float32), (1, 1, -1, 1))
        changed = project(images + coins(seed, 1, width))
        most = sign * geometry.margin(logits(changed), labels)
        for query in tf.range(queries):
            seeds = tf.random.split(tf.random.experimental.stateless_fold_in(seed, query), 3)
            side = _side(query, queries, height, width)
            top, left = corner(seeds[0], height - side), corner(seeds[1], width - side)
            length = tf.cast(side, tf.float32)
            inside = (rows >= top) & (rows < top + length)
            inside &= (columns >= left) & (columns < left + length)
            change = coins(seeds[2], 1, 1)
            other = project(tf.where(inside, images + change, changed))
            # As theirs, not what is there already.
            same = tf.reduce_all(other == changed, axis=(1, 2, 3), keepdims=True)
            other = tf.where(same, project(tf.where(inside, images - change, changed)), other)
            its = sign * geometry.margin(logits(other), labels)
            changed = tf.where((its > most)[:, None, None, None], other, changed)
            most = tf.maximum(its, most)
        return changed

    return calling.compile_attack(attack, logits, shape, tf.int32)


def _best(attempt, attempts, seed, success):
    """Of several attempts, for each image the one with most success."""
    best = attempt(seed)
    if attempts == 1:
        return best
    most = success(best)
    for number in tf.range(1, attempts):
        other = attempt(tf.random.experimental.stateless_fold_in(seed, number))
        its = success(other)
        best = tf.where((its > most)[:, None, None, None], other, best)
        most = tf.maximum(its, most)
    return best


def _side(query, queries, height, width):
    """Of the square: at first 80 % of the image's area, halved eight times on the way.

    The schedule of Andriushchenko et al. (2020), section 3.2, which is for 10,000 queries.
    """
    halvings = tf.constant([10, 50, 200, 1_000, 2_000, 4_000, 6_000, 8_000], tf.float32)
    now = tf.cast(query, tf.float32) / tf.cast(queries, tf.float32) * 10_000
    area = 0.8 * 0.5 ** tf.reduce_sum(tf.cast(now > halvings, tf.float32))
    side = tf.round(tf.sqrt(area * height * width))
    return tf.clip_by_value(tf.cast(side, tf.int32), 1, min(height, width))
