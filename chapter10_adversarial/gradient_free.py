"""Attacks that need no gradient, called as those of `attacks`, which says what they are given."""

import tensorflow as tf

from chapter10_adversarial import calling


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
    normal = tf.random.stateless_normal(tf.shape(ball.images), seed, alg="philox")
    perturbation = ball.epsilon * ball.unit(normal)
    return ball.project(ball.images + perturbation)


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
    """The Square attack (Andriushchenko et al. 2020), L∞: random search, one square at a time.

    From vertical stripes of ±ε, it sets a random square of each image to ±ε, each channel by a
    coin, and keeps that where it fools the classifier more. The squares become smaller. Gradient
    masking is no defence against it.

    Args:
        queries: squares that are tried, one after the other.
        seed: two whole numbers, of what is random.
    """
    calling.check_counts(queries=queries)
    return calling.run(
        _square,
        tf.cast(queries, tf.int32),
        logits=logits,
        images=images,
        labels=labels,
        epsilon=epsilon,
        bounds=bounds,
        targeted=targeted,
        seed=seed,
        batch_size=batch_size,
    )


def _square(objective, ball, seed, queries):
    _, height, width, channels = ball.images.shape
    n = tf.shape(ball.images)[0]

    def random_signs(seed, rows, columns):
        """±ε, n×rows×columns×channels."""
        uniform = tf.random.stateless_uniform((n, rows, columns, channels), seed, alg="philox")
        return ball.epsilon * tf.where(uniform < 0.5, -1.0, 1.0)

    adversarial = ball.project(ball.images + random_signs(seed, 1, width))  # vertical stripes
    best_margins = objective.margins(adversarial)
    for query in tf.range(queries):
        seeds = tf.random.split(tf.random.experimental.stateless_fold_in(seed, query), 3)
        side = square_side(query, queries, height, width)
        inside = _random_squares(seeds[0], seeds[1], n, side, height, width)
        perturbation = random_signs(seeds[2], 1, 1)
        candidate = ball.project(tf.where(inside, ball.images + perturbation, adversarial))
        # As the authors' code: not what is there already, but then the opposite sign.
        same = tf.reduce_all(candidate == adversarial, axis=(1, 2, 3), keepdims=True)
        opposite = ball.project(tf.where(inside, ball.images - perturbation, adversarial))
        candidate = tf.where(same, opposite, candidate)
        margins = objective.margins(candidate)
        better = (margins > best_margins)[:, None, None, None]
        adversarial = tf.where(better, candidate, adversarial)
        best_margins = tf.maximum(margins, best_margins)
    return adversarial


def _random_squares(seed_of_rows, seed_of_columns, n, side, height, width):
    """Where a random square of each image lies: bool, n×height×width×1."""

    def inside(seed, size):
        """On one axis: bool, n×size."""
        uniform = tf.random.stateless_uniform((n, 1), seed, alg="philox")
        start = tf.floor(uniform * tf.cast(size - side + 1, tf.float32))
        places = tf.range(size, dtype=tf.float32)
        return (places >= start) & (places < start + tf.cast(side, tf.float32))

    rows, columns = inside(seed_of_rows, height), inside(seed_of_columns, width)
    return rows[:, :, None, None] & columns[:, None, :, None]


def square_side(query, queries, height, width):
    """Of the square: at first 80 % of the image's area, halved eight times on the way.

    The schedule of Andriushchenko et al. (2020), section 3.2, which is for 10,000 queries.
    """
    halvings = tf.constant([10, 50, 200, 1_000, 2_000, 4_000, 6_000, 8_000], tf.float32)
    now = tf.cast(query, tf.float32) / tf.cast(queries, tf.float32) * 10_000
    area = 0.8 * 0.5 ** tf.reduce_sum(tf.cast(now > halvings, tf.float32))
    side = tf.round(tf.sqrt(area * height * width))
    return tf.clip_by_value(tf.cast(side, tf.int32), 1, min(height, width))
