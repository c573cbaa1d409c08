"""Attacks on classifiers: images that are changed so little that they should still be recognised.

All are functions of the same things, given by name:

    logits      the classifier: a function of images that gives logits, n×K. Preprocessing belongs
                inside it, so that epsilon has the unit of the images. Give the same function
                object each time: the attack is compiled anew for each that it has not seen.
    images      n×height×width×channels, floats within `bounds`.
    labels      n: the true classes, which the classifier is to miss; with targeted=True the
                classes that it is to see instead.
    epsilon     how far an image may be changed; one number, or one for each image.
    bounds      the lowest and the highest value that an image may have.
    batch_size  so many images at a time; more take more memory.

They give float32 images, n×height×width×channels, that lie within the bounds and within epsilon of
where they began: not up to rounding, but exactly (see `ball`). They raise a ValueError if
epsilon is below 0, if images lie outside the bounds, if there are not as many labels as images, or
if there is no such norm. They may be called inside a `tf.function`, as training does.
"""

import functools
import math

import numpy as np
import tensorflow as tf

NORMS = ("inf", "2")  # how far is the largest change of a value, or the root of all their squares


def fgsm(*, logits, images, labels, epsilon, bounds, targeted=False, batch_size=500) -> tf.Tensor:
    """The fast gradient sign method (Goodfellow et al. 2015, section 4): x + ε · sign(∇ loss).

    A single step up the loss, as long as L∞ allows.
    """
    images = tf.convert_to_tensor(images, tf.float32)
    attack = _compile_pgd(
        logits, images.shape[1:], "inf", random_start=False, restarts=1, targeted=targeted
    )
    return _in_batches(attack, batch_size, images, labels, epsilon, bounds, (0, 0), 1, 1.0)


def pgd(
    *,
    logits,
    images,
    labels,
    epsilon,
    bounds,
    norm="inf",
    steps=40,
    step_size=1 / 30,
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
        steps, step_size: how many steps, each of step_size times epsilon. Those of Madry et al.
            for MNIST, .01 where epsilon is .3, are the default.
        random_start: begin at a random point of the ball rather than at the image.
        restarts: begin so often, and keep for each image what fools the classifier most.
        seed: two whole numbers, of what is random.
    """
    images = tf.convert_to_tensor(images, tf.float32)
    attack = _compile_pgd(logits, images.shape[1:], norm, random_start, restarts, targeted)
    given = (images, labels, epsilon, bounds, seed)
    return _in_batches(attack, batch_size, *given, steps, step_size)


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
            most. As it needs no gradients, such a search shows where these are misleading.
        seed: two whole numbers, of what is random.
    """
    images = tf.convert_to_tensor(images, tf.float32)
    attack = _compile_noise(logits, images.shape[1:], norm, tries, targeted)
    return _in_batches(attack, batch_size, images, labels, epsilon, bounds, seed)


def margin(logits, labels) -> tf.Tensor:
    """By how much the best other class exceeds the class of the label: above 0, and it is missed.

    Args:
        logits: n×K.
        labels: n.

    Returns:
        float32, n.
    """
    logits = tf.cast(logits, tf.float32)
    own = tf.one_hot(labels, tf.shape(logits)[1], on_value=True, off_value=False)
    best_other = tf.reduce_max(tf.where(own, -math.inf, logits), axis=1)
    return best_other - tf.reduce_max(tf.where(own, logits, -math.inf), axis=1)


def ball(images, epsilon, low, high, norm):
    """What keeps changed images within epsilon of the images, and within the bounds low and high.

    Rounding could put a value past epsilon by its last bit; here it goes towards the image.

    Args:
        epsilon: broadcasts with the images.

    Returns:
        A function of changed images, that gives the nearest ones which are allowed.
    """

    def towards(values, exact):
        """float64 as float32; what is further from the images than that, one float nearer."""
        too_far = tf.abs(tf.cast(values, tf.float64) - exact_images) > tf.abs(exact - exact_images)
        return tf.where(too_far, tf.math.nextafter(values, images), values)

    exact_images = tf.cast(images, tf.float64)
    if norm == "inf":
        exact_epsilon = tf.cast(epsilon, tf.float64)
        lowest, highest = exact_images - exact_epsilon, exact_images + exact_epsilon
        low = tf.maximum(low, towards(tf.cast(lowest, tf.float32), lowest))
        high = tf.minimum(high, towards(tf.cast(highest, tf.float32), highest))
        return lambda changed: tf.clip_by_value(changed, low, high)

    def nearest(changed):
        change = changed - images
        # A little less than epsilon, as the product is rounded too.
        change *= tf.minimum(1.0, (1 - 1e-6) * tf.math.divide_no_nan(epsilon, _length(change)))
        moved = images + change
        return tf.clip_by_value(
            towards(moved, exact_images + tf.cast(change, tf.float64)), low, high
        )

    return nearest


@functools.lru_cache(maxsize=32)
def _compile_pgd(logits, shape, norm, random_start, restarts, targeted):
    _check_norm(norm)
    sign = -1.0 if targeted else 1.0

    def uphill(changed, labels):
        with tf.GradientTape() as tape:
            tape.watch(changed)
            seen = tf.cast(logits(changed), tf.float32)
            # A sum, so that each image has the gradient of its own loss.
            loss = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, seen))
        none = tf.UnconnectedGradients.ZERO  # where a classifier rounds, say
        gradient = tape.gradient(loss, changed, unconnected_gradients=none)
        return sign * _unit(gradient, norm)

    @tf.function(
        input_signature=(*_signature(shape), tf.TensorSpec((), tf.int32), tf.TensorSpec(()))
    )
    def attack(images, labels, epsilon, low, high, seed, steps, step_size):
        project = ball(images, epsilon, low, high, norm)

        def attempt(seed):
            changed = images
            if random_start:
                changed = project(_random_point(images, epsilon, norm, seed))
            for _ in tf.range(steps):
                changed = project(changed + step_size * epsilon * uphill(changed, labels))
            return changed

        return _best(attempt, restarts, seed, lambda x: sign * margin(logits(x), labels))

    return attack.get_concrete_function()


@functools.lru_cache(maxsize=32)
def _compile_noise(logits, shape, norm, tries, targeted):
    _check_norm(norm)
    sign = -1.0 if targeted else 1.0

    @tf.function(input_signature=_signature(shape))
    def attack(images, labels, epsilon, low, high, seed):
        project = ball(images, epsilon, low, high, norm)

        def attempt(seed):
            normal = tf.random.stateless_normal(tf.shape(images), seed, alg="philox")
            return project(images + epsilon * _unit(normal, norm))

        return _best(attempt, tries, seed, lambda x: sign * margin(logits(x), labels))

    return attack.get_concrete_function()


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


def _random_point(images, epsilon, norm, seed):
    """Uniform in the ball around each image."""
    shape = tf.shape(images)
    if norm == "inf":
        return images + epsilon * tf.random.stateless_uniform(shape, seed, -1, 1, alg="philox")
    direction = _unit(tf.random.stateless_normal(shape, seed, alg="philox"), norm)
    # Most of a ball of many dimensions is near its surface.
    share = tf.random.stateless_uniform((shape[0], 1, 1, 1), seed, alg="philox")
    dimensions = tf.cast(tf.reduce_prod(shape[1:]), tf.float32)
    return images + epsilon * direction * share ** (1 / dimensions)


def _unit(direction, norm):
    """The longest step that the norm allows, to a length of 1, in a direction; 0 stays 0."""
    if norm == "inf":
        return tf.sign(direction)
    return tf.math.divide_no_nan(direction, _length(direction))


def _length(change):
    squares = tf.reduce_sum(tf.square(tf.cast(change, tf.float64)), axis=(1, 2, 3), keepdims=True)
    return tf.cast(tf.sqrt(squares), tf.float32)


def _signature(shape):
    """What all attacks take: any number of images of this shape, labels, and so on."""
    bound = tf.TensorSpec(())
    return (
        tf.TensorSpec((None, *shape)),
        tf.TensorSpec((None,), tf.int32),
        tf.TensorSpec((None, 1, 1, 1)),
        bound,
        bound,
        tf.TensorSpec((2,), tf.int32),
    )


def _in_batches(attack, batch_size, images, labels, epsilon, bounds, seed, *settings):
    """Checks what an attack is given, and calls it for so many images at a time."""
    low, high = (tf.constant(bound, tf.float32) for bound in bounds)
    labels = tf.cast(labels, tf.int32)
    epsilon = tf.reshape(_as_float32(epsilon), (-1, 1, 1, 1))
    seed = tf.cast(seed, tf.int32)
    if tf.executing_eagerly():  # otherwise their values are not known yet
        if len(labels) != len(images):
            raise ValueError(f"{len(images)} images but {len(labels)} labels")
        if not tf.reduce_all((images >= low) & (images <= high)):  # NaN is not either
            raise ValueError(f"images lie outside the bounds, {bounds[0]} to {bounds[1]}")
    n = images.shape[0]
    if n is None or n <= batch_size:
        return attack(images, labels, epsilon, low, high, seed, *settings)
    epsilon = tf.broadcast_to(epsilon, (n, 1, 1, 1))
    parts = []
    for number, start in enumerate(range(0, n, batch_size)):
        part = slice(start, start + batch_size)
        own_seed = tf.random.experimental.stateless_fold_in(seed, number)
        given = (images[part], labels[part], epsilon[part], low, high, own_seed)
        parts.append(attack(*given, *settings))
    return tf.concat(parts, axis=0)


def _check_norm(norm):
    if norm not in NORMS:
        raise ValueError(f"norm {norm!r} is not one of {', '.join(NORMS)}")


def _as_float32(epsilon):
    """Epsilon as a tensor; where float32 has no such number, the next smaller one."""
    if tf.is_tensor(epsilon):
        return tf.cast(epsilon, tf.float32)
    exact = np.asarray(epsilon, np.float64)
    rounded = exact.astype(np.float32)
    if not np.all(exact >= 0):  # nor is NaN
        raise ValueError(f"epsilon {np.min(exact)} is below 0")
    return tf.constant(np.where(rounded > exact, np.nextafter(rounded, np.float32(0)), rounded))
