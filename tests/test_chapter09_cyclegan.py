"""Chapter 9: the networks, the four networks' game, and what a run leaves."""

import json

import imageio.v3 as imageio
import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import FEWER_BITS, check_killed_and_resumed, error_of, frames_of, run_eagerly

from chapter09_cyclegan import augmentation, domains, evaluation, networks, train, translate
from chapter09_cyclegan.cyclegan import CycleGAN, loss_cycle, loss_fake, loss_identity, loss_real
from chapter09_cyclegan.discogan import DiscoGAN
from chapter09_cyclegan.domains import load_domains
from chapter09_cyclegan.paper import PaperCycleGAN
from chapter09_cyclegan.pool import ImagePool
from chapter09_cyclegan.schedule import LinearDecay, decayed_adam
from common.photos import resize

SMOKE = ["--preset", "smoke"]
SHAPE = (32, 32, 1)
JOINT = {"image_shape": SHAPE, "pool_size": 0}  # one update of a discriminator, and no pool


def small_gan(kind=CycleGAN, optimizer=lambda: keras.optimizers.SGD(0.1), **settings):
    gan = kind(
        networks.build_unet(1, 2),
        networks.build_unet(1, 2),
        networks.build_discriminator(1, 4, 34),
        networks.build_discriminator(1, 4, 34),
        **settings,
    )
    gan.compile(optimizer(), optimizer(), optimizer())
    return gan


def pictures(n, seed, shape=SHAPE):
    return np.random.default_rng(seed).uniform(-1, 1, (n, *shape)).astype("float32")


def networks_of(gan):
    return {name: getattr(gan, name) for name in ("g_AB", "g_BA", "d_A", "d_B")}


# The networks


def test_unet_is_the_books():
    unet = networks.build_unet()
    down = [(3, 32), (32, 64), (64, 128), (128, 256)]
    up = [(256, 128), (128 + 128, 64), (64 + 64, 32), (32 + 32, 3)]
    convolutions = sum(4 * 4 * i * o + o for i, o in down + up)
    norms = 2 * sum(o for _, o in down + up[:3])  # a scale and an offset for each channel
    assert unet.count_params() == convolutions + norms == 1_546_819
    for shape in ((1, 128, 128, 3), (2, 16, 48, 3)):
        translated = unet(np.ones(shape, np.float32))
        assert translated.shape == shape and np.max(np.abs(translated)) <= 1


def test_discriminator_is_the_books_and_the_papers():
    book = networks.build_discriminator()
    sizes = [(3, 64), (64, 128), (128, 256), (256, 512), (512, 1)]
    convolutions = sum(4 * 4 * i * o + o for i, o in sizes)
    assert book.count_params() == convolutions + 2 * (128 + 256 + 512) == 2_766_529
    assert book(np.ones((2, 128, 128, 3))).shape == (2, 8, 8, 1)
    assert networks.build_discriminator(patch=70)(np.ones((1, 256, 256, 3))).shape == (1, 32, 32, 1)


@pytest.mark.parametrize("patch", networks.PATCHES)
def test_patch_is_what_one_score_sees(patch):
    seen = 1
    for layer in reversed(networks.build_discriminator(patch=patch).layers):
        if isinstance(layer, keras.layers.Conv2D):
            seen = (seen - 1) * layer.strides[0] + layer.kernel_size[0]
    assert seen == patch


def test_resnet_is_the_papers(tmp_path):
    resnet = networks.build_resnet(blocks=9)
    sizes = [(7, 3, 64), (3, 64, 128), (3, 128, 256), *[(3, 256, 256)] * 18]
    sizes += [(3, 256, 128), (3, 128, 64), (7, 64, 3)]
    convolutions = sum(k * k * i * o + o for k, i, o in sizes)
    norms = 2 * sum(o for _, _, o in sizes[:-1])
    assert resnet.count_params() == convolutions + norms
    weights = [w for w in resnet.get_weights() if w.ndim == 4]
    assert np.std(weights[5]) == pytest.approx(0.02, rel=0.02)
    assert not np.array_equal(weights[5], weights[6])  # each layer has a draw of its own

    small = networks.build_resnet(1, 4, blocks=1)
    image = pictures(2, 0, (24, 36, 1))
    assert small(image).shape == image.shape
    small.save(tmp_path / "resnet.keras")
    loaded = keras.models.load_model(tmp_path / "resnet.keras")
    assert np.array_equal(loaded(image), small(image))


def test_instance_norm_is_per_image_and_channel():
    image = keras.Input((None, None, 5))
    model = keras.Model(image, networks.instance_norm(image, 1e-3))
    gamma, beta = np.array([1.0, 2, 3, 4, 5]), np.array([0.0, 1, 0, -1, 0])
    model.layers[-1].set_weights([gamma, beta])
    x = np.random.default_rng(0).normal(3, 2, (4, 6, 7, 5)).astype("float32")
    x[1] *= 5
    x[..., 2] -= 7
    mean, variance = x.mean(axis=(1, 2), keepdims=True), x.var(axis=(1, 2), keepdims=True)
    expected = (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(model(x), expected, atol=2e-4)


# The losses, the decay, the pool


def test_losses():
    scores = np.array([[0.0, 2.0], [1.0, 3.0]], np.float32).reshape(1, 2, 2, 1)
    assert float(loss_real(scores)) == pytest.approx((1 + 1 + 0 + 4) / 4)
    assert float(loss_fake(scores)) == pytest.approx((0 + 4 + 1 + 9) / 4)
    one, other = np.zeros((1, 2, 2, 1), np.float32), scores
    assert float(loss_cycle(one, other)) == float(loss_identity(one, other)) == pytest.approx(1.5)
    assert float(DiscoGAN.loss_cycle(one, other)) == pytest.approx(14 / 4)
    chances = 1 / (1 + np.exp(-scores))
    assert float(DiscoGAN.loss_real(scores)) == pytest.approx(-np.mean(np.log(chances)), rel=1e-5)
    assert float(DiscoGAN.loss_fake(scores)) == pytest.approx(
        -np.mean(np.log(1 - chances)), rel=1e-5
    )


def test_learning_rate_is_constant_and_then_falls_to_0():
    rate = LinearDecay(0.5, constant_updates=10, decay_updates=4)
    steps = [0, 9, 10, 11, 12, 13, 14, 15]
    assert [float(rate(step)) for step in steps] == [0.5, 0.5, 0.5, 0.375, 0.25, 0.125, 0, 0]
    assert LinearDecay.from_config(rate.get_config())(12) == 0.25
    adam = decayed_adam(0.5, 0.9, updates=14, decay=2 / 7)
    weight = keras.Variable([1.0])
    adam.build([weight])
    adam.iterations.assign(12)
    assert float(adam.learning_rate) == 0.25
    assert decayed_adam(0.5, 0.9, updates=14, decay=0)._learning_rate == 0.5


def numbered(first, n=4):
    """Images that are filled with their number."""
    return tf.ones((n, 2, 2, 1)) * tf.reshape(
        tf.range(first, first + n, dtype="float32"), (n, 1, 1, 1)
    )


def test_pool_gives_new_images_until_it_is_full_and_then_half_of_them():
    pool, size = ImagePool(10, (2, 2, 1)), 10
    given, returned_old, new = [], 0, 1
    for step in range(200):
        images = numbered(new)
        shown = pool.exchange(images, tf.constant([0, step])).numpy()
        assert np.all(shown == shown[:, :1, :1])  # no mixture of images
        numbers = shown[:, 0, 0, 0]
        if new <= size:
            assert np.array_equal(shown, images)
        else:
            came_back = numbers[numbers < new]
            returned_old += len(came_back)
            assert np.all(came_back > 0)  # nothing that was never put in
            assert not set(came_back) & set(given)  # what was given left its place
            given += list(came_back)
            kept = pool.images.numpy()[:, 0, 0, 0]
            stayed = numbers[numbers >= new]
            assert not set(stayed) & set(kept) and len(set(kept)) == size
        new += 4
    assert int(pool.count) == 800
    assert returned_old / (800 - 12) == pytest.approx(0.5, abs=0.05)


def test_pool_is_a_function_of_its_seed():
    def run(seed):
        pool = ImagePool(6, (2, 2, 1))
        return [pool.exchange(numbered(4 * k), tf.constant([seed, k])).numpy() for k in range(9)]

    assert np.array_equal(run(1), run(1))
    assert not np.array_equal(run(1), run(2))


# The training step


def books_iteration(g_AB, g_BA, d_A, d_B, real_A, real_B, optimizer):
    """The book's, by train_on_batch; each discriminator is updated before it is frozen."""
    scores = d_A(real_A).shape
    real, fake = np.ones(scores), np.zeros(scores)
    for discriminator in (d_A, d_B):
        discriminator.compile(loss="mse", optimizer=optimizer(), run_eagerly=True)
    fake_B, fake_A = g_AB.predict(real_A, verbose=0), g_BA.predict(real_B, verbose=0)
    d_losses = [
        discriminator.train_on_batch(images, target)
        for discriminator, images, target in (
            (d_A, real_A, real),
            (d_A, fake_A, fake),
            (d_B, real_B, real),
            (d_B, fake_B, fake),
        )
    ]
    d_A.trainable = d_B.trainable = False
    A, B = keras.Input(SHAPE), keras.Input(SHAPE)
    combined = keras.Model(
        [A, B],
        [d_A(g_BA(B)), d_B(g_AB(A)), g_BA(g_AB(A)), g_AB(g_BA(B)), g_BA(A), g_AB(B)],
    )
    combined.compile(
        loss=["mse", "mse", "mae", "mae", "mae", "mae"],
        loss_weights=[1, 1, 10, 10, 9, 9],
        optimizer=optimizer(),
        run_eagerly=True,
    )
    g_loss = combined.train_on_batch([real_A, real_B], [real, real, real_A, real_B, real_A, real_B])
    return d_losses, g_loss[0]


def test_iteration_is_the_books():
    """With the sizes of the gradients, and one momentum for both updates of a discriminator."""

    def optimizer():
        return keras.optimizers.SGD(0.05, momentum=0.9)

    gan = small_gan(optimizer=optimizer)
    copies = {}
    for name, network in networks_of(gan).items():
        copies[name] = keras.models.clone_model(network)
        copies[name].name = name  # Keras wants another for each network of a model
        copies[name].set_weights(network.get_weights())
    before = {name: network.get_weights() for name, network in networks_of(gan).items()}
    A, B = pictures(3, 1), pictures(3, 2)
    d_losses, g_loss = books_iteration(**copies, real_A=A, real_B=B, optimizer=optimizer)
    logs = gan.train_step((A, B))
    for name, network in networks_of(gan).items():
        for ours, books, first in zip(
            network.get_weights(), copies[name].get_weights(), before[name], strict=True
        ):
            np.testing.assert_allclose(ours, books, rtol=1e-3, atol=2e-5, err_msg=name)
            assert not np.array_equal(ours, first)
    assert float(logs["d_A_loss"]) == pytest.approx(np.mean(d_losses[:2]), rel=1e-4)
    assert float(logs["d_B_loss"]) == pytest.approx(np.mean(d_losses[2:]), rel=1e-4)
    assert float(logs["g_loss"]) == pytest.approx(g_loss, rel=1e-4)


@pytest.mark.parametrize(
    "kind, settings, lambda_identity",
    [(CycleGAN, {}, 2.0), (PaperCycleGAN, JOINT, 2.0), (DiscoGAN, JOINT, 0.0)],
)
def test_logged_numbers_are_those_of_the_losses(kind, settings, lambda_identity):
    """With a learning rate of 0 the networks stay as they are, and each can be computed apart."""
    gan = small_gan(
        kind,
        optimizer=lambda: keras.optimizers.SGD(0.0),
        lambda_cycle=3.0,
        lambda_identity=lambda_identity,
        **settings,
    )
    A, B = pictures(3, 1), pictures(3, 2)
    fake_B, fake_A = gan.g_AB(A), gan.g_BA(B)
    real = kind.loss_real(gan.d_A(A)), kind.loss_real(gan.d_B(B))
    fake = kind.loss_fake(gan.d_A(fake_A)), kind.loss_fake(gan.d_B(fake_B))
    adversarial = kind.loss_real(gan.d_A(fake_A)) + kind.loss_real(gan.d_B(fake_B))
    cycle = kind.loss_cycle(A, gan.g_BA(fake_B)) + kind.loss_cycle(B, gan.g_AB(fake_A))
    identity = np.mean(np.abs(A - gan.g_BA(A))) + np.mean(np.abs(B - gan.g_AB(B)))
    identity *= lambda_identity > 0  # without weight it is not computed
    expected = {
        "d_A_loss": (real[0] + fake[0]) / 2,
        "d_B_loss": (real[1] + fake[1]) / 2,
        "adversarial_loss": adversarial / 2,
        "cycle_loss": cycle / 2,
        "identity_loss": identity / 2,
        "g_loss": adversarial + 3 * cycle + lambda_identity * identity,
    }
    logs = {name: float(value) for name, value in gan.train_step((A, B)).items()}
    assert logs == pytest.approx({k: float(v) for k, v in expected.items()}, rel=1e-4)


def test_one_update_on_both_kinds_of_images_is_the_papers():
    gan = small_gan(PaperCycleGAN, **JOINT)
    d_A = keras.models.clone_model(gan.d_A)
    d_A.set_weights(gan.d_A.get_weights())
    A, B = pictures(3, 1), pictures(3, 2)
    with tf.GradientTape() as tape:
        loss = (loss_real(d_A(A)) + loss_fake(d_A(gan.g_BA(B)))) / 2
    keras.optimizers.SGD(0.1).apply(
        tape.gradient(loss, d_A.trainable_variables), d_A.trainable_variables
    )
    gan.train_step((A, B))
    for ours, expected in zip(gan.d_A.get_weights(), d_A.get_weights(), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_discriminators_are_shown_the_pool_of_their_domain(monkeypatch):
    """Two translations in each iteration, numbered: from 1 on of A, from 101 on of B."""
    gan = small_gan(PaperCycleGAN, image_shape=(2, 2, 1), pool_size=4)
    shown = []
    monkeypatch.setattr(
        gan, "train_discriminator", lambda d, o, real, fake: shown.append(fake[:, 0, 0, 0]) or 0.0
    )
    A, B = pictures(2, 1), pictures(2, 2)
    for iteration in range(8):
        gan.g_optimizer.iterations.assign(iteration)
        first = 1 + 2 * iteration
        gan.train_discriminators(A, B, numbered(first, 2), numbered(100 + first, 2))
    of_A, of_B = np.array(shown[::2]), np.array(shown[1::2]) - 100
    for numbers in (of_A, of_B):
        assert np.array_equal(numbers[:2], [[1, 2], [3, 4]])  # until the pool is full
        assert np.all((numbers >= 1) & (numbers <= 16))
        assert np.any(numbers[2:] <= 4)  # of the first two iterations, shown after them
    assert not np.array_equal(of_A, of_B)


def test_augmentation_is_a_function_of_seed_and_iteration(monkeypatch):
    class Stop(Exception):
        pass

    def stop(*arguments):  # all that is asked for is drawn before
        raise Stop

    monkeypatch.setattr(CycleGAN, "translate_with_identity", stop)

    def seeds_of(seed):
        seen = []
        gan = small_gan(seed=seed, augmentation=lambda images, key: seen.append(key) or images)
        for iteration in (5, 6, 5):
            gan.g_optimizer.iterations.assign(iteration)
            with pytest.raises(Stop):
                gan.train_step((pictures(2, 1), pictures(2, 2)))
        return [tuple(key.numpy()) for key in seen]  # of A and B, for each of the three

    keys = seeds_of(1)
    assert keys[4:] == keys[:2] and len(set(keys)) == 4
    assert not set(keys) & set(seeds_of(2))


# The augmentation


def test_flip_mirrors_half_of_the_images():
    images = pictures(400, 0, (4, 6, 1))
    flipped = augmentation.flip(images, tf.constant([1, 2])).numpy()
    mirrored = [np.array_equal(a, b[:, ::-1]) for a, b in zip(flipped, images, strict=True)]
    same = [np.array_equal(a, b) for a, b in zip(flipped, images, strict=True)]
    assert all(m != s for m, s in zip(mirrored, same, strict=True))
    assert np.mean(mirrored) == pytest.approx(0.5, abs=0.1)
    assert np.array_equal(flipped, augmentation.flip(images, tf.constant([1, 2])))


def places_of(window, image):
    """Where 32×48 pixels of 35×53 are these: pairs of the first row and the first column."""
    return [
        (top, left)
        for top in range(4)
        for left in range(6)
        if np.array_equal(window, image[top : top + 32, left : left + 48])
    ]


def test_cut_is_a_window_of_the_enlarged_image():
    images = pictures(40, 0, (32, 48, 3))
    larger = tf.image.resize(images, (35, 53)).numpy()
    windows = augmentation.cut(images, tf.constant([3, 4])).numpy()
    places = set()
    for window, image in zip(windows, larger, strict=True):
        (place,) = places_of(window, image)
        places.add(place)
    jittered = augmentation.jitter(images, tf.constant([3, 4])).numpy()
    straight = [len(places_of(x, image)) for x, image in zip(jittered, larger, strict=True)]
    mirrored = [len(places_of(x[:, ::-1], y)) for x, y in zip(jittered, larger, strict=True)]
    assert np.array_equal(np.add(straight, mirrored), np.ones(40)) and 10 < sum(mirrored) < 30
    assert {top for top, _ in places} == set(range(4))  # up to the last place there is
    assert {left for _, left in places} == set(range(6))


# The evaluation


LARGE = (48, 48, 3)  # larger than what the evaluator's classifier sees


def made_domains(n=60, shape=LARGE):
    """A: darker above; B: darker below."""
    random = np.random.default_rng(0)
    slope = np.linspace(0, 255, shape[0])[:, np.newaxis, np.newaxis]

    def part(direction):
        noise = random.normal(0, 20, (n, *shape))
        return np.clip(slope[::direction] + noise, 0, 255).astype(np.uint8)

    return domains.Domains("made", ("A", "B"), part(1), part(-1), part(1), part(-1), "")


@pytest.fixture(scope="module")
def made():
    return made_domains()


@pytest.fixture(scope="module")
def evaluator(made):
    return evaluation.Evaluator(made, epochs=12)


def test_evaluator_measures_both_directions(made, evaluator):
    untranslated = evaluator.evaluate_untranslated()
    assert untranslated == {"untranslated_AB_target": 0.0, "untranslated_BA_target": 0.0}

    class Generators:  # A to B right, B to A wrong: it makes what is there a little darker
        image = keras.Input(LARGE)
        g_AB = keras.Model(image, keras.layers.Lambda(lambda x: x[:, ::-1])(image))
        g_BA = keras.Model(image, keras.layers.Lambda(lambda x: x - 0.125)(image))

    measured = evaluator.evaluate(Generators)
    assert (measured["AB_target"], measured["BA_target"]) == (1.0, 0.0)
    assert measured["BA_change"] == measured["BA_identity_error"] == pytest.approx(0.125)
    assert measured["BA_cycle_error"] == pytest.approx(measured["AB_change"], abs=0.2)
    assert measured["AB_cycle_error"] == pytest.approx(measured["AB_change"], abs=0.2)
    page = evaluation.sample_cycles(Generators, made, rows=2).reshape(2, 6, *LARGE)
    A, B = evaluation.scale(made.test_A[:2]), evaluation.scale(made.test_B[:2])
    np.testing.assert_allclose(page[:, 0], A)
    np.testing.assert_allclose(page[:, 1], A[:, ::-1])
    np.testing.assert_allclose(page[:, 2], A[:, ::-1] - 0.125)
    np.testing.assert_allclose(page[:, 5], (B - 0.125)[:, ::-1])


def test_evaluator_looks_at_large_images_brought_down(made, evaluator, monkeypatch):
    seen, predict = [], evaluation.predict

    def spy(network, images, batch_size):
        seen.append(images.shape[1:])
        return predict(network, images, batch_size)

    monkeypatch.setattr(evaluation, "predict", spy)
    assert evaluator.share_of_B(evaluation.scale(made.test_B)) == 1.0
    assert seen == [(32, 32, 3)]


def test_large_images_are_evaluated_fewer_at_a_time(monkeypatch):
    made = made_domains(n=7, shape=(48, 48, 3))
    whole = evaluation._for_training(made.train_A)
    sizes = []
    monkeypatch.setattr(evaluation, "MOST_PIXELS", 3 * 48 * 48)
    mean = evaluation._mean(lambda part: sizes.append(len(part)) or np.mean(part), made.test_A)
    assert sizes == [3, 3, 1]
    assert mean == pytest.approx(np.mean(evaluation.scale(made.test_A)), abs=1e-6)
    assert np.array_equal(evaluation._for_training(made.train_A), whole)
    monkeypatch.undo()
    for size, count in ((32, 100), (256, 100), (512, 25), (2048, 1), (4096, 1)):
        assert evaluation._at_a_time(np.empty((9, size, size, 3), np.uint8), most=100) == count


def test_evaluator_of_digits_is_not_trained_on_mirrored_images(monkeypatch):
    seen = []
    monkeypatch.setattr(
        keras.Sequential, "fit", lambda self, *_, **__: seen.append(list(self.layers))
    )
    for mirrored in (True, False):
        evaluation.Evaluator(made_domains(n=2), epochs=1, mirrored=mirrored)
    flips = [
        [layer for layer in layers if isinstance(layer, keras.layers.RandomFlip)] for layers in seen
    ]
    assert [len(of_one) for of_one in flips] == [1, 0]
    assert all(map(train.is_of_digits, ("mnist:2:5", "sample:3:8")))
    assert not any(map(train.is_of_digits, ("fashion_sample:bag:coat", "apple2orange", "mnist2")))


# Runs


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    fewer = ["--dataset", "sample:3:8", "--batch-size", "190", "--pool-size", "190"]  # iterations
    fewer += ["--augmentation", "cut"]
    with run_eagerly():
        return folder, train.main([*SMOKE, *fewer, "--output-dir", str(folder)])


def test_what_a_run_leaves(finished):
    folder, results = finished
    assert results == json.loads((folder / "results.json").read_text())
    assert results["iterations"] == 2 * 2  # passes over the larger domain
    config = json.loads((folder / "config.json").read_text())
    assert config["data"]["training_images"] == [392, 373]
    assert config["data"]["test_images"] == [107, 89]
    names = [path.name for path in sorted((folder / "samples").iterdir())]
    assert names == ["000000.png", "000002.png", "000004.png"]
    assert frames_of(folder / "progress.gif") == 3
    page = imageio.imread(folder / "samples" / "000004.png")
    assert page.shape == (5 * (3 * 32 + 2) + 2, 6 * (3 * 32 + 2) + 2)

    # The picture is of the test images, and what the saved networks make of them.
    found = load_domains("sample:3:8", 32)
    cell = page[2 : 2 + 96 : 3, 2 : 2 + 96 : 3]
    assert np.array_equal(cell, found.test_A[0, ..., 0])
    g_AB = keras.models.load_model(folder / "g_AB.keras")
    translated = g_AB(evaluation.scale(found.test_A[:1])).numpy()[0, ..., 0]
    cell = page[2 : 2 + 96 : 3, 100 : 100 + 96 : 3].astype(int)
    np.testing.assert_allclose(cell, (translated + 1) * 127.5, atol=1)
    for name in ("g_BA", "d_A", "d_B"):
        keras.models.load_model(folder / f"{name}.keras")
    assert imageio.imread(folder / "history.png").shape[1] == 3 * 600
    last = (folder / "history.csv").read_text().splitlines()[-1].split(",")
    assert float(last[-8]) == pytest.approx(results["AB_target"])


def make_photos(folder):
    """Unequal domains of small photos."""
    random = np.random.default_rng(0)
    for part, count in zip(domains.PARTS, (5, 3, 2, 4), strict=True):
        (folder / part).mkdir(parents=True)
        for i in range(count):
            photo = random.integers(0, 256, (20 + i, 30, 3), dtype=np.uint8)
            imageio.imwrite(folder / part / f"{i}.png", photo)
    return folder


@pytest.mark.usefixtures("eagerly")
def test_killed_run_resumed_elsewhere_with_less_memory_ends_in_the_same_bits(tmp_path, monkeypatch):
    """With the pool, the decay and the augmentation.

    The first of the two iterations fills the pool; in the second, the learning rate has fallen. The
    resumed run reads its images as they are needed, from a folder whose name it was given relative
    to another.
    """
    make_photos(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    flags = [*SMOKE, "--dataset", "photos", "--batch-size", "3", "--pool-size", "3"]
    flags += ["--decay", "0.9", "--no-separate-updates", "--precision", FEWER_BITS]

    def between():
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        monkeypatch.setattr(load_domains, "__defaults__", (None, 0, 0))  # no memory for images

    check_killed_and_resumed(train, flags, tmp_path / "whole", tmp_path / "run", between)


def test_settings_reach_the_networks_and_optimisers(monkeypatch):
    book, paper = train.PRESETS["book"], train.PRESETS["paper"]
    assert (book.size, book.batch_size, book.epochs) == (128, 64, 100)
    assert (book.lambda_cycle, book.lambda_identity) == (10, 9)
    assert (book.learning_rate, book.beta_1, book.decay) == (2e-4, 0.5, 0)
    assert (paper.size, paper.batch_size, paper.epochs) == (256, 1, 200)
    assert (paper.pool_size, paper.lambda_identity, paper.decay) == (50, 5, 0.5)
    seen = {}

    class Stop(Exception):
        pass

    def compile_and_stop(self, d_A_optimizer, d_B_optimizer, g_optimizer, **kwargs):
        seen.update(gan=self, adams=(d_A_optimizer, d_B_optimizer, g_optimizer))
        raise Stop

    monkeypatch.setattr(CycleGAN, "compile", compile_and_stop)
    flags = ["--learning-rate", "0.25", "--beta-1", "0.75", "--decay", "0.5", "--epochs", "4"]
    with pytest.raises(Stop):
        train.main([*SMOKE, *flags, "--generator-filters", "2", "--patch", "16"])
    d_A, d_B, g = seen["adams"]
    assert len({id(adam) for adam in seen["adams"]}) == 3
    assert g.beta_1 == d_A.beta_1 == 0.75
    iterations = 4 * 12
    assert [float(g._learning_rate(k)) for k in (0, 24, 36, 48)] == [0.25, 0.25, 0.125, 0]
    # The discriminators have two updates in an iteration.
    assert float(d_B._learning_rate(iterations)) == 0.25
    assert float(d_B._learning_rate(2 * iterations)) == 0
    gan = seen["gan"]
    assert type(gan) is PaperCycleGAN
    assert gan.pool_A.size == gan.pool_B.size == 64 and gan.augmentation is augmentation.jitter
    assert gan.separate_updates and (gan.lambda_cycle, gan.lambda_identity) == (10, 9)
    assert gan.d_A.count_params() == networks.build_discriminator(1, 4, 16).count_params()

    with pytest.raises(Stop):
        train.main([*SMOKE, "--generator", "resnet", "--patch", "16"])
    gan = seen["gan"]
    assert gan.g_AB.count_params() == networks.build_resnet(1, 4, 6).count_params()
    books, papers = (
        [type(layer) for layer in networks.build_discriminator(1, 4, 16, paper).layers]
        for paper in (False, True)
    )
    assert [type(layer) for layer in gan.d_A.layers] == papers != books

    with pytest.raises(Stop):  # as the book has none
        train.main([*SMOKE, "--pool-size", "0"])
    assert type(seen["gan"]) is CycleGAN
    with pytest.raises(Stop):
        train.main([*SMOKE, "--model", "discogan", "--augmentation", "none"])
    gan = seen["gan"]
    assert type(gan) is DiscoGAN and gan.pool_A is None and gan.augmentation is None
    assert (gan.lambda_cycle, gan.lambda_identity) == (1, 0)
    with pytest.raises(Stop):
        train.main([*SMOKE, "--model", "discogan", "--lambda-cycle", "2", "--augmentation", "flip"])
    assert seen["gan"].lambda_cycle == 2 and seen["gan"].augmentation is augmentation.flip


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--size", "40"], "--size 40: is not 32, 48, 64 or another multiple of 16, as the U-Net"),
        (["--size", "16"], "--size 16: is not 32"),
        (["--size", "big"], "--size big: should be a valid integer"),
        (["--pool-size", "5"], "--pool-size 5 is less than --batch-size 64"),
        (["--pool-size", "-1"], "--pool-size -1: should be greater than or equal to 0"),
        (["--dataset", "pears2plums"], "pears2plums: is no folder, no zip, none of apple2orange"),
        (["--dataset", "sample:3", "--augmentation", "cut"], "must be sample:CLASS:CLASS"),
        (["--dataset", "sample:3:3", "--augmentation", "none"], "with two classes of 0, 1"),
        (["--dataset", "mnist:2:5"], "--augmentation jitter mirrors images, and a mirrored digit"),
        (["--dataset", "mnist:2:5", "--augmentation", "flip"], "give none or cut"),
        (["--dataset", "fashion_sample:sneaker:boot"], "ankle-boot"),
        (
            ["--batch-size", "801", "--pool-size", "0"],
            "more than the 800 training images of sneaker",
        ),
        (["--validation-images", "800"], "there are 800 of sneaker"),
        (["--epochs", "5", "--sample-epochs", "2"], "--epochs 5 is not a multiple of --sample-epo"),
        (["--epochs", "0"], "--epochs 0: should be greater than 0"),
        (["--data-dir", "."], "--data-dir has no part"),
        (["--data-dir", "gone", "--dataset", "tests"], "gone: is no folder and no zip"),
    ],
)
def test_wrong_flags_are_one_line(flags, words, capsys):
    assert words in error_of(train.main, [*SMOKE, *flags], capsys)


def test_a_resumed_run_is_checked_with_its_own_settings(tmp_path, capsys):
    settings = train.PRESETS["smoke"].replace(epochs=60, sample_epochs=3).model_dump()
    record = {"chapter": "chapter09_cyclegan", "preset": "smoke", "settings": settings}
    record |= {"data": {"source": "", "sha256": "1"}, "versions": {}}
    (tmp_path / "config.json").write_text(json.dumps(record))
    train.main(["--resume", str(tmp_path), "--sample-epochs", "3", "--dry-run"])
    lines = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert (lines["epochs"], lines["sample-epochs"]) == ("60", "3")


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["--epochs", "60"], "5"),
        (["--epochs", "8"], "4"),  # the next smaller number that divides it
        (["--epochs", "8", "--sample-epochs", "8"], "8"),
    ],
)
def test_intervals_divide_the_epochs(flags, expected, capsys):
    train.main([*flags, "--dry-run"])
    lines = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert lines["sample-epochs"] == expected


# Translating


def test_translating_pictures_of_ones_own(finished, tmp_path, capsys):
    run, _ = finished
    random = np.random.default_rng(0)
    (tmp_path / "mine").mkdir()
    for name, shape in (
        ("a.png", (50, 70, 3)),
        ("b.jpg", (170, 40)),
        ("contact_sheet.png", (9, 9)),
    ):
        imageio.imwrite(tmp_path / "mine" / name, random.integers(0, 256, shape, dtype=np.uint8))
    imageio.imwrite(tmp_path / "a.png", random.integers(0, 256, (33, 33, 4), dtype=np.uint8))
    before = sorted(tmp_path.rglob("*"))
    paths = [str(tmp_path / "mine"), str(tmp_path / "a.png")]
    folder = translate.main([str(run), "--direction", "AtoB", *paths])
    assert folder == run / "translated" / "0001"
    shapes = {path.name: imageio.imread(path).shape for path in folder.iterdir()}
    sheet = shapes.pop("contact_sheet.png")
    assert shapes == {
        "a.png": (32, 45),
        "b.png": (136, 32),
        "contact_sheet-2.png": (32, 32),
        "a-2.png": (32, 32),
    }
    assert sheet == (2 * 100 + 4, 6 * 100 + 4)
    assert sorted(tmp_path.rglob("*")) == before

    # What it made is what the generator makes of the picture, brought down and grey.
    g_AB = keras.models.load_model(run / "g_AB.keras")
    picture = imageio.imread(tmp_path / "mine" / "a.png")
    small = resize(picture, 32, 45)
    grey = evaluation.scale(tf.image.rgb_to_grayscale(small).numpy())
    padded = np.pad(grey, ((0, 0), (0, 3), (0, 0)), mode="symmetric")
    expected = g_AB(padded[np.newaxis]).numpy()[0, :, :45, 0]
    made = imageio.imread(folder / "a.png").astype(int)
    np.testing.assert_allclose(made, (expected + 1) * 127.5, atol=1)

    again = translate.main([str(run), "--direction", "BtoA", "--size", "48", paths[1]])
    assert again == run / "translated" / "0002"
    assert imageio.imread(again / "a.png").shape == (48, 48)


def test_names_as_long_as_a_file_system_takes(finished, tmp_path):
    long = tmp_path / f"{'가' * 83}.png"  # 253 bytes
    imageio.imwrite(long, np.zeros((32, 32), np.uint8))
    folder = translate.main([str(finished[0]), "--direction", "AtoB", str(long)])
    names = {path.name for path in folder.iterdir()}
    assert names == {"contact_sheet.png", f"{'가' * 66}.png"}


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--direction", "AtoB", "none.png"], "none.png: there is no such file"),
        (["--direction", "AtoB", f"{'n' * 300}.png"], "there is no such file"),
        (["--direction", "AtoB", "/dev/null"], "there is no such file"),
        (["--direction", "AtoB", "--size", "20000", "TEXT"], "less than or equal to 4096"),
        (["--direction", "AtoB", "EMPTY"], "holds no images"),
        (["--direction", "AtoB", "TEXT"], "cannot be read as an image"),
        (["--direction", "AtoC", "TEXT"], "invalid choice: 'AtoC'"),
        (
            ["--direction", "AtoB", "--size", "31", "TEXT"],
            "--size 31: should be greater than or equal to 32",
        ),
        (["--direction", "AtoB", "THIN"], "more than 20 times as long as it is wide"),
        (["--direction", "AtoB"], "the following arguments are required: PATH"),
        (["TEXT"], "the following arguments are required: --direction"),
    ],
)
def test_translating_what_cannot_be(finished, tmp_path, capsys, arguments, words):
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "TEXT.png").write_text("no image")
    (tmp_path / "EMPTY" / "._hidden.png").write_text("what a Mac leaves beside an image")
    imageio.imwrite(tmp_path / "THIN.png", np.zeros((2, 41), np.uint8))
    places = {name: str(tmp_path / f"{name}.png") for name in ("TEXT", "THIN")}
    places["EMPTY"] = str(tmp_path / "EMPTY")
    argv = [str(finished[0]), *(places.get(word, word) for word in arguments)]
    assert words in error_of(translate.main, argv, capsys)
