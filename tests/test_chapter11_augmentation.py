"""Chapter 11, augmentation.py: the few images, their variations, the GAN, and the comparison."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import (
    assert_goes_down,
    check_resumed,
    error_of,
    kept_as_killed,
    run_eagerly,
    weights_of,
)

from chapter11_applications import augmentation, augmentation_report, cells, classes, networks
from chapter11_applications.few_images_gan import FewImagesGAN
from chapter11_applications.four_classifiers import WAYS, FourClassifiers, rates
from chapter11_applications.gan_losses import discriminator_loss, generator_loss
from chapter11_applications.transforms import Augmentation
from common import images
from common.batch_norm import fuse
from common.model import normal_noise
from common.random_layers import set_random_layers

SMOKE = ["--preset", "smoke"]
SHAPE = (8, 8, 1)


def pictures(n=6):
    return tf.constant(np.random.default_rng(0).uniform(-1, 1, (n, *SHAPE)), tf.float32)


def moved(batch, **amounts):
    """Images, each varied by the whole of these amounts."""
    augmentation = Augmentation(**({"rotation": 0.0, "zoom": 0.0, "shift": 0.0} | amounts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.random, "stateless_uniform", lambda shape, **_: tf.ones(shape))
        return augmentation(batch, (1, 2)).numpy()


def test_variations_are_rotated_moved_and_resized():
    batch = pictures()
    np.testing.assert_allclose(moved(batch), batch, atol=1e-5)
    counterclockwise = np.rot90(batch, axes=(1, 2))
    np.testing.assert_allclose(moved(batch, rotation=90.0), counterclockwise, atol=1e-4)
    right_and_down = np.pad(batch, ((0, 0), (2, 0), (2, 0), (0, 0)), "edge")[:, :8, :8]
    np.testing.assert_allclose(moved(batch, shift=0.25), right_and_down, atol=1e-4)
    square = np.full((1, 16, 16, 1), -1.0, np.float32)
    square[:, 6:10, 6:10] = 1
    sides = [np.sqrt(np.sum(moved(square, zoom=zoom) + 1) / 2) for zoom in (0.0, 0.5, -0.25)]
    assert sides == pytest.approx([4, 6, 3], abs=0.2)


def test_variations_are_others_for_each_image_and_seed():
    batch = tf.repeat(pictures(1), 3, axis=0)
    augmentation = Augmentation()
    once = augmentation(batch, (1, 2)).numpy()
    assert np.array_equal(once, augmentation(batch, (1, 2)))
    others = [once[1], once[2], augmentation(batch, (1, 3)).numpy()[0]]
    assert all(np.abs(once[0] - other).max() > 0.01 for other in others)
    assert np.abs(once).max() <= 1


def few_images_gan(optimizer):
    gan = FewImagesGAN(
        fuse(networks.build_generator(SHAPE, 3, latent_dim=4, width=8)),
        networks.build_discriminator(SHAPE, 3, width=8),
        Augmentation(),
        r1=2.0,
        seed=tf.Variable(5, trainable=False, dtype=tf.int32),
    )
    gan.compile(optimizer(), optimizer())
    return gan


LABELS = tf.constant([0, 1, 2, 0, 1, 2], tf.int32)


def test_gans_losses_are_those_of_varied_and_generated_images():
    """With a learning rate of 0 the networks stay as they are, and each can be computed apart."""
    gan = few_images_gan(lambda: keras.optimizers.SGD(0.0))
    batch = pictures()
    noise = gan.noise(0, 6)[0]
    fakes = gan.generator([noise, LABELS], training=True)
    real = gan.judge(gan.augmentation(batch, gan.step_seed(1)), LABELS).numpy()
    fake = gan.judge(fakes, LABELS).numpy()
    logs = {name: float(value) for name, value in gan.train_step((batch, LABELS)).items()}
    expected = np.mean(np.log1p(np.exp(-real))) + np.mean(np.log1p(np.exp(fake)))
    assert logs["d_loss"] == pytest.approx(expected / 2, rel=1e-4)
    assert logs["g_loss"] == pytest.approx(np.mean(np.log1p(np.exp(-fake))), rel=1e-4)
    assert logs["d_accuracy_real"] == pytest.approx(np.mean(real > 0))


def test_gans_losses_are_stable():
    far = tf.constant([[1e4]])
    assert float(discriminator_loss(far, -far)) == 0 and float(discriminator_loss(-far, far)) == 2e4
    assert float(generator_loss(-far)) == 1e4


def test_r1_is_in_the_discriminators_update_alone():
    def after(r1):
        keras.utils.set_random_seed(0)
        gan = few_images_gan(lambda: keras.optimizers.SGD(0.1))
        gan.r1 = r1
        before = gan.discriminator.get_weights()
        logs = gan.train_step((tf.ones((6, *SHAPE)) / 2, LABELS))
        moves = [a - b for a, b in zip(gan.discriminator.get_weights(), before, strict=True)]
        return np.concatenate([move.ravel() for move in moves]), float(logs["d_loss"])

    (plain, loss), (penalized, same_loss) = after(0.0), after(100.0)
    assert loss == pytest.approx(same_loss)
    assert np.abs(plain).max() > 1e-4 and np.abs(plain - penalized).max() > 1e-4


def test_the_discriminators_step_goes_down_its_loss():
    """Of judging varied and generated images, and of half of R1 by its weight; written out here."""
    gan, batch = few_images_gan(lambda: keras.optimizers.SGD(0.1)), pictures()
    gan.g_optimizer.learning_rate = 0.0
    varied = gan.augmentation(batch, gan.step_seed(1))
    fakes = gan.generator([gan.noise(0, 6)[0], LABELS], training=True)

    def loss():
        with tf.GradientTape() as tape:
            tape.watch(varied)
            real = gan.discriminator([varied, LABELS], training=True)
        slopes = tape.gradient(real, varied)
        fake = gan.discriminator([fakes, LABELS], training=True)
        judging = tf.reduce_mean(tf.nn.softplus(-real)) + tf.reduce_mean(tf.nn.softplus(fake))
        return judging + 2.0 / 2 * tf.reduce_mean(tf.reduce_sum(slopes**2, axis=(1, 2, 3)))

    variables = gan.discriminator.trainable_variables
    assert_goes_down(loss, lambda: gan.train_step((batch, LABELS)), variables, rate=0.1)


def four_classifiers(rate=0.1, generated=2):
    classifier = networks.build_classifier(SHAPE, 3)
    copies = {way: keras.models.clone_model(classifier) for way in WAYS}
    for copy in copies.values():
        copy.set_weights(classifier.get_weights())
    model = FourClassifiers(
        copies,
        networks.build_generator(SHAPE, 3, latent_dim=4, width=8),
        Augmentation(),
        generated,
        seed=tf.Variable(5, trainable=False, dtype=tf.int32),
    )
    model.compile({way: keras.optimizers.SGD(rate) for way in WAYS})
    return model


def test_each_classifier_sees_its_images_and_all_the_same_labels(monkeypatch):
    model, batch, seen = four_classifiers(), pictures(), {}

    def update(way, images, labels, iteration):
        seen[way] = images.numpy()
        assert np.array_equal(labels, LABELS)
        return 0.0

    monkeypatch.setattr(model, "update", update)
    made = []
    generate = model.generator

    def generator(inputs, training):
        assert not training and inputs[1].numpy().tolist() == [1, 2]  # the last labels
        assert np.array_equal(inputs[0], normal_noise((2, 4), 5, -2))  # that no training has
        made.append(generate(inputs, training=False).numpy())
        return made[0]

    generator.inputs = generate.inputs
    model.generator = generator
    model.train_step((batch, LABELS))
    assert np.array_equal(seen["none"], batch)
    assert np.abs(seen["classic"] - batch).max() > 0.01
    for way, real in (("gan", "none"), ("both", "classic")):
        assert np.array_equal(seen[way][:4], seen[real][:4])
        assert np.array_equal(seen[way][4:], made[0])


def test_an_iteration_moves_the_four_classifiers_alone():
    model = four_classifiers()
    before = {way: model.classifiers[way].get_weights()[0] for way in WAYS}
    generators = model.generator.get_weights()
    assert all(np.array_equal(before[way], before["none"]) for way in WAYS)
    logs = model.train_step((pictures(), LABELS))
    after = {way: model.classifiers[way].get_weights()[0] for way in WAYS}
    for number, way in enumerate(WAYS):
        assert not np.array_equal(after[way], before[way]) and float(logs[way]) > 0
        assert all(not np.array_equal(after[way], after[other]) for other in WAYS[:number])
    for weight, same in zip(generators, model.generator.get_weights(), strict=True):
        assert np.array_equal(weight, same)


@pytest.mark.parametrize("way", WAYS)
def test_an_update_goes_down_the_cross_entropy(way):
    model, images = four_classifiers(), tf.constant(pictures())
    classifier, start = model.classifiers[way], tf.constant(0, tf.int64)

    def loss():
        set_random_layers(classifier, tf.constant(5, tf.int64), start)
        logits = classifier(images, training=True)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, logits))

    def update():
        model.update(way, images, LABELS, start)

    assert_goes_down(loss, update, classifier.trainable_variables, rate=0.1)


def test_classifiers_of_the_same_images_stay_the_same():
    """Initial weights, order and dropout are the same for all: only what they see differs."""
    model = four_classifiers()
    model.augmentation = lambda images, seed: images
    model.train_step((pictures(), LABELS))
    a, b = (model.classifiers[way].get_weights() for way in ("none", "classic"))
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_rates_of_a_confusion_matrix():
    """Of two classes: 3 of 4 ill found, 5 of 6 healthy. Means over classes of own and others."""
    ill, predicted = np.repeat([1, 0], [4, 6]), np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 1])
    found = rates(ill, predicted, 2)
    assert found["accuracy"] == pytest.approx(0.8)
    assert found["sensitivity"] == pytest.approx((3 / 4 + 5 / 6) / 2)
    assert found["specificity"] == pytest.approx((5 / 6 + 3 / 4) / 2)
    assert found["sensitivity_of_class"] == pytest.approx([5 / 6, 3 / 4])
    assert found["specificity_of_class"] == pytest.approx([3 / 4, 5 / 6])


def test_fewer_images_are_the_first_of_more():
    labels = np.random.default_rng(0).integers(0, 3, 60)
    few, more = classes.draw(labels, 2, seed=7), classes.draw(labels, 5, seed=7)
    assert np.bincount(labels[more]).tolist() == [5, 5, 5] and len(set(more)) == 15
    assert set(few) < set(more)
    assert set(more) != set(classes.draw(labels, 5, seed=8))


def test_images_that_do_not_fill_a_batch_are_all_repeated_equally_often():
    assert np.array_equal(cells.repeated(100, 32), np.arange(100))
    assert np.bincount(cells.repeated(20, 32)).tolist() == [2] * 20


def write_photo(path, value, size=12):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.png(np.full((size, size, 3), value, np.uint8)))


def settings_of(folder, **changes):
    changes = {"images": [2], "size": 8, "dataset": str(folder)} | changes
    return augmentation.PRESETS["smoke"].replace(**changes)


def test_a_folder_of_classes_is_divided(tmp_path, capsys):
    for number in range(8):
        write_photo(tmp_path / "healthy" / f"{number}.png", 10 + number)
        write_photo(tmp_path / "ill" / f"{number}.png", 200 + number)
    dataset, names = classes.load(settings_of(tmp_path))
    assert names == ("healthy", "ill") and dataset.x_train.shape == (12, 8, 8, 1)
    assert "every fourth image of a class is for testing" in capsys.readouterr().out
    for x, y in ((dataset.x_train, dataset.y_train), (dataset.x_test, dataset.y_test)):
        assert np.array_equal(x[:, 0, 0, 0] >= 200, y == 1)
    assert np.bincount(dataset.y_test).tolist() == [2, 2]
    every = [*dataset.x_train[:, 0, 0, 0], *dataset.x_test[:, 0, 0, 0]]
    assert sorted(every) == [*range(10, 18), *range(200, 208)]
    colored, _ = classes.load(settings_of(tmp_path, color=True))
    assert colored.x_train.shape == (12, 8, 8, 3)
    held, _ = classes.load(settings_of(tmp_path, validation_images=4))
    assert len(held.x_train) == 8 and np.array_equal(held.x_test, dataset.x_train[-4:])


def test_train_and_test_folders_say_what_is_what(tmp_path, capsys):
    for number in range(3):
        for name in ("a", "b"):
            write_photo(tmp_path / "Train" / name / f"{number}.png", 10)
            write_photo(tmp_path / "val" / name / f"{number}.png", 20)
            write_photo(tmp_path / "test" / name / f"{number}.png", 30)
    dataset, names = classes.load(settings_of(tmp_path))
    assert names == ("a", "b") and len(dataset.x_train) == len(dataset.x_test) == 6
    assert np.all(dataset.x_train == 10) and np.all(dataset.x_test == 30)
    said = capsys.readouterr().out
    assert "6 images lie in neither train nor test, and are left out" in said
    assert "reading 6 train images and 6 test images from" in said and "are also" not in said
    write_photo(tmp_path / "test" / "a" / "again.png", 10)
    classes.load(settings_of(tmp_path))
    assert "1 test images are also training images" in capsys.readouterr().out


@pytest.mark.parametrize("around", ["", "x_rays", "x_rays/all"])
@pytest.mark.parametrize("parts", [("Train", "TEST"), ("",)])
def test_images_may_lie_deeper_than_their_class(around, parts, tmp_path):
    """As in a folder for each patient; and all classes in folders of their own, as in a zip."""
    for part in parts:
        for patient in range(4):
            write_photo(tmp_path / around / part / "ill" / f"patient{patient}" / "1.png", 200)
            write_photo(tmp_path / around / part / "healthy" / f"{patient}.png", 10)
    if around and len(parts) == 2:  # left out
        write_photo(tmp_path / "drawings" / "1.png", 0)
    dataset, names = classes.load(settings_of(tmp_path))
    assert names == ("healthy", "ill")
    for x, y in ((dataset.x_train, dataset.y_train), (dataset.x_test, dataset.y_test)):
        assert set(y) == {0, 1} and np.array_equal(x[:, 0, 0, 0] == 200, y == 1)


def one_class(folder):
    write_photo(folder / "a" / "1.png", 1)


def loose(folder):
    write_photo(folder / "1.png", 1)


def too_few(folder):
    for number in range(4):
        write_photo(folder / "many" / f"{number}.png", 1)
        write_photo(folder / "many2" / f"{number}.png", 1)
    write_photo(folder / "few" / "1.png", 1)


def untested(folder):
    for name in ("a", "b"):
        write_photo(folder / name / "1.png", 1)
        write_photo(folder / name / "2.png", 1)


def broken(folder):
    untested(folder)
    (folder / "a" / "3.png").write_bytes(b"no picture")


def unknown(folder):
    for name in ("a", "b"):
        write_photo(folder / "train" / name / "1.png", 1)
    write_photo(folder / "test" / "c" / "1.png", 1)


def parts_in_a_class(folder):
    for part in ("train", "test"):
        write_photo(folder / "a" / part / "1.png", 1)


def no_test(folder):
    write_photo(folder / "train" / "a" / "1.png", 1)


@pytest.mark.parametrize(
    "make, expected",
    [
        (lambda folder: None, "has 0 folders with images"),
        (one_class, "has 1 folders with images; a folder for each of two or more"),
        (loose, "1.png lies in no class's folder"),
        (too_few, "--images 2: there are 1 training images of few"),
        (untested, "has no test images of a"),
        (broken, "3.png: cannot be read as an image"),
        (unknown, "there are no training images of c, which is in test"),
        (no_test, "has no images of classes in test"),
        (parts_in_a_class, "a/test/1.png lies in no class's folder"),
    ],
)
def test_a_folder_that_will_not_do_is_one_line(make, expected, tmp_path, capsys):
    make(tmp_path)
    flags = [*SMOKE, "--dataset", str(tmp_path), "--images", "2", "--size", "8"]
    assert expected in error_of(augmentation.main, flags, capsys)


def test_a_folder_that_is_not_there_is_one_line(tmp_path, capsys):
    line = error_of(augmentation.main, [*SMOKE, "--dataset", str(tmp_path / "x-rays")], capsys)
    assert "x-rays: is no folder, no zip, and none of mnist" in line


@pytest.mark.usefixtures("eagerly")
def test_divergence_is_one_line(tmp_path, capsys):
    flags = [*SMOKE, "--generator-learning-rate", "1e30", "--output-dir", str(tmp_path / "run")]
    line = error_of(augmentation.main, flags, capsys)
    assert "images2-seed0, the GAN diverged: the loss " in line
    assert "try a smaller --generator-learning-rate or " in line


def test_each_number_of_images_has_its_means_its_differences_and_its_place(monkeypatch):
    """Of made-up accuracies: two numbers of images, with two seeds each."""
    gains = {"none": 0.0, "classic": 0.2, "gan": 0.0, "both": 0.1}
    measured = {
        cells.Cell(count, seed): {"d_loss": 1.0, "g_loss": 2.0}
        | {
            way: dict.fromkeys(augmentation_report.RATES, first + 0.002 * seed + gain)
            for way, gain in gains.items()
        }
        for count, first in ((10, 0.5), (50, 0.7))
        for seed in (0, 1)
    }
    rows = augmentation_report.rows(measured)
    assert [(row["images"], row["seed"]) for row in rows] == [(10, 0), (10, 1), (50, 0), (50, 1)]
    assert rows[2]["classic_accuracy"] == pytest.approx(0.9)
    summary = augmentation_report.summarize(measured)
    assert list(summary) == ["10", "50"]
    for count, first in (("10", 0.5), ("50", 0.7)):
        found = summary[count]
        assert found["none"]["accuracy"]["values"] == pytest.approx([first, first + 0.002])
        assert found["both"]["specificity"]["mean"] == pytest.approx(first + 0.101)
        means = {pair: found["differences"][pair]["mean"] for pair in found["differences"]}
        expected = {"classic - none": 0.2, "gan - none": 0.0, "both - classic": -0.1}
        assert means == pytest.approx(expected)
    verdicts = [line.split("  ")[-1] for line in augmentation_report.table(summary).splitlines()]
    assert verdicts[-6:] == ["gain", "not significant", "loss"] * 2

    drawn = []
    monkeypatch.setattr(images, "figure_png", lambda figure: drawn.append(figure) or b"")
    augmentation_report.plot(summary, "Title")
    left, right = drawn[0].axes
    assert [line.get_label() for line in left.containers] == list(WAYS)
    places, means = left.containers[0][0].get_data()
    assert list(places) == [10, 50] and list(means) == pytest.approx([50.1, 70.1])
    assert list(right.containers[2][0].get_ydata()) == pytest.approx([-10, -10])


FEW = [*SMOKE, "--images", "2", "--gan-iterations", "2", "--classifier-updates", "2"]


def train_and_kill(flags, folder, cell):
    """A whole run, and beside it what a kill in its nth cell would leave."""
    with kept_as_killed(folder, {folder.with_name("killed"): ("result.json", cell)}):
        augmentation.main([*flags, "--output-dir", str(folder)])
    return folder


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    repeated = cells.repeated

    def counted(count, least):
        assert count == 2 * 10  # images of a class, and classes
        return repeated(count, least)

    with run_eagerly(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells, "repeated", counted)
        return train_and_kill(FEW, tmp_path_factory.mktemp("chapter11") / "run", cell=2)


CELLS = [f"cells/images2-seed{seed}" for seed in (0, 1)]


def test_settings_reach_the_gan(monkeypatch, tmp_path):
    seen = {}

    class Stop(Exception):
        pass

    def stop(self, d_optimizer, g_optimizer, **settings):
        rates = (float(optimizer._learning_rate(0)) for optimizer in (d_optimizer, g_optimizer))
        seen["d"], seen["g"] = rates
        seen["r1"] = self.r1
        varied = self.augmentation
        seen["varied"] = varied.rotation, varied.zoom, varied.shift
        raise Stop

    monkeypatch.setattr(FewImagesGAN, "compile", stop)
    flags = ["--discriminator-learning-rate", "0.5", "--generator-learning-rate", "0.25"]
    flags += ["--rotation", "7", "--zoom", "0.2", "--shift", "0.05", "--r1", "3"]
    with pytest.raises(Stop):
        augmentation.main([*FEW, *flags, "--output-dir", str(tmp_path / "run")])
    assert seen == {"d": 0.5, "g": 0.25, "r1": 3, "varied": (7, 0.2, 0.05)}


def test_run_leaves_what_the_readme_promises(finished_run):
    results = json.loads((finished_run / "results.json").read_text())
    assert results["test_images"] == 1_000 and list(results["images"]) == ["2"]
    for number, cell in enumerate(CELLS):
        found = json.loads((finished_run / cell / "result.json").read_text())
        classifier = keras.models.load_model(finished_run / cell / "both.keras")
        assert classifier.output_shape == (None, 10)
        of_both = results["images"]["2"]["both"]["accuracy"]
        assert of_both["values"][number] == found["both"]["accuracy"]
        gain = results["images"]["2"]["differences"]["both - classic"]["values"][number]
        expected = found["both"]["accuracy"] - found["classic"]["accuracy"]
        assert gain == pytest.approx(expected)
        assert images.read(finished_run / cell / "samples.png").shape == (10 * 86 + 2, 8 * 86 + 2)
    lines = (finished_run / "history.csv").read_text().splitlines()
    assert len(lines) == 3 and lines[0].startswith("images,seed,d_loss,g_loss,none_accuracy")
    assert (finished_run / "history.png").stat().st_size > 20_000


def assert_same_cells(run, whole):
    for name in ("history.csv", "results.json"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()
    for cell in (folder.relative_to(whole) for folder in (whole / "cells").iterdir()):
        assert (run / cell / "samples.png").read_bytes() == (
            whole / cell / "samples.png"
        ).read_bytes()
        for name in ("generator", *WAYS):
            pair = [weights_of(folder / cell / f"{name}.keras") for folder in (run, whole)]
            assert np.array_equal(*pair)


@pytest.mark.usefixtures("eagerly")
def test_run_killed_in_the_second_cell_and_resumed_ends_in_the_same_bits(finished_run):
    """So a cell is a function of its number of images and its seed, whatever came before it."""
    run = finished_run.with_name("killed")
    assert [(run / cell / "result.json").exists() for cell in CELLS] == [True, False]
    check_resumed(augmentation, ["--resume", run], finished_run, compare=assert_same_cells)


@pytest.mark.slow
def test_compiled_steps_serve_for_all_seeds_and_numbers_of_images(tmp_path):
    """The resumed run compiles them with another seed and number than the whole one."""
    whole = train_and_kill(SMOKE, tmp_path / "run", cell=3)
    check_resumed(augmentation, ["--resume", tmp_path / "killed"], whole, compare=assert_same_cells)


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_photos_in_colour_are_trained_on(tmp_path):
    for number in range(8):
        write_photo(tmp_path / "x" / "a" / f"{number}.png", 20 * number)
        write_photo(tmp_path / "x" / "b" / f"{number}.png", 255 - 20 * number)
    flags = [*SMOKE, "--dataset", str(tmp_path / "x"), "--size", "8", "--color"]
    results = augmentation.main([*flags, "--output-dir", str(tmp_path / "run")])
    assert results["test_images"] == 4
    generator = keras.models.load_model(tmp_path / "run/cells/images3-seed1/generator.keras")
    assert generator.output_shape == (None, 8, 8, 3)
