"""Chapter 10: attacks, adversarial training, and what a run leaves."""

import csv
import json
import math
import sys

import imageio.v3 as imageio
import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import REPOSITORY, check_resumed, error_of, kept_as_killed, needs_16_bits

from chapter10_adversarial import (
    attacks,
    auto_pgd,
    checks,
    evaluation,
    geometry,
    networks,
    objective,
    report,
    square_attack,
    train,
)
from chapter10_adversarial import training as training_module
from chapter10_adversarial.training import AdversarialTraining, Training
from common import data, device, optimizers
from common.training import TrainingRun

SHAPE = (6, 5, 2)


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(size=(8, *SHAPE)).astype(np.float32)


@pytest.fixture
def labels():
    return np.arange(8) % 3


def build_network():
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Conv2D(4, 3, activation="tanh"),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )


@pytest.fixture(scope="module")
def network():
    """For tests that leave it as it is: attacks are compiled anew for each network."""
    device.setup(seed=0)
    return build_network()


@pytest.fixture
def own_network():
    return build_network()


@pytest.fixture
def linear():
    """Two classes; the second's logit is a weighted sum, the first's is 0."""
    weights = np.random.default_rng(1).normal(size=(math.prod(SHAPE), 1)).astype(np.float32)

    def logits(images):
        score = tf.reshape(images, (-1, len(weights))) @ weights
        return tf.concat([tf.zeros_like(score), score], axis=1)

    return logits, weights.reshape(SHAPE)


def length(change):
    return np.sqrt(np.sum(np.square(change.astype(np.float64)), axis=(1, 2, 3)))


def cross_entropies(logits, labels):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def ratios(logits, labels):
    """The difference of logits ratio, for images with the right label or another."""
    label = tf.one_hot(labels, logits.shape[1])
    others = tf.reduce_max(logits - 1e9 * label, axis=1)
    ordered = tf.sort(logits, direction="DESCENDING")
    return (others - tf.reduce_sum(label * logits, axis=1)) / (ordered[:, 0] - ordered[:, 2])


def loss_gradient(network, images, labels, loss=cross_entropies):
    with tf.GradientTape() as tape:
        x = tf.constant(images)
        tape.watch(x)
        losses = loss(network(x), labels)
    return tape.gradient(losses, x).numpy()


def test_fgsm_is_one_step_along_the_sign_of_the_gradient(network, images, labels):
    changed = attacks.fgsm(
        logits=network, images=images, labels=labels, epsilon=0.1, bounds=(-9, 9)
    )
    expected = images + 0.1 * np.sign(loss_gradient(network, images, labels))
    assert np.allclose(changed, expected, atol=1e-6)
    towards = attacks.fgsm(
        logits=network, images=images, labels=labels, epsilon=0.1, bounds=(-9, 9), targeted=True
    )
    assert np.allclose(towards, 2 * images - expected, atol=1e-6)


def test_pgd_equals_its_definition_in_numpy(network, images, labels):
    settings = {"logits": network, "images": images, "labels": labels, "random_start": False}
    for norm in ("inf", "2"):
        changed = attacks.pgd(
            **settings, epsilon=0.3, bounds=(0, 1), norm=norm, steps=7, step_size=0.4
        )
        x = images
        for _ in range(7):
            direction = loss_gradient(network, x, labels)
            if norm == "inf":
                x = np.clip(x + 0.12 * np.sign(direction), images - 0.3, images + 0.3)
            else:
                direction /= length(direction)[:, None, None, None]
                change = x + 0.12 * direction - images
                x = images + change * np.minimum(1, 0.3 / length(change))[:, None, None, None]
            x = np.clip(x, 0, 1).astype(np.float32)
        assert np.allclose(changed, x, atol=1e-5)


def test_pgd_finds_the_best_attack_on_a_linear_classifier(linear, images):
    logits, weights = linear
    settings = {"logits": logits, "images": images, "labels": np.ones(8, int), "bounds": (-9, 9)}
    changed = attacks.pgd(**settings, epsilon=0.2, step_size=0.1)  # long enough from any start
    assert np.allclose(changed, images - 0.2 * np.sign(weights), atol=1e-6)
    changed = attacks.pgd(**settings, epsilon=0.2, norm="2", steps=400, step_size=0.03)
    best = images - 0.2 * weights / np.linalg.norm(weights)
    assert np.allclose(changed, best, atol=2e-3)
    assert np.allclose(length(changed.numpy() - images), 0.2, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "loss", "ascended"),
    [("log_odds", objective.log_odds, cross_entropies), ("dlr", ratios, ratios)],
)
def test_apgd_equals_algorithm_1_in_numpy(
    name, loss, ascended, network, images, labels, monkeypatch
):
    """With its steps halved, and its momentum. What it gives is not its last image but its best."""

    def at_the_image(self, seed):
        return self.images

    monkeypatch.setattr(geometry.LinfBall, "random_point", at_the_image)
    given = {"logits": network, "images": images, "labels": labels, "epsilon": 0.3, "steps": 10}
    changed = attacks.apgd(**given, bounds=(0, 1), loss=name)

    def losses_of(x):
        return loss(network(x), labels).numpy()

    def project(x):
        return np.clip(np.clip(x, images - 0.3, images + 0.3), 0, 1)

    x, former, losses = images, images, losses_of(images)
    highest, highest_losses = images, losses
    best, best_margins = images, objective.margin(network(images), labels).numpy()
    step = np.full((8, 1, 1, 1), 0.6)
    up, then, halved, since = np.zeros(8), losses, np.ones(8, bool), 0
    ways = set()
    for k in range(10):
        gradient = loss_gradient(network, x.astype(np.float32), labels, ascended)
        ahead = project(x + step * np.sign(gradient))
        alpha = 0.75 if k else 1
        x, former = project(x + alpha * (ahead - x) + (1 - alpha) * (x - former)), x
        losses, before = losses_of(x), losses
        up, since = up + (losses > before), since + 1
        better = losses > highest_losses
        highest = np.where(better[:, None, None, None], x, highest)
        highest_losses = np.maximum(losses, highest_losses)
        margins = objective.margin(network(x), labels).numpy()
        best = np.where((margins > best_margins)[:, None, None, None], x, best)
        best_margins = np.maximum(margins, best_margins)
        if k > 0:  # int(0.22 * 10) is 2, then 1 each
            halve = (up <= 0.75 * since) | (~halved & (highest_losses == then))
            ways |= set(halve)
            step = np.where(halve[:, None, None, None], step / 2, step)
            x = np.where(halve[:, None, None, None], highest, x)
            up, since, then, halved = np.zeros(8), 0, highest_losses, halve
    assert ways == {False, True}
    assert np.allclose(changed, best, atol=1e-5)


def test_apgd_reconsiders_its_steps_at_the_papers_checkpoints():
    assert sorted(auto_pgd.checkpoints(100)) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert sorted(auto_pgd.checkpoints(3)) == [1, 2, 3]


def test_apgd_t_finds_the_class_that_is_in_reach(images):
    """Of a linear classifier, whose margins can be reckoned."""
    weights = np.random.default_rng(3).normal(size=(math.prod(SHAPE), 5)).astype(np.float32)
    weights[:, 4] = 0
    bias = np.float32([0, 0, 0, 0, 3])  # the likeliest wrong class is one that no image moves

    def logits(images):
        return tf.reshape(images, (-1, len(weights))) @ weights + bias

    before = logits(images).numpy()
    labels = before.argmax(axis=1)
    given = {"logits": logits, "images": images, "labels": labels, "epsilon": 0.08}
    changed = attacks.apgd_t(**given, bounds=(-9, 9), steps=50)
    # By how much each class exceeds the label at best.
    differences = weights.T[None] - weights.T[labels][:, None]  # n×classes×pixels
    reached = before - before.max(axis=1)[:, None] + 0.08 * np.abs(differences).sum(axis=2)
    reached[np.arange(8), labels] = -np.inf
    best = reached.max(axis=1)
    assert 0 < np.sum(best > 0) < 8
    margins = objective.margin(logits(changed), labels).numpy()
    assert np.array_equal(margins > 0, best > 0) and np.all(margins < best + 1e-4)
    likeliest = attacks.apgd_t(**given, bounds=(-9, 9), steps=50, classes=1)
    assert np.sum(objective.margin(logits(likeliest), labels) > 0) < np.sum(best > 0)


def test_apgd_finds_the_best_attack_on_a_linear_classifier(linear, images):
    """In both norms, towards a target too, with an epsilon for each image and a last batch of 1."""
    logits, weights = linear
    images, epsilons = images[:4], np.linspace(0.05, 0.2, 4)
    given = {"logits": logits, "images": images, "epsilon": epsilons, "bounds": (-9, 9)}
    given |= {"batch_size": 3}
    scale = epsilons.reshape(4, 1, 1, 1)
    for label, targeted in ((1, False), (0, True)):
        labels = np.full(4, label)
        changed = attacks.apgd(**given, labels=labels, targeted=targeted, steps=30)
        assert np.allclose(changed, images - scale * np.sign(weights), atol=1e-6)
        changed = attacks.apgd(**given, labels=labels, targeted=targeted, norm="2", restarts=2)
        best = images - scale * weights / np.linalg.norm(weights)
        assert np.allclose(changed, best, atol=5e-3)


def test_a_start_that_is_no_number_does_not_keep_an_attack_from_what_it_finds():
    """As where the logits of a random start overflow."""

    def logits(images):
        score = tf.reduce_mean(images, axis=(1, 2, 3))[:, None]
        return tf.where(score < 0.499, np.nan, tf.concat([score - 0.5, 0.5 - score], axis=1))

    images = np.full((1, *SHAPE), 0.5, np.float32)
    for seed in range(4):
        changed = attacks.pgd(
            logits=logits, images=images, labels=[1], epsilon=0.1, bounds=(0, 1), steps=2,
            restarts=20, seed=(seed, 0), random_start=True, step_size=0.01,
        )  # fmt: skip
        assert np.isfinite(logits(changed.numpy()))[0, 0]


def test_dlr_is_the_papers():
    logits = np.float32([[1.0, 4.0, 2.0, -1.0], [1.0, 4.0, 2.0, -1.0]])
    # -(z_y - max of the others) / (z_π1 - z_π3)
    assert np.allclose(objective.dlr(logits, [1, 0]), [-(4 - 2) / 3, -(1 - 4) / 3])
    # -(z_y - z_t) / (z_π1 - (z_π3 + z_π4) / 2)
    towards = objective.dlr_towards([2, 3])
    assert np.allclose(towards(logits, [1, 0]), [-(4 - 2) / 4, -(1 + 1) / 4])
    assert np.allclose(objective.dlr(1e4 * logits, [1, 0]), objective.dlr(logits, [1, 0]))
    assert np.array_equal(objective.dlr(np.zeros((1, 3), np.float32), [0]), [0])
    assert np.array_equal(objective.likeliest_others(logits, [1, 0], 2), [[2, 0], [1, 2]])


BOUNDS_AND_SHARES = [
    ((0, 1), 0.3),
    ((0, 1), 0.0),
    ((0, 255), 1 / 3),
    ((-1, 1), 0.1),
    ((-2.117904, 2.64), 0.3),
    ((-2.117904, 2.64), 1e-6),
]


@pytest.mark.parametrize("norm", ["inf", "2"])
def test_images_stay_within_epsilon_and_bounds_exactly(network, labels, norm):
    """In one test, as each test loads all of TensorFlow's kernels again."""
    for bounds, share in BOUNDS_AND_SHARES:
        low, high = bounds
        random = np.random.default_rng(2)
        images = random.uniform(low, high, size=(8, *SHAPE)).astype(np.float32)
        images[0], images[1] = low, high  # where the bounds bite
        epsilon = share * (high - low)
        given = {"logits": network, "images": images, "labels": labels, "bounds": bounds}
        given |= {"norm": norm}
        made = {
            "pgd": attacks.pgd(**given, epsilon=epsilon, steps=5, step_size=0.7, restarts=2),
            "random": attacks.random_perturbation(**given, epsilon=epsilon, tries=3),
            "pgd, float64": attacks.pgd(**given, epsilon=tf.constant(epsilon, tf.float64), steps=2),
            "apgd": attacks.apgd(**given, epsilon=epsilon, loss="dlr", steps=4),
            "square": attacks.square(**given, epsilon=epsilon, queries=5),
        }
        if norm == "inf":
            del given["norm"]
            made["fgsm"] = attacks.fgsm(**given, epsilon=epsilon)
        for name, changed in made.items():
            case = f"{name}, bounds {bounds}, epsilon {epsilon}"
            assert changed.dtype == tf.float32 and changed.shape == images.shape, case
            change = changed.numpy().astype(np.float64) - images
            size = np.abs(change).max() if norm == "inf" else length(change).max()
            assert size <= epsilon, case
            assert changed.numpy().min() >= np.float32(low), case
            assert changed.numpy().max() <= np.float32(high), case
            if share >= 0.1:
                assert size > 0.9 * epsilon, case  # and it is used


@pytest.mark.parametrize("dtype", [tf.float64, tf.float32])
def test_epsilon_is_not_exceeded_inside_a_compiled_function_either(network, labels, dtype):
    """Of 1/3 the nearest float32 is larger."""
    epsilon = tf.constant(1 / 3, dtype)
    given = {"logits": network, "labels": labels, "bounds": (-9, 9)}
    compiled = tf.function(lambda x, epsilon: attacks.fgsm(images=x, epsilon=epsilon, **given))
    change = compiled(tf.zeros((8, *SHAPE)), epsilon).numpy().astype(np.float64)
    assert float(epsilon) - 1e-7 < np.abs(change).max() <= float(epsilon)


def test_an_epsilon_for_each_image(network, images, labels):
    epsilons = np.linspace(0, 0.2, 8)
    for batch_size in (8, 3):
        changed = attacks.pgd(
            logits=network,
            images=images,
            labels=labels,
            epsilon=epsilons,
            bounds=(-9, 9),
            batch_size=batch_size,
        )
        sizes = np.abs(changed - images).max(axis=(1, 2, 3))
        assert np.allclose(sizes, epsilons, atol=1e-6)


@pytest.mark.parametrize("side", [3, 5, 8])
def test_squares_of_l2_are_the_papers(side):
    """A bump of side // 2 rows, and a dent of the others, of nested rectangles."""

    def nested(rows, columns):
        found, middle = np.zeros((rows, columns)), (rows // 2, columns // 2)
        for k in range(max(middle) + 1):
            top, left = max(middle[0] - k, 0), max(middle[1] - k, 0)
            found[top : middle[0] + k + 1, left : middle[1] + k + 1] += 1 / (k + 1) ** 2
        return found / np.linalg.norm(found)

    expected = np.concatenate([nested(side // 2, side), -nested(side - side // 2, side)])
    expected /= np.linalg.norm(expected)
    rows, columns = (tf.tile(tf.range(10)[None] - start, (20, 1)) for start in (1, 2))
    made = square_attack._bumps(rows, columns, side, (0, 1)).numpy()[..., 0]
    inside = made[:, 1 : 1 + side, 2 : 2 + side]
    assert np.allclose(np.linalg.norm(made, axis=(1, 2)), 1)
    assert np.count_nonzero(made[0]) == side**2
    lying = [np.allclose(each, expected.T, atol=1e-6) for each in inside]
    standing = [np.allclose(each, expected, atol=1e-6) for each in inside]
    assert all(np.logical_xor(lying, standing)) and any(lying) and any(standing)


@pytest.mark.parametrize("shape", [(28, 28, 1), (16, 37, 3)])
def test_square_of_l2_begins_with_tiles(shape):
    images = np.zeros((3, *shape), np.float32)
    tiles = square_attack._tiles(tf.constant(images), tf.constant((0, 1))).numpy()
    side = min(shape[:2]) // 5
    rows, columns = shape[0] // side, shape[1] // side
    top, left = shape[0] % side // 2, shape[1] % side // 2
    inside = tiles[:, top : top + rows * side, left : left + columns * side]
    assert np.count_nonzero(tiles) == np.count_nonzero(inside) == inside.size
    parts = inside.reshape(3, rows, side, columns, side, shape[2])
    assert np.allclose(np.abs(parts), np.abs(parts[:, :1, :, :1, :, :1]))  # but for their signs
    lengths = np.linalg.norm(parts, axis=(2, 4))
    assert np.allclose(lengths, lengths.max())
    # And stays within epsilon and the bounds, on images of this shape; as Auto-PGD does in colour.
    half = images + 0.5
    network = keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(4)])
    made = [(attacks.square, {"queries": 30})]
    if shape[2] == 3:
        made.append((attacks.apgd_t, {"steps": 3}))
    for attack, given in made:
        changed = attack(
            logits=network, images=half, labels=[0, 1, 2], epsilon=0.7, bounds=(0, 1), norm="2",
            batch_size=2, **given,
        ).numpy()  # fmt: skip
        assert 0.6 < length(changed - half).min() and length(changed - half).max() <= 0.7
        assert changed.min() >= 0 and changed.max() <= 1


def test_square_of_l2_gets_far_on_a_linear_classifier(linear):
    """Without a gradient: most of what the best change would gain."""
    logits, weights = linear
    smooth = np.outer(np.sin(np.arange(6)), np.cos(np.arange(5)))[:, :, None] * np.float32([1, -1])

    def of_smooth(images):
        return logits(images * (smooth / weights))

    images = np.zeros((4, *SHAPE), np.float32)
    given = {"logits": of_smooth, "images": images, "labels": np.ones(4, int), "epsilon": 1.0}
    found = [
        objective.margin(
            of_smooth(attacks.square(**given, norm="2", queries=queries, bounds=(-9, 9))),
            np.ones(4, int),
        )
        for queries in (1, 1_000)
    ]
    best = np.linalg.norm(smooth)
    assert np.all(found[1] > 0.7 * best) and np.all(found[0] < 0.5 * best)


def test_batches_change_nothing_but_the_random_start(network, images, labels):
    given = {"logits": network, "images": images, "labels": labels, "epsilon": 0.1}
    given |= {"bounds": (0, 1)}
    whole = attacks.pgd(**given, random_start=False)
    parts = attacks.pgd(**given, random_start=False, batch_size=3)
    assert np.allclose(whole, parts, atol=1e-6)
    # No two batches draw the same.
    same = np.repeat(images[:1], 8, axis=0)
    changed = attacks.random_perturbation(**given | {"images": same}, batch_size=4).numpy()
    assert not np.array_equal(changed[:4], changed[4:])


def test_the_seed_sets_what_is_random(network, images, labels):
    given = {"logits": network, "images": images, "labels": labels, "epsilon": 0.1}
    given |= {"bounds": (0, 1), "steps": 1, "step_size": 0.1}
    for norm in ("inf", "2"):
        one, again, other = (
            attacks.pgd(**given, norm=norm, seed=seed).numpy() for seed in ((0, 1), (0, 1), (0, 2))
        )
        assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_restarts_and_tries_keep_the_most_successful(network, images, labels):
    given = {"logits": network, "images": images, "labels": labels, "epsilon": 0.2}
    given |= {"bounds": (0, 1)}
    for targeted in (False, True):
        sign = -1 if targeted else 1
        for attack, few, many in (
            (attacks.random_perturbation, {}, {"tries": 30}),
            (attacks.pgd, {"steps": 2}, {"steps": 2, "restarts": 10}),
        ):
            one, best = (
                sign * objective.margin(network(attack(**given, targeted=targeted, **more)), labels)
                for more in (few, many)
            )
            # The first attempt is the same, but for rounding: the two are compiled apart.
            assert np.all(best > one - 1e-4) and np.any(best > one + 1e-2)


def test_a_targeted_attack_reaches_its_target(network, images):
    changed = attacks.pgd(
        logits=network,
        images=images,
        labels=np.full(8, 2),
        epsilon=1.0,
        bounds=(-9, 9),
        targeted=True,
        norm="inf",
    )
    assert np.all(np.argmax(network(changed), axis=1) == 2)


def test_margin():
    logits = [[1.0, 3.0, 2.0], [1.0, 3.0, 2.0], [-50.0, -60.0, -70.0]]
    assert np.array_equal(objective.margin(tf.constant(logits), [1, 0, 0]), [-1, 2, -10])


def test_attacks_can_be_part_of_a_compiled_function(network, images, labels):
    given = {"logits": network, "labels": labels, "epsilon": 0.1, "bounds": (0, 1)}

    @tf.function
    def compiled(images, number):
        return attacks.pgd(images=images, seed=tf.stack([0, number]), **given)

    alone = attacks.pgd(images=images, seed=(0, 5), **given)
    assert np.allclose(compiled(tf.constant(images), tf.constant(5)), alone, atol=1e-6)


def test_nothing_that_is_given_is_changed(network, images, labels):
    before, weights = images.copy(), network.get_weights()
    attacks.pgd(logits=network, images=images, labels=labels, epsilon=0.1, bounds=(0, 1))
    assert np.array_equal(images, before)
    assert all(map(np.array_equal, network.get_weights(), weights))


def test_new_weights_are_seen_by_an_attack_that_is_compiled(own_network, images, labels):
    given = {"logits": own_network, "images": images, "labels": labels, "epsilon": 0.1}
    before = attacks.fgsm(**given, bounds=(0, 1)).numpy()
    own_network.layers[-1].kernel.assign(-own_network.layers[-1].kernel)
    after = attacks.fgsm(**given, bounds=(0, 1)).numpy()
    assert not np.array_equal(before, after)


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"epsilon": -0.1}, "epsilon must be"),
        ({"epsilon": tf.constant(-0.1)}, "epsilon must be"),
        ({"epsilon": float("nan")}, "epsilon must be"),
        ({"epsilon": [0.1, 0.2]}, "8 images but 2 epsilons"),
        ({"bounds": (0, 0.5)}, "outside the bounds, 0 to 0.5"),
        ({"labels": [1, 2]}, "8 images but 2 labels"),
        ({"labels": [1.5] * 8}, "labels must be n whole numbers"),
        ({"labels": np.eye(8, 3, dtype=int)}, "labels must be n whole numbers"),
        ({"labels": [3] * 8}, "labels must be 0 to 2"),
        ({"labels": [-1] * 8}, "labels must be 0 to 2"),
        ({"images": np.zeros((8, 28, 28))}, "n×height×width×channels"),
        ({"logits": lambda x: x[:, 0, 0, :1]}, "K at least 2"),
        ({"logits": lambda x: tf.nn.softmax(x[:, 0, 0])}, "gives probabilities, not logits"),
        ({"logits": lambda x: tf.sigmoid(x[:, 0, 0])}, "gives numbers from 0 to 1, not logits"),
        ({"seed": 5}, "seed must be two"),
        ({"batch_size": 0}, "batch_size 0 is less than 1"),
    ],
)
def test_mistakes_are_told(network, images, labels, wrong, said):
    given = {"logits": network, "images": images, "labels": labels, "epsilon": 0.1}
    for attack in (attacks.pgd, attacks.random_perturbation, attacks.square):
        with pytest.raises(ValueError, match=said):
            attack(**given | {"bounds": (0, 1)} | wrong)


@pytest.mark.parametrize(
    "attack, wrong, said",
    [
        (attacks.pgd, {"norm": "1"}, "norm '1' is not 'inf' or '2'"),
        (attacks.pgd, {"steps": -1}, "steps -1 is less than 1"),
        (attacks.pgd, {"restarts": 0}, "restarts 0 is less than 1"),
        (attacks.pgd, {"step_size": 0}, "step_size 0 is not a number above 0"),
        (attacks.pgd, {"step_size": -0.1}, "step_size -0.1 is not a number above 0"),
        (attacks.pgd, {"step_size": float("nan")}, "step_size nan is not a number above 0"),
        (attacks.pgd, {"step_size": float("inf")}, "step_size inf is not a number above 0"),
        (attacks.random_perturbation, {"tries": 0}, "tries 0 is less than 1"),
        (attacks.square, {"queries": 0}, "queries 0 is less than 1"),
        (attacks.square, {"norm": "1"}, "norm '1' is not 'inf' or '2'"),
        (attacks.apgd, {"steps": 0}, "steps 0 is less than 1"),
        (attacks.apgd, {"loss": "dlr", "targeted": True}, "'dlr' is for untargeted"),
        (attacks.apgd, {"loss": "hinge"}, "loss 'hinge' is not 'log_odds' or 'dlr'"),
        (attacks.apgd_t, {"classes": 0}, "classes 0 is less than 1"),
        (attacks.apgd_t, {}, "K at least 4"),
    ],
)
def test_mistakes_in_settings_are_told(network, images, labels, attack, wrong, said):
    given = {"logits": network, "images": images, "labels": labels, "epsilon": 0.1}
    with pytest.raises(ValueError, match=said):
        attack(**given, bounds=(0, 1), **wrong)


def test_a_gradient_that_is_not_finite_moves_nothing(images, labels):
    def logits(images):
        half = tf.reshape(images, (-1, 2, math.prod(SHAPE) // 2))
        nowhere = tf.sqrt(0 * half[:, 1])  # whose gradient is 0 / 0
        return tf.reduce_sum(tf.stack([half[:, 0], nowhere, half[:, 0] ** 2], axis=1), axis=2)

    given = {"logits": logits, "images": images, "labels": labels, "epsilon": 0.1}
    change = (attacks.fgsm(**given, bounds=(-9, 9)) - images).numpy().reshape(8, 2, -1)
    assert np.allclose(np.abs(change[:, 0]), 0.1) and np.all(change[:, 1] == 0)


@pytest.mark.parametrize("as_layer", [False, True])
def test_the_advice_about_probabilities_works(images, labels, as_layer):
    layers = [keras.Input(SHAPE), keras.layers.Flatten()]
    layers += [keras.layers.Dense(3, activation=None if as_layer else "softmax")]
    model = keras.Sequential(layers + [keras.layers.Softmax()] * as_layer)
    given = {"images": images, "labels": labels, "epsilon": 0.1, "bounds": (0, 1)}
    once = {"steps": 1, "step_size": 1.0, "random_start": False}
    with pytest.raises(ValueError, match="leave out its softmax"):
        attacks.pgd(logits=model, **given, **once)
    if as_layer:
        model = keras.Model(model.inputs, model.layers[-2].output)
    else:
        model.layers[-1].activation = keras.activations.linear
    kernel, bias = model.get_weights()
    expected = images + 0.1 * np.sign(
        loss_gradient(lambda x: tf.reshape(x, (len(x), -1)) @ kernel + bias, images, labels)
    )
    changed = attacks.pgd(logits=model, **given, **once)
    assert np.allclose(changed, np.clip(expected, 0, 1), atol=1e-6)


def test_probabilities_are_noticed_after_a_first_use_in_a_compiled_function(images, labels):
    model = keras.Sequential(
        [keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    )
    given = {"logits": model, "labels": labels, "epsilon": 0.1, "bounds": (0, 1)}

    @tf.function
    def compiled(images):
        return attacks.fgsm(images=images, **given)

    compiled(tf.constant(images))
    with pytest.raises(ValueError, match="gives probabilities"):
        attacks.fgsm(images=images, **given)


def test_what_a_classifier_is_sure_of_does_not_hide_the_way(network, images, labels):
    """With logits so large that its probabilities are 0 and 1, cross-entropy's gradient is 0."""
    labels = np.argmax(network(images)[:, :2], axis=1)

    def two(images):  # of more, the likeliest other one would count more
        return network(images)[:, :2]

    def sure(images):
        return 1e4 * two(images)

    given = {"images": images, "labels": labels, "epsilon": 0.1, "bounds": (0, 1)}
    for attack in (attacks.fgsm, attacks.pgd):
        assert np.allclose(attack(logits=sure, **given), attack(logits=two, **given), atol=1e-5)


def test_log_odds():
    logits = tf.constant([[1.0, 3.0, 2.0], [0.0, 0.0, 0.0]])
    p = tf.nn.softmax(logits).numpy()[[0, 1], [1, 0]]
    assert np.allclose(objective.log_odds(logits, [1, 0]), np.log((1 - p) / p), atol=1e-6)
    assert np.allclose(objective.log_odds(1e4 * logits, [1, 0]), [-1e4, np.log(2)])


def test_an_l2_start_is_uniform_in_the_ball():
    images = tf.zeros((4000, 2, 1, 1))
    points = geometry.L2Ball(images, tf.constant(1.0), -9.0, 9.0).random_point((0, 1)).numpy()
    radii = length(points)
    assert np.all(radii <= 1 + 1e-6)
    assert abs(np.mean(radii < 0.5) - 0.25) < 0.03  # of a disc's area
    angles = np.arctan2(points[:, 0, 0, 0], points[:, 1, 0, 0])
    assert abs(np.corrcoef(radii, np.abs(angles))[0, 1]) < 0.05
    assert abs(np.mean(angles)) < 0.1


def test_square_needs_no_gradients(images):
    """A classifier that rounds: PGD has nothing to climb."""

    def rounding(images):
        mean = tf.floor(500 * tf.reduce_mean(images, axis=(1, 2, 3)))
        return tf.stack([249.5 - mean, mean - 249.5], axis=1)

    grey = 0 * images + np.linspace(0.45, 0.49, 8)[:, None, None, None].astype(np.float32)
    given = {"logits": rounding, "images": grey, "labels": np.zeros(8, int), "epsilon": 0.06}
    given |= {"bounds": (0, 1)}
    with pytest.warns(UserWarning, match="gives no gradient"):
        unchanged = attacks.pgd(**given, random_start=False)
    assert np.all(np.argmax(rounding(unchanged), axis=1) == 0)
    found = np.argmax(rounding(attacks.square(**given, queries=300)), axis=1)
    assert np.sum(found) >= 6


def test_square_keeps_what_is_better(network, images, labels):
    given = {"logits": network, "images": images, "labels": labels, "epsilon": 0.2}
    given |= {"bounds": (0, 1)}
    margins = [
        objective.margin(network(attacks.square(**given, queries=queries)), labels).numpy()
        for queries in (1, 200)
    ]
    assert margins[1].mean() > margins[0].mean()
    one, again, other = (
        attacks.square(**given, queries=5, seed=(0, seed)).numpy() for seed in (1, 1, 2)
    )
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_square_tries_nothing_twice():
    """Of one pixel there are two changes: one is where it begins, the other is the first query."""

    def brightness(images):
        return tf.concat([images[:, 0, 0], -images[:, 0, 0]], axis=1)

    grey = np.full((20, 1, 1, 1), 0.5, np.float32)
    given = {"logits": brightness, "images": grey, "epsilon": 0.25, "bounds": (0, 1), "queries": 1}
    for label, best in ((0, 0.25), (1, 0.75)):
        assert np.all(attacks.square(**given, labels=np.full(20, label)) == best)
        assert np.all(attacks.square(**given, labels=np.full(20, label), targeted=True) == 1 - best)


def test_square_has_the_papers_schedule():
    sides = [int(square_attack.square_side(q, 10_000, 28, 28)) for q in (0, 11, 51, 201, 8_001)]
    areas = [0.8, 0.4, 0.2, 0.1, 0.8 / 256]
    assert sides == [max(1, round(math.sqrt(area * 784))) for area in areas]
    assert int(square_attack.square_side(8_010, 10_000, 28, 28)) == int(
        square_attack.square_side(801, 1_000, 28, 28)
    )


def test_forget_lets_go_of_classifiers(own_network, images, labels):
    given = {"logits": own_network, "images": images, "labels": labels, "epsilon": 0.1}
    before = attacks.fgsm(**given, bounds=(0, 1)).numpy()
    own_network.pop()
    own_network.add(keras.layers.Dense(3, kernel_initializer="ones"))
    attacks.forget()
    assert not np.array_equal(attacks.fgsm(**given, bounds=(0, 1)), before)


def test_fewer_steps_are_longer(network, images, labels):
    given = {"logits": network, "images": images, "labels": labels, "epsilon": 0.1}
    given |= {"bounds": (-9, 9), "random_start": False}
    for steps in (2, 5):
        changed = attacks.pgd(**given, steps=steps).numpy()
        assert np.abs(changed - images).max() > 0.099


@pytest.mark.parametrize("policy", [pytest.param("mixed_bfloat16", marks=needs_16_bits), "float32"])
def test_dropout_and_batch_norm_are_off(images, labels, policy):
    keras.config.set_dtype_policy(policy)
    layers = [keras.layers.BatchNormalization(), keras.layers.Flatten()]
    network = keras.Sequential(
        [keras.Input(SHAPE), *layers, keras.layers.Dropout(0.5), keras.layers.Dense(3)]
    )
    state = [np.array(v) for v in network.variables]
    given = {"logits": network, "images": images, "labels": labels, "epsilon": 0.1}
    one, again = (attacks.pgd(**given, bounds=(0, 1)).numpy() for _ in range(2))
    assert np.array_equal(one, again) and one.dtype == np.float32
    assert all(map(np.array_equal, state, network.variables))


class TrainsByDefault(keras.Model):
    """Logits that fall with the brightness; in training mode, which is its default, they rise."""

    def call(self, images, training=True):
        score = keras.ops.mean(images, axis=(1, 2, 3))[:, None] * (1 if training else -1)
        return keras.ops.concatenate([score, -score, -score], axis=1) - 0.25


class HasNoMode(keras.Model):
    def call(self, images):
        score = -keras.ops.mean(images, axis=(1, 2, 3))[:, None]
        return keras.ops.concatenate([score, -score, -score], axis=1) - 0.25


@pytest.mark.parametrize("kind", [TrainsByDefault, HasNoMode])
def test_a_keras_model_is_attacked_in_inference_mode(images, kind):
    given = {"images": images, "labels": np.zeros(8, int), "epsilon": 0.1, "bounds": (-9, 9)}
    for attack in (attacks.fgsm, attacks.pgd):
        assert np.allclose(attack(logits=kind(), **given), images + 0.1, atol=1e-6)


def make_training(defend=True, **settings):
    keras.utils.set_random_seed(0)
    built = [networks.build_classifier(4, 8) for _ in range(3 if defend else 2)]
    if defend:
        settings = {"epsilon": 0.3, "warmup": 0, "steps": 2, "step_size": 0.5, "seed": 3} | settings
        training = AdversarialTraining(*built, **settings)
    else:
        training = Training(*built)
    training.compile(*(keras.optimizers.SGD(0.1) for _ in built))
    return training


@pytest.fixture
def batch():
    random = np.random.default_rng(4)
    return random.uniform(size=(16, 28, 28, 1)).astype(np.float32), np.arange(16) % 10


@pytest.mark.parametrize("warmup, epsilon", [(0, 0.3), (4, 0.3 / 4)])
def test_a_step_trains_each_network_on_its_images(batch, warmup, epsilon):
    """Against Keras' own train_on_batch; in the first step of a warm-up of four, too."""
    images, labels = batch
    training = make_training(warmup=warmup)
    expected = []
    for name in ("undefended", "second", "defended"):
        network = getattr(training, name)
        shown = images
        if name == "defended":
            shown = attacks.pgd(
                logits=network,
                images=images,
                labels=labels,
                epsilon=epsilon,
                bounds=(0, 1),
                steps=2,
                step_size=0.5,
                seed=(3, 0),
            ).numpy()
            assert np.abs(shown - images).max() == pytest.approx(epsilon, rel=1e-3)
        copy = keras.models.clone_model(network)
        copy.set_weights(network.get_weights())
        copy.compile(
            keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        copy.train_on_batch(shown, labels)
        expected.append(copy.get_weights())
    training.train_step((tf.constant(images), tf.constant(labels)))
    for network, weights in zip(
        (training.undefended, training.second, training.defended), expected, strict=True
    ):
        assert all(
            np.allclose(*pair, atol=1e-6)
            for pair in zip(network.get_weights(), weights, strict=True)
        )


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_trades_loss_equals_its_definition_in_numpy(weight):
    random = np.random.default_rng(0)
    logits, after = random.normal(size=(2, 5, 10)).astype(np.float32)
    labels = np.arange(5)
    p, q = (np.exp(x) / np.exp(x).sum(axis=1, keepdims=True) for x in (logits, after))
    expected = np.mean(-np.log(p[np.arange(5), labels]))
    expected += weight * np.mean(np.sum(p * np.log(p / q), axis=1))
    found = training_module.trades_loss(labels, logits, after, weight)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_a_step_with_trades_moves_the_defended_network_down_its_loss(batch):
    training = make_training(trades=3.0)
    images, labels = batch
    adversarial = attacks.pgd(
        logits=training.defended, images=images, labels=labels, epsilon=0.3, bounds=(0, 1),
        steps=2, step_size=0.5, seed=(3, 0),
    )  # fmt: skip
    with tf.GradientTape() as tape:
        loss = training_module.trades_loss(
            labels, training.defended(images), training.defended(adversarial), 3.0
        )
    gradients = tape.gradient(loss, training.defended.trainable_variables)
    before = training.defended.get_weights()
    logs = training.train_step(batch)
    assert float(logs["defended_loss"]) == pytest.approx(float(loss), rel=1e-4)
    for was, gradient, now in zip(before, gradients, training.defended.get_weights(), strict=True):
        assert np.allclose(was - 0.1 * gradient, now, atol=1e-5)


def test_the_defended_network_has_the_averages_of_its_weights_in_the_end(batch):
    training = make_training()
    optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.6)
    training.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), optimizer)
    averages, others = None, None
    for _ in range(3):
        training.train_step(tuple(map(tf.constant, batch)))
        weights = training.defended.get_weights()
        pairs = zip(averages or weights, weights, strict=True)
        averages = [0.6 * average + 0.4 * weight for average, weight in pairs]
        others = training.undefended.get_weights()
    training.take_averages()
    for average, weight in zip(averages, training.defended.get_weights(), strict=True):
        np.testing.assert_allclose(weight, average, atol=1e-6)
    assert all(map(np.array_equal, others, training.undefended.get_weights()))


def test_epsilon_grows_during_the_warmup(batch):
    training = make_training(warmup=4)
    shares = []
    for _ in range(6):
        shares.append(float(training.share_of_epsilon()))
        training.train_step(tuple(map(tf.constant, batch)))
    assert shares == [0.25, 0.5, 0.75, 1, 1, 1]


def test_without_a_defended_network(batch):
    training = make_training(defend=False)
    logs = training.train_step(tuple(map(tf.constant, batch)))
    assert list(logs) == ["undefended_loss", "second_loss"]


def test_classifier():
    network = networks.build_classifier(16, 100)
    assert network.output_shape == (None, 10)
    assert network.count_params() == 171_158
    deeper = networks.build_classifier(32, 128, 30, convolutions=4)
    sizes = [tuple(layer.output.shape[1:]) for layer in deeper.layers if "conv" in layer.name]
    assert sizes == [(28, 28, 32), (14, 14, 32), (14, 14, 64), (7, 7, 64)]
    assert deeper.output_shape == (None, 10)
    assert deeper.count_params() == 467_818


def test_binarization_leaves_little_but_black_and_white():
    network = networks.build_classifier(4, 16, binarization=30)
    look = keras.Model(network.input, network.layers[2].output)
    levels = np.float32([0, 0.3, 0.5, 0.7, 1]).reshape(5, 1, 1, 1) * np.ones((5, 28, 28, 1))
    seen = look(levels).numpy()[:, 0, 0, 0]
    assert np.allclose(seen, 1 / (1 + np.exp(-30 * (levels[:, 0, 0, 0] - 0.5))), atol=1e-6)


def test_the_steepest_binarization_leaves_black_and_white_a_gradient():
    """An attack is told where to go, in float32, with the most that train.py takes."""
    network = networks.build_classifier(4, 16, binarization=32)
    images = tf.constant(np.float32([0, 1]).reshape(2, 1, 1, 1) * np.ones((2, 28, 28, 1)))
    images = tf.cast(images, tf.float32)
    assert np.all(objective.Objective(network, np.zeros(2, int), False).gradient(images) != 0)


class TestEvaluation:
    """On a classifier whose smallest epsilons are known: is the mean above a half?"""

    @pytest.fixture
    def bright(self):
        inputs = keras.Input((28, 28, 1))
        mean = keras.layers.GlobalAveragePooling2D()(inputs)
        dense = keras.layers.Dense(2)
        network = keras.Model(inputs, dense(mean))
        dense.set_weights([np.float32([[-10, 10]]), np.float32([5, -5])])
        return network

    @pytest.fixture
    def grey(self):
        levels = np.float32([0.1, 0.35, 0.45, 0.9])
        return np.ones((4, 28, 28, 1), np.float32) * levels[:, None, None, None]

    @pytest.fixture
    def attack(self):
        return evaluation.Attacker(steps=10, step_size=0.3, seed=0)

    def test_smallest_epsilon(self, bright, grey, attack):
        found = checks.smallest_epsilon(bright, grey, np.array([0, 0, 1, 1]), 0.2, attack)
        assert found[0] == np.inf and found[3] == np.inf  # .4 would be needed
        assert 0.15 <= found[1] <= 0.15 + 0.2 / 2**7 + 1e-6
        assert found[2] == 0  # is wrong as it is

    def test_compare_has_a_row_for_each_network_that_looks(self, bright, grey, attack):
        labels = np.array([0, 0, 0, 1])
        both = {"undefended": bright, "second": keras.models.clone_model(bright)}
        rows = evaluation.compare(both, ["undefended"], grey, labels, [0, 0.1, 0.45], attack)
        assert len(rows) == 3 * 3 * 2
        own = {
            (row["attack"], row["epsilon"]): row["accuracy"]
            for row in rows
            if row["seen_by"] == "undefended"
        }
        assert [own["random", epsilon] for epsilon in (0, 0.1)] == [1, 1]
        assert [own["fgsm", epsilon] for epsilon in (0, 0.1, 0.45)] == [1, 0.75, 0]
        assert [own["pgd", epsilon] for epsilon in (0, 0.1, 0.45)] == [1, 0.75, 0]

    def test_smallest_epsilon_of_an_attack_that_fails_with_more(self, bright, grey, attack):
        class Fails(evaluation.Attacker):
            def __call__(self, name, network, images, labels, epsilon):
                usable = np.where(np.asarray(epsilon) > 0.19, 0, epsilon)
                return super().__call__(name, network, images, labels, usable)

        fails = Fails(steps=10, step_size=0.3, seed=0)
        found = checks.smallest_epsilon(bright, grey, np.array([0, 0, 1, 1]), 0.2, fails)
        assert 0.15 <= found[1] <= 0.16

    def test_gradient_masking_is_found_out(self, grey):
        """A network whose gradient is 0 everywhere withstands PGD, but no random search."""
        inputs = keras.Input((28, 28, 1))
        steps = keras.layers.Lambda(lambda x: keras.ops.floor(4 * x[:, 0, 0]))(inputs)
        dense = keras.layers.Dense(4)
        network = keras.Model(inputs, dense(steps))
        dense.set_weights([np.float32([[-1, 1, 0, 0]]), np.float32([1.5, -1.5, -99, -99])])
        labels = evaluation.predict(network, grey).argmax(axis=1)
        still = evaluation.Attacker(steps=10, step_size=0.01, seed=0)
        still.settings["pgd"]["random_start"] = False
        with pytest.warns(UserWarning, match="gives no gradient"):
            found = checks.check_strength(
                network,
                network,
                grey,
                labels,
                0.2,
                still,
                steps=5,
                classes=1,
                tries=20,
                queries=300,
            )
        assert found["pgd"] == 1 and found["fgsm_only"] == 0
        assert found["apgd"] == 0.75  # by its random start
        assert found["random_search"] == 0.5 and found["random_only"] == 0.25
        assert found["square"] <= 0.75
        assert found["worst"] == 0.5 and found["transfer_only"] == 0

    def test_by_step_size(self, bright, grey, attack):
        given = bright, grey, np.array([0, 0, 0, 1]), 0.2, attack
        rows = checks.by_setting(*given, "step_size", [0.01, 1])
        assert [row["step_size"] for row in rows] == [0.01, 1]
        assert rows[0]["loss"] < rows[1]["loss"]
        assert rows[1]["accuracy"] == 0.5

    def test_by_steps(self, bright, grey, attack):
        """Of 2.5 / steps each: here a single one gets as far as ten, from any start."""
        rows = checks.by_setting(
            bright, grey, np.array([0, 0, 0, 1]), 0.2, attack, "steps", [1, 10]
        )
        assert rows[0]["loss"] == pytest.approx(rows[1]["loss"], rel=1e-4)
        assert [row["accuracy"] for row in rows] == [0.5, 0.5]


SMOKE = ["--preset", "smoke"]


def shorten_report(patch, gallery=False):
    """The curves, which take most of a smoke run's time, with fewer points; no gallery of images.

    Its 60 axes take as long as all other figures.
    """
    if not gallery:
        patch.setattr(report.Report, "gallery", lambda self: self.files.write("gallery.png", b""))
    patch.setattr(report, "EPSILONS", (0.0, 0.5, 1.0))
    patch.setattr(report, "SETTINGS", {"step_size": (1 / 3, 1.0), "steps": (1, 2)})
    patch.setattr(checks, "HALVINGS", 2)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chapter10") / "run"
    while_the_second_is_saved = {folder.with_name("killed"): ("second.keras", 1)}
    with pytest.MonkeyPatch.context() as patch, kept_as_killed(folder, while_the_second_is_saved):
        shorten_report(patch, gallery=True)
        results = train.main([*SMOKE, "--defend", "--output-dir", str(folder)])
    return folder, results


def test_smoke_run_leaves_what_it_says(run):
    folder, results = run
    assert json.loads((folder / "results.json").read_text()) == results
    nets = {
        name: keras.models.load_model(folder / f"{name}.keras")
        for name in ("undefended", "second", "defended")
    }
    one, other = (nets[name].layers[1].kernel for name in ("undefended", "second"))
    assert not np.array_equal(one, other)  # transfer would mean nothing
    for name in ("undefended", "defended"):
        assert results[f"{name}_pgd_accuracy"] <= results[f"{name}_accuracy"]
        found = {
            what: results[f"{name}_check_{what}"]
            for what in ("pgd", "apgd", "square", "before_apgd_t", "worst")
        }
        assert found["worst"] <= found["before_apgd_t"]
        assert found["before_apgd_t"] <= min(found["pgd"], found["apgd"], found["square"])
    page = imageio.imread(folder / "samples" / "000016.png")
    side = 28 * 3 + 2
    assert page.shape == (3 * side + 2, 10 * side + 2)  # originals, and for each attacked network
    for picture in ("gallery", "accuracy", "smallest_epsilon", "step_size", "steps", "history"):
        pixels = imageio.imread(folder / f"{picture}.png")
        assert pixels.std() > 5 and pixels.shape[0] > 300


def test_the_results_are_those_of_the_saved_networks(run):
    folder, results = run
    dataset = data.load("sample")
    images, labels = dataset.x_test.astype(np.float32) / 255, dataset.y_test
    nets = {
        name: keras.models.load_model(folder / f"{name}.keras")
        for name in ("undefended", "second", "defended")
    }
    for name, network in nets.items():
        right = evaluation.is_right(network, images, labels)
        assert results[f"{name}_accuracy"] == pytest.approx(np.mean(right))
    attack = evaluation.Attacker(steps=3, step_size=0.8, seed=0)
    for made_for in ("undefended", "defended"):
        changed = attack("pgd", nets[made_for], images, labels, 0.3)
        seen = np.mean(evaluation.is_right(nets[made_for], changed, labels))
        assert results[f"{made_for}_pgd_accuracy"] == pytest.approx(seen, abs=2e-3)
        assert seen < results[f"{made_for}_accuracy"] - 0.1
        if made_for == "undefended":
            for name in ("second", "defended"):
                seen = np.mean(evaluation.is_right(nets[name], changed, labels))
                assert results[f"{name}_pgd_transferred_accuracy"] == pytest.approx(seen, abs=2e-3)


def test_settings_reach_what_they_set(monkeypatch, tmp_path):
    given, built = {}, []

    class Stop(Exception):
        pass

    def spy(name, function):
        def call(*arguments, **settings):
            given[name] = (arguments, settings)
            if name == "build_classifier":
                built.append(arguments)
            if name == "check_strength":  # the last of them
                raise Stop
            return function(*arguments, **settings)

        return call

    for module, name in (
        (evaluation, "Attacker"),
        (checks, "check_strength"),
        (training_module, "AdversarialTraining"),
        (networks, "build_classifier"),
        (optimizers, "adam"),
    ):
        monkeypatch.setattr(module, name, spy(name, getattr(module, name)))
    flags = ["--apgd-steps", "3", "--apgd-classes", "2", "--random-tries", "4"]
    flags += ["--square-queries", "5", "--warmup", "0.5", "--binarization", "20"]
    flags += ["--epochs", "1", "--defend", "--learning-rate", "0.01", "--epsilon", "0.2"]
    flags += ["--attack-steps", "2", "--attack-step-size", "0.75"]
    flags += ["--training-steps", "3", "--training-step-size", "0.6", "--trades", "2"]
    flags += ["--average", "0.9", "--convolutions", "4", "--filters", "5", "--units", "17"]
    # Neither training nor what comes before `check_strength` has a part in what is asked here.
    monkeypatch.setattr(AdversarialTraining, "fit", lambda *arguments, **settings: None)
    monkeypatch.setattr(TrainingRun, "plot_history", lambda *arguments: None)
    monkeypatch.setattr(report.Report, "gallery", lambda self: None)
    monkeypatch.setattr(report.Report, "curves", lambda self: None)
    monkeypatch.setattr(checks, "smallest_epsilon", lambda *arguments: np.zeros(1))
    monkeypatch.setattr(checks, "by_setting", lambda *arguments: [])
    with pytest.raises(Stop):
        train.main([*SMOKE, *flags, "--output-dir", str(tmp_path / "run")])
    counts = {"steps": 3, "classes": 2, "tries": 4, "queries": 5}
    assert given["check_strength"][1] == counts
    assert built == [(5, 17, 0, 4), (5, 17, 0, 4), (5, 17, 20, 4)]
    assert given["Attacker"][0] == (2, 0.75, 0)
    trained = {"epsilon": 0.2, "warmup": 4, "steps": 3, "step_size": 0.6, "trades": 2, "seed": 0}
    assert trained.items() <= given["AdversarialTraining"][1].items()
    averaging = {"use_ema": True, "ema_momentum": 0.25}  # less than 0.9, as there are 8 updates
    assert given["adam"] == ((0.01, 0.9, 8), averaging)  # the defended network's, the last one
    full = train.build_optimizer(train.PRESETS["book"], 6_000, "defended")
    assert full.ema_momentum == 0.999


def test_the_table_of_a_run_is_whole(run):
    folder, _ = run
    with open(folder / "robustness.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3 * 3 * 3
    with open(folder / "step_size.csv") as file:
        sizes = list(csv.DictReader(file))
    assert len(sizes) == 2 * 2 and list(sizes[0]) == ["network", "step_size", "loss", "accuracy"]
    at_zero = {(row["seen_by"], row["accuracy"]) for row in rows if float(row["epsilon"]) == 0}
    assert len(at_zero) == 3  # no attack may change anything there


@pytest.mark.slow
def test_strength_compares_both_attacks_on_the_networks_of_a_run(run, monkeypatch, capsys):
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    import strength
    from loops import chapter10

    for name in ("toolbox_pgd", "autoattack"):
        monkeypatch.setattr(chapter10, name, lambda *settings: lambda images, labels: images)
    flags = ["--images", "200", "--epsilons", "0.3", "--queries", "7", "--attacks"]
    monkeypatch.setattr(sys, "argv", ["", str(run[0]), *flags, "pgd", "apgd", "autoattack", "flat"])
    queries, square = [], attacks.square

    def counted(**settings):
        queries.append(settings["queries"])
        return square(**settings)

    monkeypatch.setattr(attacks, "square", counted)
    strength.main()
    assert set(queries) == {7}
    *lines, flat = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert flat[:3] == ["defended", "flat", "0.3"]
    dataset = data.load("sample")
    images, labels = dataset.x_test[:200].astype(np.float32) / 255, dataset.y_test[:200]
    # Both are Auto-PGD, the second against the same weights behind a flatter sigmoid.
    defended = keras.models.load_model(run[0] / "defended.keras")
    flatter = networks.build_classifier(4, 16, strength.FLAT, 2)
    flatter.set_weights(defended.get_weights())
    found = attacks.apgd(
        logits=flatter, images=images, labels=labels, epsilon=0.3, bounds=(0, 1), steps=4
    )
    left = np.mean(evaluation.is_right(defended, found, labels))
    assert flat[3] == lines[4][4]
    assert float(flat[4].rstrip("%")) / 100 == pytest.approx(
        left, abs=0.006
    )  # an image at the edge
    assert [line[:3] for line in lines] == [
        [name, attack, "0.3"]
        for name in ("undefended", "defended")
        for attack in ("pgd", "apgd", "autoattack")
    ]
    for name, _, _, theirs, ours, only_theirs, only_ours, *_ in lines:
        network = keras.models.load_model(run[0] / f"{name}.keras")
        right = np.mean(evaluation.is_right(network, images, labels))
        assert float(theirs.rstrip("%")) / 100 == pytest.approx(right, abs=1e-4)
        left = float(ours.rstrip("%")) / 100
        assert left < right
        assert int(only_ours) - int(only_theirs) == round(200 * (right - left))


def test_a_resumed_run_is_checked_with_its_own_settings(tmp_path, capsys):
    config = train.PRESETS["smoke"].replace(attack_steps=2, attack_step_size=0.75)
    record = {
        "chapter": "chapter10_adversarial",
        "preset": "smoke",
        "settings": config.model_dump(),
        "data": {"source": "bundled sample", "sha256": "1"},
        "versions": {},
    }
    (tmp_path / "config.json").write_text(json.dumps(record))
    train.main(["--resume", str(tmp_path), "--attack-steps", "2", "--dry-run"])
    lines = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert (lines["attack-steps"], lines["attack-step-size"]) == ("2", "0.75")


def test_without_defence(tmp_path, capsys, monkeypatch):
    """And where the preset wants to attack more images than there are, of which there is one."""
    shorten_report(monkeypatch)
    monkeypatch.setattr(checks, "check_strength", lambda *arguments, **counts: {"worst": 0.0})
    many = train.PRESETS["smoke"].replace(attacked_images=2_000)
    monkeypatch.setitem(train.PRESETS, "smoke", many)
    flags = ["--validation-images", "1", "--output-dir", str(tmp_path / "run")]
    results = train.main([*SMOKE, *flags])
    out = capsys.readouterr().out
    assert "attacking 1 test images" in out
    assert "defended," not in out.replace("undefended,", "")
    assert not (tmp_path / "run" / "defended.keras").exists()
    assert not any(name.startswith("defended") for name in results)


def test_killed_while_the_second_network_is_saved_and_resumed(run, monkeypatch):
    shorten_report(monkeypatch)  # of the resumed run
    check_resumed(train, ["--resume", run[0].with_name("killed")], run[0])


@pytest.mark.parametrize(
    "flags, said",
    [
        (["--epsilon", "-0.1"], "--epsilon -0.1: should be greater than 0"),
        (["--epsilon", "0"], "--epsilon 0: should be greater than 0"),
        (["--attacked-images", "1001"], "--attacked-images 1001 is more than the 1000 test"),
        (["--batch-size", "4001"], "--batch-size 4001 is more than the 4000 training images"),
        (["--warmup", "1"], "--warmup 1: should be less than 1"),
        (["--random-tries", "0"], "--random-tries 0: should be greater than 0"),
        (["--epsilon", "8"], "--epsilon 8: should be less than or equal to 1"),
        (["--trades", "1"], "--trades needs --defend"),
        (["--training-step-size", "1"], "--training-step-size needs --defend"),
        (["--attack-steps", "1"], "--attack-steps 1 of --attack-step-size 0.8 do not get as far"),
        (
            ["--defend", "--training-step-size", "0.01"],
            "--training-steps 2 of --training-step-size 0.01 do not get as far as epsilon",
        ),
    ],
)
def test_a_mistake_is_one_line(capsys, tmp_path, flags, said):
    assert said in error_of(
        train.main, [*SMOKE, *flags, "--output-dir", str(tmp_path / "run")], capsys
    )
