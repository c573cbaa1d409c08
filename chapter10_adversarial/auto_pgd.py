"""Auto-PGD (Croce & Hein 2020), called as the attacks of `attacks`, which says what they are given.

PGD has a step size that somebody has to choose, and with a poor one it finds less. Auto-PGD begins
with steps of twice epsilon and halves them, image by image, where they no longer lead upwards.
"""

import tensorflow as tf

from chapter10_adversarial import calling
from chapter10_adversarial.objective import (
    dlr,
    dlr_towards,
    keep_better,
    likeliest_others,
    log_odds,
)

LOSSES = {"log_odds": log_odds, "dlr": dlr}
CLASSES_NEEDED = {"log_odds": 2, "dlr": 3}

# Croce & Hein 2020, section 3.1.
SHARE_OF_STEP = 0.75  # "alpha"; the rest is momentum
# "rho": if no more than this share of the steps led upwards, steps are halved. (The paper has
# fewer than this share; this is the authors' code.)
SHARE_THAT_IMPROVES = 0.75


def apgd(
    *,
    logits,
    images,
    labels,
    epsilon,
    bounds,
    norm="inf",
    loss="log_odds",
    steps=100,
    restarts=1,
    targeted=False,
    seed=(0, 0),
    batch_size=500,
) -> tf.Tensor:
    """Auto-PGD: uphill with momentum, by steps that become smaller where they no longer help.

    Args:
        norm: "inf" or "2".
        loss: what is ascended: "log_odds", which rise and fall with the paper's cross-entropy; or
            "dlr", the difference of logits ratio, which needs three classes and is untargeted.
        steps: how many.
        restarts: begin so often, and keep for each image what fools the classifier most.
        seed: two whole numbers, of what is random.
    """
    if loss not in LOSSES:
        raise ValueError(f"loss {loss!r} is not 'log_odds' or 'dlr'")
    if loss == "dlr" and targeted:  # its gradient is 0 where the target is third
        raise ValueError("loss 'dlr' is for untargeted attacks; give loss='log_odds'")
    calling.check_counts(steps=steps, restarts=restarts)
    return calling.run(
        _apgd,
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
        least_classes=CLASSES_NEEDED[loss],
        loss=loss,
        steps=steps,
    )


def apgd_t(
    *,
    logits,
    images,
    labels,
    epsilon,
    bounds,
    norm="inf",
    classes=9,
    steps=100,
    seed=(0, 0),
    batch_size=500,
) -> tf.Tensor:
    """APGD-T: Auto-PGD towards each of the likeliest wrong classes in turn; the best counts.

    It is after any wrong class, as untargeted attacks are, so `labels` are the true ones. It takes
    `classes` times as long as `apgd`, and needs a classifier of at least four classes.

    Args:
        norm: "inf" or "2".
        classes: how many wrong classes; at most as many as there are.
        steps: towards each of them.
        seed: two whole numbers, of what is random.
    """
    calling.check_counts(classes=classes, steps=steps)
    return calling.run(
        _apgd_t,
        logits=logits,
        images=images,
        labels=labels,
        epsilon=epsilon,
        bounds=bounds,
        norm=norm,
        targeted=False,
        seed=seed,
        batch_size=batch_size,
        least_classes=4,
        classes=classes,
        steps=steps,
    )


def _apgd(objective, ball, seed, loss, steps):
    return _climb(objective, ball, seed, LOSSES[loss], steps)


def _apgd_t(objective, ball, seed, classes, steps):
    logits = objective.logits(ball.images)
    targets = likeliest_others(logits, objective.labels, min(classes, logits.shape[1] - 1))
    best, best_margins = ball.images, objective.margins(ball.images)
    for number in tf.range(tf.shape(targets)[1]):
        loss = dlr_towards(targets[:, number])
        seed_of_target = tf.random.experimental.stateless_fold_in(seed, number)
        adversarial = _climb(objective, ball, seed_of_target, loss, steps)
        margins = objective.margins(adversarial)
        best, best_margins = keep_better(adversarial, margins, best, best_margins)
    return best


def _climb(objective, ball, seed, loss, steps):
    """Algorithm 1 of the paper. Gives, of the images on the way, those with the largest margin."""
    halving = checkpoints(steps)
    at_checkpoint = tf.constant([step in halving for step in range(1, steps + 1)])
    images = ball.project(ball.random_point(seed))
    losses, margins, gradient = objective.evaluate(images, loss)
    former = images
    step_size = 2 * ball.epsilon * tf.ones_like(images[:, :1, :1, :1])
    # The highest place so far, where the next smaller steps begin.
    highest, highest_loss, highest_gradient = images, losses, gradient
    # The image that fools the classifier most; its loss need not be the largest.
    best, best_margins = images, margins
    # Since the last checkpoint:
    steps_taken = 0.0
    steps_up = tf.zeros_like(losses)
    highest_loss_then = losses
    halved_then = tf.ones_like(losses, tf.bool)

    for step in tf.range(steps):
        ahead = ball.project(images + step_size * ball.unit(gradient))
        share = tf.where(step == 0, 1.0, SHARE_OF_STEP)
        momentum = share * (ahead - images) + (1 - share) * (images - former)
        former, images = images, ball.project(images + momentum)
        former_losses = losses
        losses, margins, gradient = objective.evaluate(images, loss)

        best, best_margins = keep_better(images, margins, best, best_margins)
        higher = losses > highest_loss
        highest = _where(higher, images, highest)
        highest_gradient = _where(higher, gradient, highest_gradient)
        highest_loss = tf.where(higher, losses, highest_loss)
        steps_taken += 1.0
        steps_up += tf.cast(losses > former_losses, tf.float32)

        if at_checkpoint[step]:
            # Up and down rather than uphill; or nothing gained since, with the same step size.
            halve = steps_up <= SHARE_THAT_IMPROVES * steps_taken
            halve |= ~halved_then & (highest_loss <= highest_loss_then)
            step_size = _where(halve, step_size / 2, step_size)
            images = _where(halve, highest, images)
            gradient = _where(halve, highest_gradient, gradient)
            steps_taken, steps_up = 0.0, tf.zeros_like(steps_up)
            highest_loss_then, halved_then = highest_loss, halve
    return best


def checkpoints(steps: int) -> set[int]:
    """After how many steps the step size is reconsidered: at first 22 % of all, then ever sooner.

    Croce & Hein 2020, section 3.1, with the rounding of their code.
    """
    period, shorter, shortest = (max(int(share * steps), 1) for share in (0.22, 0.03, 0.06))
    found, at = set(), period
    while at <= steps:
        found.add(at)
        period = max(period - shorter, shortest)
        at += period
    return found


def _where(condition, images, others):
    """Images where the condition, n, holds, and else the others."""
    return tf.where(condition[:, None, None, None], images, others)
