"""How attacks are called: checked, compiled, repeated, and on so many images at a time."""

import functools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from chapter10_adversarial import geometry
from chapter10_adversarial.objective import Objective, in_inference_mode, keep_better
from common import distribution

CACHE_SIZE = 100


def run(
    algorithm,
    *settings,
    logits,
    images,
    labels,
    epsilon,
    bounds,
    targeted,
    batch_size,
    norm="inf",
    seed=(0, 0),
    attempts=1,
    least_classes=2,
    **constants,
) -> tf.Tensor:
    """Checks what an attack is given, and runs its algorithm on so many images at a time.

    Args:
        algorithm: a function of an `objective.Objective`, a ball of `geometry`, a seed, settings
            and constants, that gives images, n×height×width×channels. It is compiled.
        settings: tensors; a new value needs no new compilation.
        logits, images, labels, epsilon, bounds, targeted, batch_size: see `attacks`.
        norm: of the ball.
        attempts: so often the algorithm is run, each time with a seed of its own. Of each image the
            attempt is kept that fools the classifier most.
        least_classes: so many the classifier must have.
        constants: values of which each needs a compilation.

    Raises:
        ValueError: see `attacks`.
    """
    images = _as_images(images)
    ball: Any = geometry.ball_of(norm)
    dtypes = tuple(setting.dtype for setting in settings)
    if distribution.replicas() == 1:
        attack, classes = _compile(
            algorithm,
            logits,
            images.shape[1:],
            ball,
            targeted,
            attempts,
            least_classes,
            dtypes,
            **constants,
        )
    else:  # a part of the training step, which is compiled: what is compiled here is one replica's
        attack = _attack(algorithm, logits, ball, targeted, attempts, **constants)
        classes = _count_classes(logits, images.shape[1:], least_classes)
    check_counts(batch_size=batch_size)
    labels = tf.convert_to_tensor(labels)
    if not labels.dtype.is_integer or labels.shape.rank != 1:
        raise ValueError(f"labels must be n whole numbers, not {labels.dtype.name} {labels.shape}")
    labels = tf.cast(labels, tf.int32)
    # To the nearest float32, as the images: what lies on a bound stays there.
    low, high = (tf.cast(bound, tf.float32) for bound in bounds)
    epsilon = tf.reshape(_round_down(epsilon), (-1, 1, 1, 1))
    seed = tf.cast(seed, tf.int32)
    n = images.shape[0]
    if tf.executing_eagerly():  # inside a tf.function the values are not known yet
        _check_logits(logits, images.shape[1:])
        _check_values(images, labels, epsilon, low, high, seed, classes)
    if n is None or n <= batch_size:
        return attack(images, labels, epsilon, low, high, seed, *settings)
    epsilon = tf.broadcast_to(epsilon, (n, 1, 1, 1))
    found = [
        attack(images[part], labels[part], epsilon[part], low, high, part_seed, *settings)
        for part, part_seed in parts(n, batch_size, seed)
    ]
    return tf.concat(found, axis=0)


def parts(n: int, batch_size: int, seed) -> Iterator[tuple[slice, Any]]:
    """So many of n images at a time: which, and a seed for them; all at once have `seed` itself."""
    if n <= batch_size:
        yield slice(0, n), seed
        return
    for number, start in enumerate(range(0, n, batch_size)):
        part_seed = tf.random.experimental.stateless_fold_in(seed, number)
        yield slice(start, start + batch_size), part_seed


def check_step_size(step_size) -> None:
    """Raises a ValueError for what is no number above 0."""
    if tf.is_tensor(step_size) and not tf.executing_eagerly():
        return  # inside a tf.function its value is not known yet
    if not 0 < step_size < math.inf:
        raise ValueError(f"step_size {step_size} is not a number above 0")


def check_counts(**counts):
    """Raises a ValueError for what is less than 1."""
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} {count} is less than 1")


def forget() -> None:
    """Empties the LRU cache of compiled attacks, which keeps their classifiers in memory."""
    _compile.cache_clear()
    _check_logits.cache_clear()


def _attack(algorithm, logits, ball, targeted, attempts, **constants):
    def attack(images, labels, epsilon, low, high, seed, *settings):
        objective = Objective(logits, labels, targeted)
        allowed = ball(images, epsilon, low, high)

        def attempt(seed):
            return algorithm(objective, allowed, seed, *settings, **constants)

        return _best_of(attempts, attempt, seed, objective)

    return attack


@functools.lru_cache(maxsize=CACHE_SIZE)
def _compile(
    algorithm, logits, shape, ball, targeted, attempts, least_classes, dtypes, **constants
):
    """The attack on any number of images of this shape; and how many classes the classifier has."""
    classes = _count_classes(logits, shape, least_classes)
    attack = _attack(algorithm, logits, ball, targeted, attempts, **constants)
    bound = tf.TensorSpec(())
    signature = [
        tf.TensorSpec((None, *shape)),
        tf.TensorSpec((None,), tf.int32),
        tf.TensorSpec((None, 1, 1, 1)),
        bound,
        bound,
        tf.TensorSpec((2,), tf.int32),
        *(tf.TensorSpec((), dtype) for dtype in dtypes),
    ]
    compiled = tf.function(attack, input_signature=signature)
    return compiled.get_concrete_function(), classes


def _best_of(attempts, attempt, seed, objective):
    """Of several attempts, for each image the one with the largest margin."""
    best = attempt(seed)
    if attempts == 1:
        return best
    best_margins = objective.margins(best)
    for number in tf.range(1, attempts):
        adversarial = attempt(tf.random.experimental.stateless_fold_in(seed, number))
        margins = objective.margins(adversarial)
        best, best_margins = keep_better(adversarial, margins, best, best_margins)
    return best


def _count_classes(logits, shape, least):
    """How many classes the classifier has; a ValueError if it does not give logits, n×K."""
    output = tf.convert_to_tensor(in_inference_mode(logits)(tf.zeros((1, *shape))))
    classes = output.shape
    if len(classes) != 2 or classes[1] < least:
        raise ValueError(
            f"the classifier gives {classes} for one image, not 1×K, K at least {least}"
        )
    return classes[1]


@functools.lru_cache(maxsize=CACHE_SIZE)
def _check_logits(logits, shape):
    """A ValueError if the classifier gives what softmax or sigmoids give.

    It is shown noise that is far from any image: logits are then hardly all from 0 to 1.
    """
    noise = 100 * tf.random.stateless_normal((4, *shape), (0, 0), alg="philox")
    outputs = tf.cast(in_inference_mode(logits)(noise), tf.float32)
    if not tf.reduce_all((outputs >= 0) & (outputs <= 1)) or tf.reduce_all(outputs == 0):
        return
    kind, function = "numbers from 0 to 1", "sigmoid"
    if tf.reduce_all(tf.abs(tf.reduce_sum(outputs, axis=1) - 1) < 0.02):
        kind, function = "probabilities", "softmax"
    forget()  # the attack is compiled by now, with the activation that the caller is told to change
    raise ValueError(
        f"the classifier gives {kind}, not logits: leave out its {function}. If that is the last "
        "layer's activation: model.layers[-1].activation = keras.activations.linear; if it is a "
        "layer of its own: keras.Model(model.inputs, model.layers[-2].output)"
    )


def _check_values(images, labels, epsilon, low, high, seed, classes):
    n = len(images)
    if len(labels) != n:
        raise ValueError(f"{n} images but {len(labels)} labels")
    if n and not 0 <= tf.reduce_min(labels) <= tf.reduce_max(labels) < classes:
        raise ValueError(f"labels must be 0 to {classes - 1}: the classifier has {classes} classes")
    if not tf.reduce_all((epsilon >= 0) & tf.math.is_finite(epsilon)):
        raise ValueError("epsilon must be a number of at least 0")
    if len(epsilon) not in (1, n):
        raise ValueError(f"{n} images but {len(epsilon)} epsilons")
    if not tf.reduce_all((images >= low) & (images <= high)):  # NaN is not either
        raise ValueError(f"images lie outside the bounds, {low:g} to {high:g}")
    if seed.shape != (2,):
        raise ValueError("seed must be two whole numbers")


def _as_images(images):
    """Images of any type as a float32 tensor; a ValueError if they are no n×h×w×c."""
    images = tf.cast(tf.convert_to_tensor(images), tf.float32)
    if images.shape.rank != 4:
        raise ValueError(f"images must be n×height×width×channels, not {images.shape}")
    return images


def _round_down(number):
    """As float32, or where that would be more, the next smaller one: epsilon never grows."""
    if tf.is_tensor(number) and not tf.executing_eagerly():
        nearest = tf.cast(number, tf.float32)
        if number.dtype == tf.float32:
            return nearest
        too_large = tf.cast(nearest, tf.float64) > tf.cast(number, tf.float64)
        return tf.where(too_large, tf.math.nextafter(nearest, -math.inf), nearest)
    exact = np.asarray(number, np.float64)
    rounded = exact.astype(np.float32)
    smaller = np.nextafter(rounded, np.float32(-math.inf))
    return tf.constant(np.where(rounded > exact, smaller, rounded))
