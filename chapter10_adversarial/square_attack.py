"""The Square attack, which needs no gradient, called as the attacks of `attacks`.

Andriushchenko et al. 2020: random search, one square at a time. A change is kept where it fools the
classifier more, and the squares become smaller. Gradient masking is no defence against it.
"""

import tensorflow as tf

from chapter10_adversarial import calling, geometry
from chapter10_adversarial.objective import keep_better


def square(
    *,
    logits,
    images,
    labels,
    epsilon,
    bounds,
    norm="inf",
    queries=1_000,
    targeted=False,
    seed=(0, 0),
    batch_size=500,
) -> tf.Tensor:
    """The Square attack: changes a random square of the image, and keeps what fools more.

    Args:
        norm: "inf", where a square is set to ±ε; or "2", where the change of one square is taken
            away, and that of another becomes larger for it. With L2, attacks that follow gradients
            may find much less than this one: they hardly move pixels whose gradient is small.
        queries: squares that are tried, one after the other.
        seed: two whole numbers, of what is random.
    """
    calling.check_counts(queries=queries)
    return calling.run(
        _square_l2 if geometry.ball_of(norm) is geometry.L2Ball else _square_linf,
        tf.cast(queries, tf.int32),
        logits=logits,
        images=images,
        labels=labels,
        epsilon=epsilon,
        bounds=bounds,
        norm=norm,
        targeted=targeted,
        seed=seed,
        batch_size=batch_size,
    )


def _square_linf(objective, ball, seed, queries):
    """From vertical stripes of ±ε; each query sets a square to ±ε, each channel by a coin."""
    _, height, width, channels = ball.images.shape
    n = tf.shape(ball.images)[0]

    def random_signs(seed, rows, columns):
        """±ε, n×rows×columns×channels."""
        return ball.epsilon * _random_signs(seed, (n, rows, columns, channels))

    adversarial = ball.project(ball.images + random_signs(seed, 1, width))  # vertical stripes
    best_margins = objective.margins(adversarial)
    for query in tf.range(queries):
        seeds = tf.random.split(tf.random.experimental.stateless_fold_in(seed, query), 3)
        side = square_side(query, queries, height, width)
        rows = _random_places(seeds[0], n, side, height)
        columns = _random_places(seeds[1], n, side, width)
        inside = (_within(rows, side)[:, :, None] & _within(columns, side)[:, None])[..., None]
        perturbation = random_signs(seeds[2], 1, 1)
        candidate = ball.project(tf.where(inside, ball.images + perturbation, adversarial))
        # If the square has these values already, the opposite ones (the authors draw again).
        same = tf.reduce_all(candidate == adversarial, axis=(1, 2, 3), keepdims=True)
        opposite = ball.project(tf.where(inside, ball.images - perturbation, adversarial))
        candidate = tf.where(same, opposite, candidate)
        margins = objective.margins(candidate)
        adversarial, best_margins = keep_better(candidate, margins, adversarial, best_margins)
    return adversarial


def _square_l2(objective, ball, seed, queries):
    """Each query takes the change away from one square, and makes more of it in another.

    Algorithm 3 of the paper.
    """
    _, height, width, channels = ball.images.shape
    n = tf.shape(ball.images)[0]

    adversarial = ball.project(ball.images + ball.epsilon * ball.unit(_tiles(ball.images, seed)))
    best_margins = objective.margins(adversarial)
    for query in tf.range(queries):
        seeds = tf.random.split(tf.random.experimental.stateless_fold_in(seed, query), 6)
        side = tf.maximum(square_side(query, queries, height, width), 3)
        side = tf.minimum(side + 1 - side % 2, min(height, width))  # odd, as in the authors' code
        rows = _random_places(seeds[0], n, side, height)
        columns = _random_places(seeds[1], n, side, width)
        other_rows = _random_places(seeds[2], n, side, height)
        other_columns = _random_places(seeds[3], n, side, width)
        more = _within(rows, side)[:, :, None, None] & _within(columns, side)[:, None, :, None]
        less = _within(other_rows, side)[:, :, None, None]
        less &= _within(other_columns, side)[:, None, :, None]

        change = adversarial - ball.images
        there = tf.where(more, change, 0.0)
        bumps = _bumps(rows, columns, side, seeds[4]) * _random_signs(seeds[5], (n, 1, 1, channels))
        new = tf.math.divide_no_nan(there, _length(there)) + bumps
        # So long that the whole change is as long as epsilon, at most.
        unused = tf.maximum(ball.epsilon**2 - _length(change, axis=(1, 2, 3)) ** 2, 0.0)
        budget = _length(tf.where(more | less, change, 0.0)) ** 2 + unused / channels
        new = tf.sqrt(budget) * tf.math.divide_no_nan(new, _length(new))
        change = tf.where(more, new, tf.where(less, 0.0, change))

        candidate = ball.project(ball.images + ball.epsilon * ball.unit(change))
        margins = objective.margins(candidate)
        adversarial, best_margins = keep_better(candidate, margins, adversarial, best_margins)
    return adversarial


def _tiles(images, seed):
    """What L2 begins with: square tiles of bumps, a fifth of an image wide; shape of the images.

    A sign is drawn for each tile and channel, and for each image whether bumps lie above dents or
    beside them.
    """
    _, height, width, channels = images.shape
    n = tf.shape(images)[0]
    side = max(min(height, width) // 5, 1)
    seeds = tf.random.split(seed, 2)
    signs = _random_signs(seeds[0], (n, height // side, width // side, channels))
    signs = tf.repeat(tf.repeat(signs, side, axis=1), side, axis=2)
    signs = tf.image.resize_with_crop_or_pad(signs, height, width)  # 0 beside the tiles
    rows, columns = (
        tf.tile((tf.range(size)[None] - size % side // 2) % side, (n, 1))
        for size in (height, width)
    )
    return signs * _bumps(rows, columns, side, seeds[1])


def _bumps(rows, columns, side, seed):
    """A bump and a dent beside each other, by a coin of one above the other or left of it.

    Each is a sum of nested squares, the k-th of height 1/k²: section 3.3 of the paper.

    Args:
        rows, columns: where each pixel lies in a square, n×height and n×width, from 0 on; what lies
            outside has other numbers.
        side: of the square.

    Returns:
        n×height×width×1, of L2 length 1 in each channel; 0 outside.
    """
    inside = (_within(rows, side)[:, :, None] & _within(columns, side)[:, None])[..., None]
    rows, columns = rows[:, :, None, None], columns[:, None, :, None]
    coin = tf.random.stateless_uniform((tf.shape(rows)[0], 1, 1, 1), seed, alg="philox") < 0.5
    along, across = tf.where(coin, rows, columns), tf.where(coin, columns, rows)
    half = side // 2
    is_bump = along < half
    middle = tf.where(is_bump, half // 2, half + (side - half) // 2)
    distance = tf.maximum(tf.abs(along - middle), tf.abs(across - half))
    squares = tf.cumsum(1 / tf.cast(tf.range(half, -1, -1) + 1, tf.float32) ** 2)
    heights = tf.gather(squares, tf.clip_by_value(half - distance, 0, half))
    bump = tf.where(inside & is_bump, heights, 0.0)
    dent = tf.where(inside & ~is_bump, heights, 0.0)
    both = tf.math.divide_no_nan(bump, _length(bump)) - tf.math.divide_no_nan(dent, _length(dent))
    return tf.math.divide_no_nan(both, _length(both))


def _random_signs(seed, shape):
    """1 and -1, float32."""
    uniform = tf.random.stateless_uniform(shape, seed, alg="philox")
    return tf.where(uniform < 0.5, -1.0, 1.0)


def _random_places(seed, n, side, size):
    """Where an axis' pixels lie in a square, placed at random: n×size; in it 0 to side - 1."""
    uniform = tf.random.stateless_uniform((n, 1), seed, alg="philox")
    start = tf.floor(uniform * tf.cast(size - side + 1, tf.float32))
    return tf.range(size) - tf.cast(start, tf.int32)


def _within(places, side):
    return (places >= 0) & (places < side)


def _length(change, axis=(1, 2)):
    """L2, of each image's channels, or with axis (1, 2, 3) of each image; keeps the dimensions."""
    return tf.sqrt(tf.reduce_sum(tf.square(change), axis=axis, keepdims=True))


def square_side(query, queries, height, width):
    """Of the square: at first 80 % of the image's area, halved eight times on the way.

    The schedule of Andriushchenko et al. (2020), section 3.2, which is for 10,000 queries; for
    another number it is stretched, as in their code. (That halves once more, after 500 of 10,000.)
    """
    halvings = tf.constant([10, 50, 200, 1_000, 2_000, 4_000, 6_000, 8_000], tf.float32)
    now = tf.cast(query, tf.float32) / tf.cast(queries, tf.float32) * 10_000
    area = 0.8 * 0.5 ** tf.reduce_sum(tf.cast(now > halvings, tf.float32))
    side = tf.round(tf.sqrt(area * height * width))
    return tf.clip_by_value(tf.cast(side, tf.int32), 1, min(height, width))
