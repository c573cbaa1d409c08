"""Chapter 7: the networks, both heads, both algorithms, and the program."""

import contextlib
import functools
import io
import json
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import (
    FEWER_BITS,
    REPOSITORY,
    SECOND_CHECKPOINT,
    assert_same_outputs,
    assert_same_way,
    check_killed_and_resumed,
    check_resumed,
    error_of,
    frames_of,
    in_the_books_keras,
    kept_as_killed,
    networks_of,
)

from chapter07_sgan import comparison, figures, networks, split, train, variants
from chapter07_sgan.augmentation import build_augmentation
from chapter07_sgan.feature_matching import FeatureMatchingSGAN, loss_features
from chapter07_sgan.noisy_networks import (
    build_dense_discriminator,
    build_dense_generator,
    build_noisy_convolutional_discriminator,
)
from chapter07_sgan.pseudo_labels import PseudoLabelSGAN, loss_pseudo_labels
from chapter07_sgan.sgan import SGAN, class_logits, loss_fake, loss_labeled, loss_real, real_logit
from common import data, images
from common.batch_norm import fuse, unfuse
from common.random_layers import set_random_layers

TRAIN = REPOSITORY / "chapter07_sgan" / "train.py"
SMOKE = ["--preset", "smoke"]


def small_sgan(
    kind=SGAN,
    outputs=10,
    batch_norm=True,
    dropout=0.5,
    optimizer=keras.optimizers.Adam,
    augmentation=None,
    seed=3,
    **compile_arguments,
):
    gan = kind(
        fuse(networks.build_generator()),
        fuse(networks.build_discriminator(outputs, batch_norm, dropout)),
        augmentation,
        seed=seed,
    )
    if kind is SGAN:
        compile_arguments["c_optimizer"] = optimizer()
    gan.compile(d_optimizer=optimizer(), g_optimizer=optimizer(), **compile_arguments)
    return gan


def batches(n, batch_size=8):
    """n batches: labelled images, their labels, and unlabelled images."""
    random = np.random.default_rng(0)
    labeled, unlabeled = random.uniform(-1, 1, (2, n, batch_size, 28, 28, 1)).astype("float32")
    return (labeled, random.integers(0, 10, (n, batch_size)).astype("int32")), unlabeled


def first(stacked):
    return keras.tree.map_structure(lambda x: tf.constant(x[0]), stacked)


def test_networks_are_the_books():
    assert networks.build_generator().count_params() == 1_637_121
    english, korean = (networks.build_discriminator(batch_norm=b) for b in (True, False))
    assert (english.count_params(), korean.count_params()) == (113_930, 113_162)
    kinds = [type(layer).__name__ for layer in english.layers]
    assert kinds[-3:] == ["Dropout", "Flatten", "Dense"] and english.layers[-3].rate == 0.5
    assert networks.build_discriminator(outputs=11).output_shape == (None, 11)


@pytest.mark.parametrize(
    "build, widths, noises",
    [
        (build_dense_discriminator, [500, 500, 250, 250, 250, 10], [0.6] + [0.5] * 5),
        (build_noisy_convolutional_discriminator, [16, 32, 250, 250, 10], [0.24, 0.2, 0.2]),
    ],
)
def test_noisy_discriminators(build, widths, noises):
    """The dense one is that of Salimans et al. (2016), the first layer half as wide. Each unit's
    weight vector keeps length 1, but for the last layer's.
    """
    network = build()
    weighted = [layer for layer in network.layers if layer.weights]
    assert [layer.bias.shape[0] for layer in weighted] == widths
    noise = [x.stddev for x in network.layers if isinstance(x, keras.layers.GaussianNoise)]
    assert noise == pytest.approx(noises)
    gan = FeatureMatchingSGAN(build_dense_generator(), network)
    gan.compile(keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.01))
    gan.train_step(first(batches(1)))
    for layer in weighted[:-1]:
        units = np.reshape(layer.kernel, (-1, layer.kernel.shape[-1]))
        np.testing.assert_allclose(np.linalg.norm(units, axis=0), 1, rtol=1e-5)
    assert network(np.zeros((3, 28, 28, 1))).shape == (3, 10)
    assert gan.generator(np.zeros((3, 100))).shape == (3, 28, 28, 1)


def test_augmentation_moves_each_image_by_whole_pixels_onto_black():
    dots = np.full((200, 28, 28, 1), -1, "float32")
    dots[:, 0, 13] = 1
    moved = build_augmentation(2)(dots, training=True).numpy()
    assert set(np.unique(moved)) == {-1.0, 1.0}
    rows, columns = np.nonzero(moved[..., 0] == 1)[1:]
    assert set(rows) == {0, 1, 2} and set(columns) == {11, 12, 13, 14, 15}
    assert 0.2 < np.mean(moved.max(axis=(1, 2, 3)) == -1) < 0.55  # those moved up are gone


def test_augmentation_rotates_and_zooms_each_image_by_its_own_amounts():
    """A bar of 19 by 5 pixels: its direction, and its area."""
    bars = np.full((200, 28, 28, 1), -1, "float32")
    bars[:, 12:17, 4:23] = 1

    def moments(images):
        weights = (images[..., 0] + 1) / 2
        rows, columns = np.mgrid[:28, :28] - np.array([14, 13]).reshape(2, 1, 1)
        covariance = (weights * rows * columns).sum(axis=(1, 2))
        spread = (weights * (columns**2 - rows**2)).sum(axis=(1, 2))
        return np.degrees(np.arctan2(2 * covariance, spread)) / 2, weights.sum(axis=(1, 2))

    angles, areas = moments(build_augmentation(0, rotation=12)(bars, training=True).numpy())
    assert 10 < np.max(np.abs(angles)) < 12.5 and abs(np.mean(angles)) < 2
    np.testing.assert_allclose(areas, 95, rtol=0.03)
    angles, areas = moments(build_augmentation(0, zoom=0.1)(bars, training=True).numpy())
    np.testing.assert_allclose(angles, 0, atol=0.5)
    assert np.all((areas > 95 / 1.12**2) & (areas < 95 * 1.12**2)) and np.std(areas) > 5


def test_probability_of_real_is_the_books_and_does_not_overflow():
    logits = np.random.default_rng(0).normal(0, 3, (100, 10)).astype("float32")
    book = 1 - 1 / (np.exp(logits.astype(float)).sum(axis=1, keepdims=True) + 1)
    p = keras.ops.sigmoid(real_logit(logits)).numpy()
    np.testing.assert_allclose(p, book, rtol=1e-5)
    assert float(loss_real(logits)) == pytest.approx(-np.mean(np.log(book)), rel=1e-4)
    assert float(loss_fake(logits)) == pytest.approx(-np.mean(np.log(1 - book)), rel=1e-4)
    for extreme, real, fake in ((1000.0, 0, 1000 + np.log(10)), (-1000.0, 1000 - np.log(10), 0)):
        logits = tf.fill((2, 10), extreme)
        with tf.GradientTape() as tape:
            tape.watch(logits)
            losses = loss_real(logits), loss_fake(logits)
            total = losses[0] + losses[1]
        assert [float(x) for x in losses] == pytest.approx([real, fake], abs=1e-3)
        assert np.all(np.isfinite(tape.gradient(total, logits)))


def test_eleven_outputs_say_the_same_as_ten():
    """With the fake class as an output of its own, P(real) is what the other ten have together."""
    outputs = np.random.default_rng(0).normal(0, 3, (50, 11)).astype("float32")
    softmax = keras.ops.softmax(outputs).numpy().astype(float)
    logits = class_logits(outputs, 10)
    np.testing.assert_allclose(
        keras.ops.sigmoid(real_logit(logits))[:, 0], softmax[:, :10].sum(axis=1), rtol=1e-4
    )
    labels = np.arange(50) % 10
    expected = -np.mean(np.log(softmax[np.arange(50), labels]))
    assert float(loss_labeled(outputs, labels)) == pytest.approx(expected, rel=1e-4)


def test_feature_loss_compares_means():
    a, b = np.random.default_rng(0).normal(size=(2, 40, 7)).astype("float32")
    expected = np.mean((a.mean(axis=0) - b[:30].mean(axis=0)) ** 2)
    assert float(loss_features(a, b[:30])) == pytest.approx(expected, rel=1e-5)
    assert float(loss_features(a, a[::-1])) == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize(
    "build", [build_dense_discriminator, build_noisy_convolutional_discriminator]
)
def test_saved_noisy_discriminators_need_none_of_our_code(tmp_path, build):
    network = build()
    saved = unfuse(network)
    assert {type(layer).__module__.split(".")[0] for layer in saved.layers} == {"keras"}
    saved.save(tmp_path / "discriminator.keras")
    loaded = keras.models.load_model(tmp_path / "discriminator.keras")
    pictures = np.random.default_rng(0).uniform(-1, 1, (5, 28, 28, 1)).astype("float32")
    assert np.array_equal(loaded(pictures), network(pictures))


def test_another_number_of_classes_than_the_discriminators_is_refused():
    with pytest.raises(ValueError, match="has 10 outputs, neither 8 nor 9"):
        SGAN(build_dense_generator(), build_dense_discriminator(), classes=8)


@pytest.mark.parametrize("outputs", [10, 11])
def test_logged_numbers_are_those_of_the_updates(outputs):
    """With a learning rate of 0 the networks stay as they are, and each can be computed apart."""
    gan = small_sgan(outputs=outputs, dropout=0.0, optimizer=lambda: keras.optimizers.SGD(0.0))
    (labeled, labels), unlabeled = first(batches(1, 64))
    noise_for_d, noise_for_g = gan.noise(0, 64)
    weights = gan.generator.get_weights()
    fakes = gan.generator(noise_for_d, training=False)
    fakes_for_g = gan.generator(noise_for_g, training=True)
    by_label, real, fake, fake_for_g = (
        gan.discriminator(x, training=True) for x in (labeled, unlabeled, fakes, fakes_for_g)
    )
    gan.generator.set_weights(weights)  # the running statistics have moved
    logs = gan.train_step(((labeled, labels), unlabeled))

    def p(outputs):
        logits = np.asarray(class_logits(outputs, 10), float)
        return 1 - 1 / (np.exp(logits).sum(axis=1) + 1)

    all_classes = keras.ops.softmax(by_label).numpy().astype(float)
    expected = {
        "c_loss": -np.mean(np.log(all_classes[np.arange(64), labels])),
        "c_accuracy": np.mean(np.argmax(all_classes[:, :10], axis=1) == labels),
        "d_loss": -(np.mean(np.log(p(real))) + np.mean(np.log(1 - p(fake)))) / 2,
        "d_accuracy": (np.mean(p(real) > 0.5) + np.mean(p(fake) <= 0.5)) / 2,
        "d_accuracy_real": np.mean(p(real) > 0.5),
        "d_accuracy_fake": np.mean(p(fake) <= 0.5),
        "g_loss": -np.mean(np.log(p(fake_for_g))),
    }
    assert {k: float(v) for k, v in logs.items()} == pytest.approx(expected, rel=1e-3)


def small_steps():
    """Over several iterations, rounding errors grow with the steps."""
    return keras.optimizers.SGD(1e-3)


@pytest.mark.parametrize(
    "iterations, optimizer, batch_norm",
    [
        (1, keras.optimizers.Adam, False),
        (3, small_steps, True),
    ],
)
def test_iteration_equals_the_books(iterations, optimizer, batch_norm):
    """The book's loop in plain Keras: one core, compiled with two heads, and G through it."""
    gan = small_sgan(
        batch_norm=batch_norm,
        dropout=0.0,
        optimizer=optimizer,
        steps_per_execution=iterations,
        run_eagerly=iterations == 1,  # several are compiled
    )
    start = [unfuse(network).get_weights() for network in networks_of(gan)]
    generator, core = unfuse(gan.generator), unfuse(gan.discriminator)

    def books_probability(logits):
        return 1 - 1 / (keras.ops.sum(keras.ops.exp(logits), axis=-1, keepdims=True) + 1)

    classifier = keras.Sequential([core, keras.layers.Activation("softmax")])
    classifier.compile(loss="categorical_crossentropy", optimizer=optimizer(), run_eagerly=True)
    detector = keras.Sequential([core, keras.layers.Lambda(books_probability)])
    detector.compile(loss="binary_crossentropy", optimizer=optimizer(), run_eagerly=True)
    combined = keras.Sequential([generator, detector])
    combined.compile(loss="binary_crossentropy", optimizer=optimizer(), run_eagerly=True)
    variables = core.trainable_variables
    (labeled, labels), unlabeled = stacked = batches(iterations)

    ones, zeros = np.ones((8, 1)), np.zeros((8, 1))
    for k in range(iterations):
        noise_for_d, noise_for_g = gan.noise(k, 8)
        classifier.train_on_batch(labeled[k], np.eye(10)[labels[k]])
        detector.train_on_batch(unlabeled[k], ones)
        detector.train_on_batch(
            in_the_books_keras(generator, k)(noise_for_d, training=False), zeros
        )
        for variable in variables:
            variable.trainable = False
        combined.train_on_batch(noise_for_g, ones)
        for variable in variables:
            variable.trainable = True
    gan.fit(
        tf.data.Dataset.from_tensor_slices(stacked),
        steps_per_epoch=iterations,
        shuffle=False,
        verbose=0,
    )

    generator = in_the_books_keras(generator, iterations)
    core = in_the_books_keras(core, 4 * iterations)
    for ours, books, weights in zip(networks_of(gan), (generator, core), start, strict=True):
        assert_same_way(unfuse(ours), books, weights, gan.g_optimizer)
    noise = gan.noise(99, 8)[0]
    assert_same_outputs(gan.generator(noise, training=True), generator(noise, training=True))
    assert_same_outputs(
        gan.discriminator(unlabeled[0], training=True), core(unlabeled[0], training=True)
    )


@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_feature_matching_updates_are_those_of_their_losses(weight):
    """One step with SGD, against the gradients computed apart."""
    gan = small_sgan(
        functools.partial(FeatureMatchingSGAN, adversarial_weight=weight),
        batch_norm=False,
        dropout=0.0,
        optimizer=lambda: keras.optimizers.SGD(1.0),
    )
    (labeled, labels), real = first(batches(1))
    noise = gan.noise(0, 8)[0]
    before = [v.numpy() for v in gan.generator.trainable_variables]
    fakes = gan.generator(noise, training=True)
    real_features = gan.features_and_outputs(real)[0]
    variables = gan.discriminator.trainable_variables
    with tf.GradientTape() as tape:
        loss = loss_labeled(gan.discriminator(labeled), labels)
        adversarial = loss_real(gan.discriminator(real)) + loss_fake(gan.discriminator(fakes))
        loss += weight * adversarial / 2
    expected_d = [v - g for v, g in zip(variables, tape.gradient(loss, variables), strict=True)]
    expected_d = [v.numpy() for v in expected_d]
    gan.train_step(((labeled, labels), real))
    for ours, expected in zip(variables, expected_d, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-5)
    after = [v.numpy() for v in gan.generator.trainable_variables]
    for variable, value in zip(gan.generator.trainable_variables, before, strict=True):
        variable.assign(value)
    with tf.GradientTape() as tape:  # through the discriminator as it is now
        features = gan.features_and_outputs(gan.generator(noise, training=True))[0]
        loss = loss_features(real_features, features)
    gradients = tape.gradient(loss, gan.generator.trainable_variables)
    for value, gradient, ours in zip(before, gradients, after, strict=True):
        np.testing.assert_allclose(ours, value - gradient, atol=1e-5)


def test_pseudo_labels_are_the_teachers_where_it_is_sure():
    logits = tf.constant([[0.0, 1, 2], [3, 1, 0], [1, 1, 1]])
    teacher = tf.Variable([[9.0, 0, 0], [0, 1, 0], [0, 0, 9]])  # unsure of the second
    with tf.GradientTape() as tape:
        loss, share = loss_pseudo_labels(logits, teacher, confidence=0.9)
    first, third = (
        np.log(np.sum(np.exp(row))) - row[i] for row, i in ((logits[0], 0), (logits[2], 2))
    )
    assert float(loss) == pytest.approx(float(first + third) / 3, rel=1e-6)
    assert float(share) == pytest.approx(2 / 3)
    assert tape.gradient(loss, teacher) is None


def test_aligned_classes_have_equal_shares_of_the_teachers_probabilities():
    """A teacher that likes the first class: after many batches, what it says is divided by that."""
    kind = functools.partial(PseudoLabelSGAN, align=True)
    gan = small_sgan(kind, batch_norm=False, dropout=0.0)
    logits = np.random.default_rng(0).normal(size=(500, 10)).astype("float32")
    logits[:, 0] += 2
    shares = keras.ops.softmax(logits).numpy().mean(axis=0)
    aligned = gan.aligned(logits).numpy()  # 1 % of the average
    expected = logits - np.log(0.99 / 10 + 0.01 * shares)
    np.testing.assert_allclose(aligned, expected, rtol=1e-5)
    for _ in range(600):
        aligned = gan.aligned(logits)
    np.testing.assert_allclose(gan.class_shares, shares, rtol=0.03)
    now = keras.ops.softmax(aligned).numpy().mean(axis=0)
    gan.class_shares.assign(np.eye(10)[0])  # as if the others had never been predicted
    assert np.isfinite(gan.aligned(logits * 0 + [[0] + [-200] * 9])).all()
    assert shares[0] > 0.35 and 0.05 < now.min() and now.max() < 0.15
    seen = []
    gan.aligned = lambda teacher_logits: seen.append(1) or teacher_logits
    gan.train_step(first(batches(1)))
    assert seen


def test_a_step_with_pseudo_labels():
    """The discriminator's update, by SGD, against the gradient of its loss; then the teacher."""
    gan = small_sgan(
        functools.partial(PseudoLabelSGAN, weight=3.0, confidence=0.05, ramp=8, decay=0.75),
        batch_norm=False,
        dropout=0.0,
        optimizer=lambda: keras.optimizers.SGD(0.1),
    )
    gan.g_optimizer.iterations.assign(4)  # half of the ramp
    (labeled, labels), real = first(batches(1))
    fakes = gan.generator(gan.noise(4, 8)[0], training=True)
    classes = np.argmax(gan.discriminator(real), axis=1)
    teachers = [weight.numpy() for weight in gan.teacher.weights]
    variables = gan.discriminator.trainable_variables
    with tf.GradientTape() as tape:
        loss = loss_labeled(gan.discriminator(labeled), labels)
        loss += loss_real(gan.discriminator(real)) / 2 + loss_fake(gan.discriminator(fakes)) / 2
        pseudo_label_loss = loss_labeled(gan.discriminator(real), classes)
        loss += 3.0 / 2 * pseudo_label_loss
    expected = [v - 0.1 * g for v, g in zip(variables, tape.gradient(loss, variables), strict=True)]
    logs = gan.train_step(((labeled, labels), real))
    assert float(logs["pseudo_label_loss"]) == pytest.approx(float(pseudo_label_loss), rel=1e-4)
    assert float(logs["pseudo_label_share"]) == 1  # with so little confidence
    for ours, value in zip(variables, expected, strict=True):
        np.testing.assert_allclose(ours, value, atol=1e-5)
    average = 5 / 14  # of the first steps; later 0.75
    for weight, now, before in zip(
        gan.teacher.weights, gan.discriminator.weights, teachers, strict=True
    ):
        np.testing.assert_allclose(weight, average * before + (1 - average) * now, atol=1e-6)


def test_the_teacher_sees_images_as_they_are_and_the_discriminator_augmented_ones(monkeypatch):
    """The teacher has no noise either."""
    gan = small_sgan(
        functools.partial(PseudoLabelSGAN, weight=1.0, confidence=0.05, ramp=8, decay=0.75),
        augmentation=build_augmentation(2),
        batch_norm=False,
    )
    (labeled, labels), real = first(batches(1))
    expected = gan.teacher(real, training=False).numpy()
    (moved_labeled, _), moved = gan.prepare(((labeled, labels), real))
    assert not np.array_equal(moved, real)
    given, answered = {}, []

    def record(network):
        given[network.name] = []
        ask = network.call

        def call(images, **settings):
            given[network.name].append(images)
            answered.append(ask(images, **settings))
            return answered[-1]

        monkeypatch.setattr(network, "call", call)

    gan.teacher.name, gan.features_and_outputs.name = "teacher", "discriminator"
    record(gan.features_and_outputs)
    record(gan.teacher)
    gan.train_step(((labeled, labels), real))
    (by_teacher,), (by_discriminator, _) = given["teacher"], given["discriminator"]
    assert np.array_equal(by_teacher, real)
    assert np.array_equal(answered[1], expected)
    assert np.array_equal(by_discriminator[:16], np.concatenate([moved_labeled, moved]))


def test_what_is_random_depends_on_seed_and_iteration():
    """Noise, dropout and changes of the images: the same from any state of Keras' own counters,
    then others.
    """

    def step(gan, earlier_draws=0, iteration=0):
        gan.g_optimizer.iterations.assign(iteration)
        for _ in range(earlier_draws):
            gan.discriminator(np.zeros((1, 28, 28, 1)), training=True)
            gan.augmentation(np.zeros((1, 28, 28, 1)), training=True)
        (images, _), unlabeled = gan.prepare(first(batches(1)))
        return np.stack([images, unlabeled]), gan.discriminator(images, training=True).numpy()

    gan = small_sgan(augmentation=build_augmentation(2, rotation=12, zoom=0.1))
    pictures, outputs = step(gan)
    again, outputs_again = step(gan, earlier_draws=3)
    assert np.array_equal(pictures, again) and np.array_equal(outputs, outputs_again)
    for other in (step(gan, iteration=1), step_with_seed(4, gan, step)):
        assert not np.array_equal(pictures, other[0])
        assert not np.array_equal(outputs, other[1])


def test_no_two_random_layers_draw_the_same_numbers():
    """Nor does a layer in two iterations, nor do layers and the generator's noise."""
    gan = FeatureMatchingSGAN(
        build_dense_generator(),
        build_dense_discriminator(),
        build_augmentation(2),
    )
    noisy = [x for x in gan.discriminator.layers if isinstance(x, keras.layers.GaussianNoise)]
    draws = []
    for iteration in range(3):
        set_random_layers(gan, seed=0, iteration=iteration)
        draws.append(gan.noise(iteration, 8)[0])
        for layer in noisy:
            for _ in range(2):
                draws.append(layer(np.zeros((8, 100)), training=True) / layer.stddev)
    draws = np.stack([np.ravel(x) for x in draws])
    correlations = np.corrcoef(draws) - np.eye(len(draws))
    assert np.max(np.abs(correlations)) < 0.2
    states = [v.numpy() for v in gan.variables if v.path.endswith("seed_generator_state")]
    assert len(states) == 7 and len({tuple(state) for state in states}) == 7


def step_with_seed(seed, gan, step):
    gan.seed = seed
    return step(gan)


def test_labelled_images_are_the_first_or_as_many_of_each_class():
    labels = np.random.default_rng(0).integers(0, 10, 500)
    assert np.array_equal(split.choose_labeled(labels, 7, False, 0), np.arange(7))
    chosen = split.choose_labeled(labels, 30, True, 0)
    assert np.bincount(labels[chosen]).tolist() == [3] * 10 and len(set(chosen)) == 30
    assert np.array_equal(chosen, split.choose_labeled(labels, 30, True, 0))
    assert not np.array_equal(chosen, split.choose_labeled(labels, 30, True, 1))


def test_confusion_matrix_has_a_row_for_each_true_class():
    labels, predicted = np.array([0, 0, 0, 0, 2]), np.array([0, 1, 1, 2, 2])
    expected = [[0.25, 0.5, 0.25], [0, 0, 0], [0, 0, 1]]
    np.testing.assert_allclose(figures.confusion_matrix(labels, predicted, 3), expected)


@pytest.mark.parametrize(
    "name, classes, names",
    [
        ("mnist", 10, tuple("0123456789")),
        ("fashion_mnist", 10, data.CLASS_NAMES["fashion_mnist"]),
        ("own", 10, tuple("0123456789")),
        ("own", 12, (*"0123456789", "10", "11")),
    ],
)
def test_comparison_on_data_of_any_name(monkeypatch, name, classes, names):
    """Each network classifies the test images once."""
    labels = (np.arange(36) % classes).astype(np.int32)
    pictures = np.random.default_rng(0).integers(0, 256, (36, 28, 28, 1), dtype=np.uint8)
    dataset = data.Dataset(name, "own", pictures, labels, pictures[:24], labels[:24])
    classified, written, shown = [], {}, []

    def classify(network, images):  # all right, but for the baseline's first
        classified.append((network, len(images)))
        return np.where(np.arange(len(images)) < (network == "B"), 1, labels[: len(images)])

    def confusion(*arguments):
        shown.append(arguments)
        return original(*arguments)

    original = figures.confusion
    monkeypatch.setattr(comparison, "CLASSES", classes)
    monkeypatch.setattr(comparison, "classify", classify)
    monkeypatch.setattr(figures, "confusion", confusion)
    labeled = split.Split(pictures[:classes], labels[:classes], pictures[classes:])
    run = types.SimpleNamespace(
        history=[{"iteration": 1, "test_accuracy": 0.5}], write=written.__setitem__
    )
    both = {"SGAN": "S", comparison.BASELINE: "B"}
    found = comparison.compare(run, "title", both, labeled, dataset)
    assert found["test_accuracy"] == found["labeled_accuracy"] == 1
    assert found["baseline_test_accuracy"] == pytest.approx(23 / 24)
    assert sorted(classified) == sorted((n, count) for n in "SB" for count in (classes, 24))
    assert tuple(shown[0][2]) == names and set(written) == {"learning_curve.png", "confusion.png"}


BOOK = [*SMOKE, "--labeled", "60", "--head", "k-plus-1"]
DENSE = [*SMOKE, "--networks", "dense", "--no-discriminator-batch-norm", "--feature-matching"]
DENSE += ["--balanced", "--shift", "2", "--pseudo-labels", "0.5"]
DENSE += ["--precision", FEWER_BITS, "--learning-rate-decay", "--beta-1", "0.5"]
QUICK = [*DENSE, "--networks", "noisy-convolutional", "--rotation", "12", "--zoom", "0.1"]
QUICK += ["--align-classes"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run's folder, and what it printed."""
    folder = tmp_path_factory.mktemp("chapter07") / "run"
    moments = {"killed": SECOND_CHECKPOINT, "killed_after_training": ("results.json", 1)}
    kept = {folder.with_name(name): moment for name, moment in moments.items()}
    with contextlib.redirect_stdout(io.StringIO()) as out, kept_as_killed(folder, kept):
        train.main([*BOOK, "--output-dir", str(folder)])
    return folder, out.getvalue()


def test_smoke_run_leaves_what_the_readme_promises(finished):
    folder, out = finished
    results = json.loads((folder / "results.json").read_text())
    dataset = data.load("sample")
    x, y = dataset.x_test.astype("float32") / 127.5 - 1, dataset.y_test
    for name, key in (("discriminator", "test_accuracy"), ("baseline", "baseline_test_accuracy")):
        network = keras.models.load_model(folder / f"{name}.keras")
        classes = network.predict(x, verbose=0)[:, :10]  # the eleventh is that of generated images
        accuracy = np.mean(np.argmax(classes, axis=1) == y)
        assert results[key] == pytest.approx(accuracy, abs=0.002)  # an image or two on the edge
        assert f"{results[key]:.2%}" in out
    assert "60 with labels" in out
    assert images.read(folder / "samples" / "000004.png").shape[0] > 400
    assert images.read(folder / "confusion.png").shape[1] > 1400
    assert frames_of(folder / "progress.gif") == 3
    assert (folder / "learning_curve.png").exists() and (folder / "generator.keras").exists()
    assert "test_accuracy" in (folder / "history.csv").read_text().splitlines()[0]


@pytest.mark.parametrize(
    "when", [pytest.param("killed", marks=pytest.mark.slow), "killed_after_training"]
)
def test_killed_and_resumed_run_ends_in_the_same_bits(finished, when):
    """After its training, while results.json is written, too: then the baseline is repeated."""
    check_resumed(train, ["--resume", finished[0].with_name(when)], finished[0])


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_killed_and_resumed_run_of_quicks_kind_ends_in_the_same_bits(tmp_path):
    check_killed_and_resumed(train, QUICK, tmp_path / "whole", tmp_path / "run")


def test_settings_reach_the_networks_and_optimisers(monkeypatch):
    book = train.PRESETS["book"]
    assert (book.iterations, book.batch_size, book.labeled) == (8000, 32, 100)
    assert book.baseline_epochs == 30 and not book.feature_matching and not book.balanced
    quick, dense = train.PRESETS["quick"], train.PRESETS["feature-matching"]
    assert variants.choose_model(dense).func is FeatureMatchingSGAN and dense.networks == "dense"
    assert variants.choose_model(quick).func is PseudoLabelSGAN and quick.adversarial_weight == 1
    assert quick.align_classes and not dense.align_classes
    assert (quick.networks, quick.rotation, quick.zoom) == ("noisy-convolutional", 12, 0.1)
    assert not quick.with_flags({"pseudo_labels": "0"}).align_classes  # it has no part then
    seen = {}

    class Stop(Exception):
        pass

    def compile_and_stop(self, **kwargs):
        seen.update(kwargs, gan=self)
        raise Stop

    monkeypatch.setattr(SGAN, "compile", compile_and_stop)
    monkeypatch.setattr(FeatureMatchingSGAN, "compile", compile_and_stop)  # and its subclass'
    rates = ["--classifier-learning-rate", "0.5", "--discriminator-learning-rate", "0.25"]
    rates += ["--generator-learning-rate", "0.125", "--learning-rate-decay", "--beta-1", "0.75"]
    with pytest.raises(Stop):
        train.main([*SMOKE, *rates, "--no-discriminator-batch-norm", "--head", "k-plus-1"])
    assert type(seen["gan"]) is SGAN and seen["gan"].augmentation is None
    assert seen["gan"].discriminator.count_params() == 113_162 + 2049  # an eleventh output
    for name, rate, updates in (("c", 0.5, 4), ("d", 0.25, 8), ("g", 0.125, 4)):
        optimizer = seen[f"{name}_optimizer"]
        assert optimizer.beta_1 == 0.75
        values = [float(optimizer._learning_rate(step)) for step in (0, updates // 2, updates)]
        assert values == [rate, rate / 2, 0.0]
    seen.clear()
    augmented, build = [], variants.build_augmentation
    monkeypatch.setattr(
        variants,
        "build_augmentation",
        lambda *amounts: augmented.append(amounts) or build(*amounts),
    )
    with pytest.raises(Stop):
        train.main([*DENSE, *rates, "--confidence", "0.75"])
    assert type(seen["gan"]) is PseudoLabelSGAN and "c_optimizer" not in seen
    assert (seen["gan"].weight, seen["gan"].confidence) == (0.5, 0.75)
    assert seen["gan"].class_shares is None
    assert isinstance(seen["gan"].augmentation.layers[0], keras.layers.RandomTranslation)
    assert float(seen["d_optimizer"]._learning_rate(2)) == 0.125
    assert seen["gan"].discriminator.count_params() == build_dense_discriminator().count_params()
    seen.clear()
    with pytest.raises(Stop):
        train.main([*QUICK, "--adversarial-weight", "0.5"])
    assert seen["gan"].adversarial_weight == 0.5 and seen["gan"].class_shares.shape == (10,)
    kinds = [type(layer).__name__ for layer in seen["gan"].augmentation.layers]
    assert kinds == ["RandomRotation", "RandomZoom", "RandomTranslation"]
    assert augmented == [(2, 0, 0), (2, 12, 0.1)]
    expected = build_noisy_convolutional_discriminator().count_params()
    assert seen["gan"].discriminator.count_params() == expected


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--labeled", "5000"], "--labeled 5000 is more than the 4000 training images"),
        (
            ["--labeled", "55", "--balanced"],
            "--labeled 55 cannot be shared equally among 10 classes",
        ),
        (["--labeled", "3999"], "leaves 1 images without labels, fewer than --batch-size 16"),
        (["--labeled", "4000"], "leaves 0 images without labels, fewer than --batch-size 16"),
        (["--labeled", "0"], "--labeled 0: should be greater than 0"),
        (["--head", "k+1"], "--head"),
        (["--shift", "40"], "--shift 40: should be less than or equal to 7"),
        (["--feature-matching"], "--feature-matching needs a discriminator without batch norm"),
        (["--pseudo-labels", "1"], "--pseudo-labels needs --feature-matching"),
        (["--align-classes"], "--align-classes needs --pseudo-labels"),
        (["--confidence", "0.5", "--dry-run"], "--confidence needs --pseudo-labels"),
        (["--shift", "2", "--xla"], "--shift, --rotation and --zoom cannot be compiled with XLA"),
        (["--zoom", "0.1", "--xla"], "--shift, --rotation and --zoom cannot be compiled with XLA"),
        (["--adversarial-weight", "0"], "--adversarial-weight needs --feature-matching"),
        (["--networks", "dense"], "with --preset smoke, give --no-discriminator-batch-norm"),
        (["--validation-images", "60"], "60 test images (or --validation-images) are too few"),
        (["--validation-images", "4000"], "leaves none of 4000 training images"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(tmp_path, monkeypatch, capsys, flags, words):
    monkeypatch.chdir(tmp_path)
    assert words in error_of(train.main, [*SMOKE, *flags], capsys)
    assert list(tmp_path.iterdir()) == []
