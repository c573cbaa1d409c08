"""Chapter 10's program for photos, on stand-ins for classifiers and made-up classes."""

import functools
import json
from urllib.error import URLError

import imageio.v3 as imageio
import keras
import numpy as np
import pytest
from conftest import error_of

from chapter10_adversarial import applications, attacks, gaussian_noise, imagenet, photos
from common import UserError

# Keras says so of layers that have no weights.
pytestmark = pytest.mark.filterwarnings("ignore:Skipping nested container")

NAMES = [f"class_{i}" for i in range(1000)]
NAMES[5], NAMES[6], NAMES[7], NAMES[8] = "school_bus", "crane", "crane", "zebra"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Weights of MobileNet, alpha .25, and beside them the list of classes."""
    folder = tmp_path_factory.mktemp("weights")
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNet(alpha=0.25, weights=None)
    for layer in model.layers:  # without training, hardly anything would come through
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(np.random.default_rng(0).uniform(-1, 1, (8, 224, 224, 3)), training=True)
    head = model.get_layer("conv_preds")
    head.kernel.assign(head.kernel * 10)  # so that it is sure of something
    model.save_weights(folder / "mobile.weights.h5")
    index = {str(i): [f"n{i:08d}", name] for i, name in enumerate(NAMES)}
    (folder / "imagenet_class_index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture
def flags(files, tmp_path):
    weights = str(files / "mobile.weights.h5")
    model = ["--model", "mobilenet", "--alpha", "0.25", "--weights", weights]
    return [*model, "--output-dir", str(tmp_path / "run")]


@pytest.fixture
def photo(tmp_path):
    """Wider than high, and red on the left, where the middle square does not reach."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 120, 3), dtype=np.uint8)
    pixels[:, :20] = (255, 0, 0)
    imageio.imwrite(tmp_path / "photo.png", pixels)
    return str(tmp_path / "photo.png")


class LinearClassifier:
    """Stands in for `applications.Classifier`: an attack's success on it is no matter of rounding.

    MobileNet with random weights has a gradient that changes from step to step; on some CPUs ten
    steps led towards the target, on others away from it. Here the gradient is the same everywhere,
    and 4 of 255 along its sign move a logit by more than twice the spread of all logits.
    """

    size = 32

    def __init__(self, *arguments):
        self.kernel = np.random.default_rng(0).normal(size=(32 * 32 * 3, 1000)).astype(np.float32)

    def __call__(self, images):
        flat = keras.ops.reshape(keras.ops.convert_to_tensor(images), (-1, 32 * 32 * 3))
        return (flat / 127.5 - 1) @ self.kernel


@pytest.fixture(scope="module")
def one_linear():
    """For all tests: attacks are compiled anew for each classifier."""
    return LinearClassifier()


@pytest.fixture
def linear(monkeypatch, one_linear):
    monkeypatch.setattr(applications, "Classifier", lambda *arguments: one_linear)
    return one_linear


def test_a_photo_is_fooled_within_epsilon(linear, flags, photo, tmp_path, capsys):
    results = imagenet.main([photo, *flags])
    assert "epsilon 4 of 255" in capsys.readouterr().out
    (found,) = results["attacked"]
    assert (found["image"], found["folder"]) == (photo, "01-photo")
    seen = found["seen"]
    assert list(seen) == ["before", "after", "after, saved", "random"]
    for shares in seen.values():
        assert len(shares) == 5 and list(shares.values()) == sorted(shares.values(), reverse=True)
    label = next(iter(seen["before"]))
    assert label not in seen["after"] and label not in seen["after, saved"]
    run = tmp_path / "run"
    assert json.loads((run / "results.json").read_text()) == results
    adversarial = imageio.imread(run / "01-photo" / "adversarial.png")
    original = photos.read(photo, 32)
    assert adversarial.shape == (32, 32, 3)
    assert 1 <= np.abs(adversarial - original).max() <= 4
    assert imageio.imread(run / "01-photo" / "comparison.png").shape[0] > 400


def test_a_target_becomes_likelier(linear, flags, photo, tmp_path):
    imagenet.main([photo, "--target", "school bus", *flags])
    adversarial = imageio.imread(tmp_path / "run" / "01-photo" / "adversarial.png").astype(
        np.float32
    )
    both = np.stack([photos.read(photo, 32), adversarial])
    assert 4 < np.abs(both[1] - both[0]).max() <= 8
    before, after = applications.probabilities(linear, both)[:, 5]
    assert before < 0.5 and after > 0.99


@pytest.mark.parametrize("attack", ["fgsm", "apgd"])
def test_other_attacks_fool_it_too(linear, flags, photo, attack, capsys):
    results = imagenet.main([photo, photo, *flags, "--attack", attack])
    assert [found["fooled"] for found in results["attacked"]] == [True, True]
    assert "2 of 2 fooled mobilenet\n" in capsys.readouterr().out


def test_the_smallest_epsilon_that_makes_it_sure(monkeypatch, flags, photo, tmp_path, capsys):
    """By FGSM, as the book's listing; one less is not enough, and a limit may be too low."""

    class Weak(LinearClassifier):
        def __init__(self, *arguments):
            super().__init__()
            self.kernel *= 0.2

    monkeypatch.setattr(applications, "Classifier", Weak)
    flags = [photo, "--attack", "fgsm", "--confidence", "0.9", *flags[:-1]]
    (found,) = imagenet.main([*flags, str(tmp_path / "far")])["attacked"]
    epsilon = int(found["epsilon"])
    assert 1 < epsilon < 64 and found["fooled"]
    assert next(iter(found["seen"]["after, saved"].values())) >= 0.9
    adversarial = imageio.imread(tmp_path / "far" / "01-photo" / "adversarial.png")
    assert np.abs(adversarial - photos.read(photo, 32)).max() == epsilon
    capsys.readouterr()
    (near,) = imagenet.main([*flags, str(tmp_path / "near"), "--epsilon", str(epsilon - 1)])[
        "attacked"
    ]
    assert not near["fooled"] and near["epsilon"] < epsilon
    out = capsys.readouterr().out
    assert f"no epsilon up to {epsilon - 1} makes the classifier 90% sure" in out
    assert "0 of 1 fooled mobilenet, with 90% or more" in out


def test_the_smallest_epsilon_of_a_target(linear, flags, photo, capsys):
    flags = [photo, "--target", "zebra", "--confidence", "0.9", *flags]
    (found,) = imagenet.main(flags)["attacked"]
    seen = found["seen"]["after, saved"]
    assert next(iter(seen)) == "zebra" and seen["zebra"] >= 0.9 and found["fooled"]


def test_a_limit_is_no_whole_number(monkeypatch, flags, photo, capsys):
    """Of epsilons up to 2.5 the largest is 2; and none fools a classifier that sees one class."""

    class Stubborn(LinearClassifier):
        def __call__(self, images):
            return 0 * super().__call__(images) + keras.ops.one_hot(8, 1000) * 9 + self.rest

        rest = np.linspace(0, 1, 1000, dtype=np.float32)

    monkeypatch.setattr(applications, "Classifier", Stubborn)
    flags = [photo, "--confidence", "0.5", "--epsilon", "2.5", *flags]
    (found,) = imagenet.main(flags)["attacked"]
    assert found["epsilon"] in (1, 2) and not found["fooled"]
    flags[-1] += "2"
    capsys.readouterr()
    (found,) = imagenet.main([*flags, "--target", "zebra"])["attacked"]  # which it has always seen
    assert not found["fooled"]
    out = capsys.readouterr().out
    assert "before the attack, too, the classifier sees zebra\n" in out and "no epsilon" not in out
    flags[-1] += "2"
    imagenet.main([*flags, "--label", "school bus", "--confidence", "0.9"])
    out = capsys.readouterr().out
    assert "before the attack, too, the classifier does not see school bus\n" in out
    assert "no epsilon up to 2.5 makes the classifier 90% sure" in out  # it has 83 %


@pytest.mark.parametrize("attack", [["fgsm"], ["pgd", "--steps", "10"]])
def test_epsilons_beyond_what_is_enough_are_not_tried(monkeypatch, flags, photo, attack):
    """And what is found is what it would be if all were attacked at once."""

    class Weak(LinearClassifier):
        def __init__(self, *arguments):
            super().__init__()
            self.kernel *= 0.2

    monkeypatch.setattr(applications, "Classifier", Weak)
    made = []

    def kept(original, **given):
        made.append((given, original(**given)))
        return made[-1][1]

    for name in ("fgsm", "pgd"):
        monkeypatch.setattr(attacks, name, functools.partial(kept, getattr(attacks, name)))
    run = [photo, "--confidence", "0.9", *flags, "--attack", *attack]
    (found,) = imagenet.main(run)["attacked"]
    sizes = [len(given["images"]) for given, _ in made]
    assert sizes == [applications.BATCH_SIZE] * len(sizes) and sum(sizes) < 64
    assert sum(sizes) - applications.BATCH_SIZE < found["epsilon"] <= sum(sizes)
    first, _ = made[0]
    whole = getattr(attacks, attack[0]).args[0](
        **first
        | {
            "images": np.repeat(first["images"][:1], 64, axis=0),
            "labels": np.repeat(first["labels"][:1], 64),
            "epsilon": np.arange(1.0, 65),
        }
        | ({} if attack[0] == "fgsm" else {"seed": (0, 0)})
    )
    np.testing.assert_array_equal(
        np.concatenate([images for _, images in made]), whole[: sum(sizes)]
    )


def test_transfer_to_another_classifier(monkeypatch, linear, flags, photo, capsys):
    """To one that is the same, and to one that looks at half of the image."""

    class Half(LinearClassifier):
        size = 16

        def __call__(self, images):
            return super().__call__(keras.ops.repeat(keras.ops.repeat(images, 2, 1), 2, 2))

    def choose(name, *arguments, **settings):
        return Half() if name == "half" else linear

    monkeypatch.setattr(applications, "Classifier", choose)
    (found,) = imagenet.main([photo, *flags, "--also", "same"])["attacked"]
    assert found["also"]["fooled"] is True
    assert "1 of 1 fooled same, which they were not made for" in capsys.readouterr().out
    flags[-1] += "2"
    target = ["--target", "zebra"]
    (found,) = imagenet.main([photo, *flags, "--also", "same", *target])["attacked"]
    assert found["also"]["fooled"] is True and next(iter(found["also"]["seen"]["after"])) == "zebra"
    assert "1 of 1 fooled same, which they were not made for" in capsys.readouterr().out
    flags[-1] += "2"
    (found,) = imagenet.main([photo, *flags, "--also", "half"])["attacked"]
    assert list(found["also"]["seen"]) == ["before", "after"]
    # It never saw the label, so that it does not see it afterwards is nobody's merit.
    label = next(iter(found["seen"]["before"]))
    assert next(iter(found["also"]["seen"]["before"])) != label and not found["also"]["fooled"]


def test_mobilenet_itself_is_attacked(flags, photo, tmp_path):
    """A network of keras.applications, from its file of weights to the picture. Whether ten steps
    fool random weights is a matter of rounding, and not looked at."""
    (found,) = imagenet.main([photo, "--steps", "10", *flags])["attacked"]
    assert len(found["seen"]["after"]) == 5
    adversarial = imageio.imread(tmp_path / "run" / "01-photo" / "adversarial.png")
    original = photos.read(photo, 224)
    assert adversarial.shape == (224, 224, 3)
    assert 1 <= np.abs(adversarial - original).max() <= 4


@pytest.mark.usefixtures("eagerly")
def test_noise(linear, flags, tmp_path, capsys):
    results = imagenet.main(["--noise", "--target", "n00000008", *flags])
    assert len(results["noise"]) == 25
    assert {row["mean"] for row in results["noise"]} == {50, 85, 120, 155, 190}
    assert [found["image"] for found in results["attacked"]] == ["noise"]
    assert capsys.readouterr().out.count("noise, mean") == 25
    for name in ("noise_grid.png", "01-noise/comparison.png", "01-noise/adversarial.png"):
        assert (tmp_path / "run" / name).exists()


def test_noise_has_the_means_and_deviations_it_says():
    noise = gaussian_noise.draw(64, seed=0).reshape(5, 5, -1)
    assert np.allclose(noise.mean(axis=2), np.reshape(gaussian_noise.MEANS, (5, 1)), atol=2.5)
    assert np.allclose(noise[2].std(axis=1), gaussian_noise.DEVIATIONS, atol=1)


def test_each_photo_has_a_folder(linear, flags, photo, tmp_path):
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / ("photo" + 200 * "o" + ".png")  # and a long one
    imageio.imwrite(other, np.zeros((40, 40), np.uint8))
    results = imagenet.main([photo, str(other), *flags])
    assert [found["image"] for found in results["attacked"]] == [photo, str(other)]
    for found in results["attacked"]:
        assert (tmp_path / "run" / found["folder"] / "adversarial.png").exists()


@pytest.mark.parametrize("mode", ["grey", "alpha"])
def test_grey_and_transparent_photos_are_read_right(tmp_path, mode):
    pixels = np.full((50, 50), 100, np.uint8)
    if mode == "alpha":  # half of it is white behind
        pixels = np.dstack([pixels, pixels, pixels, np.full_like(pixels, 255)])
        pixels[:25, :, 3] = 0
    imageio.imwrite(tmp_path / "photo.png", pixels)
    picture = photos.read(str(tmp_path / "photo.png"), 32)
    assert picture.shape == (32, 32, 3) and picture.dtype == np.float32
    assert np.all(picture[-1] == 100)
    assert np.all(picture[0] == (255 if mode == "alpha" else 100))


def test_the_middle_square_is_taken(photo):
    picture = photos.read(photo, 48)
    red = (picture[..., 0] > 250) & (picture[..., 1] < 5)
    assert not red.any()


def test_preprocessing_is_inside_the_classifier(files):
    """Epsilon is then in units of the photo; and the arrays given are left as they are."""
    classifier = applications.Classifier("mobilenet", str(files / "mobile.weights.h5"), 0.25)
    images = np.full((1, 224, 224, 3), 200, np.float32)
    images[:, :100] = 3
    kept = images.copy()
    plain = classifier.model(images / 127.5 - 1, training=False)
    assert np.allclose(classifier(images), plain, atol=1e-4)
    assert np.array_equal(images, kept)
    changed = attacks.pgd(
        logits=classifier, images=images, labels=[0], epsilon=4, bounds=(0, 255), steps=2
    )
    assert 1 < np.abs(changed - images).max() <= 4


@pytest.mark.parametrize(
    ("name", "builder", "white"),
    [
        # Blue, green and red, less their means in ImageNet.
        ("resnet50", keras.applications.ResNet50, [151.061, 138.221, 131.32]),
        ("NASNetMobile", keras.applications.NASNetMobile, [1, 1, 1]),
        ("MobileNetV3Small", keras.applications.MobileNetV3Small, [255, 255, 255]),  # inside it
    ],
)
def test_classifiers_are_found_with_their_preprocessing(name, builder, white):
    found, preprocess = applications.find(name)
    assert found is builder
    seen = preprocess(np.full((1, 1, 1, 3), 255, np.float32))
    np.testing.assert_allclose(np.ravel(seen), white, atol=1e-3)


class TestClasses:
    @pytest.fixture
    def classes(self, files):
        return applications.Classes(str(files / "mobile.weights.h5"))

    @pytest.mark.parametrize("name", ["school bus", "School-Bus", "school_bus", "n00000005"])
    def test_number(self, classes, name):
        assert classes.number(name) == 5

    def test_a_name_that_does_not_exist(self, classes):
        with pytest.raises(UserError, match=r"class zebbra: .* near are zebra"):
            classes.number("zebbra")

    def test_a_name_of_two(self, classes):
        with pytest.raises(UserError, match=r"n00000006 or n00000007"):
            classes.number("crane")

    def test_two_classes_of_one_name_are_kept_apart(self, classes):
        assert [classes.title(i) for i in (5, 6)] == ["school bus", "crane (n00000006)"]
        shares = np.zeros(1000)
        shares[[6, 7]] = 0.5
        assert len(classes.likeliest(shares)) == 5

    @pytest.mark.parametrize(
        "text",
        [
            '{"0": ["n0", "tench"]}',
            json.dumps({str(i): [i, i] for i in range(1000)}),  # numbers for names
            json.dumps([["n0", "tench"]] * 1000),
            "[" * 100_000,
            "",
        ],
        ids=["short", "numbers", "a list", "deep", "empty"],
    )
    def test_a_broken_list(self, tmp_path, text):
        (tmp_path / "imagenet_class_index.json").write_text(text)
        with pytest.raises(UserError, match="not the list"):
            applications.Classes(str(tmp_path / "any.h5"))


@pytest.mark.parametrize(
    "wrong, said",
    [
        ([], "give a photo, or --noise"),
        (["nothing.jpg"], "nothing.jpg: there is no such file"),
        (["TEXT"], "text.txt: cannot be read as an image"),
        (["--noise", "--target", "zebbra"], "near are zebra"),
        (["--noise", "--epsilon", "-1"], "--epsilon -1: should be greater than or equal to 1"),
        (["--noise", "--epsilon", "0.5"], "--epsilon 0.5: should be greater than or equal to 1"),
        (["--noise", "--epsilon", "300"], "--epsilon 300: should be less than or equal to 255"),
        (["PHOTO", "--steps", "2"], "--steps 2 of --step-size 0.1 do not get as far"),
        (["--noise", "--target", ""], "ImageNet has none"),
        (["--noise", "--confidence", "1"], "--confidence 1: should be less than 1"),
        (["--noise", "--attack", "cw"], "--attack: invalid choice: 'cw'"),
        (["--noise", "--also-alpha", "0.5"], "have no part without --also"),
        (["--noise", "--target", "zebra", "--label", "zebra"], "--target and --label both name"),
        (["--noise", "--also", "vgg16"], "--also needs an attack: give a photo, or --noise with"),
        (["--noise", "--confidence", "0.9"], "--confidence needs an attack"),
        (["--noise", "--attack", "fgsm"], "--attack needs an attack"),
        (["--noise", "--label", "zebra"], "--label needs an attack"),
        (["--noise", "--epsilon", "5"], "--epsilon needs an attack"),
        (["--noise", "--step-size", "0.5"], "--step-size needs an attack"),
        (["PHOTO", "--attack", "fgsm", "--steps", "5"], "--steps has no part in --attack fgsm"),
        (["PHOTO", "--attack", "fgsm", "--step-size", "1"], "--step-size has no part in --attack"),
        (["PHOTO", "--attack", "apgd", "--step-size", "1"], "--step-size has no part in --attack"),
    ],
)
def test_a_mistake_is_one_line(linear, flags, photo, tmp_path, capsys, wrong, said):
    wrong = [photo if word == "PHOTO" else word for word in wrong]
    check_mistake(flags, tmp_path, capsys, wrong, said)


ATTACKED = ["--noise", "--target", "zebra"]


@pytest.mark.parametrize(
    "wrong, said",
    [
        (["--noise", "--model", "resnet51"], "resnet50"),
        (["--noise", "--model", "resnet50"], "--alpha: resnet50 comes in one width"),
        (["--noise", "--weights", "none.h5"], "none.h5: there is no such file"),
        (["--noise", "--weights", "TEXT"], "text.txt: cannot be loaded"),
        (["--noise", "--alpha", "0.5"], "cannot be loaded"),
        ([*ATTACKED, "--also", "resnet51"], "--also resnet51: Keras has"),
        ([*ATTACKED, "--also", "resnet50", "--also-alpha", "1"], "--also-alpha: resnet50 comes in"),
        ([*ATTACKED, "--also", "mobilenet", "--also-weights", "no"], "--also-weights no: there"),
    ],
)
def test_a_mistake_in_the_classifier_is_one_line(flags, tmp_path, capsys, wrong, said):
    check_mistake(flags, tmp_path, capsys, wrong, said)


def check_mistake(flags, tmp_path, capsys, wrong, said):
    (tmp_path / "text.txt").write_text("this is no image")
    wrong = [str(tmp_path / "text.txt") if word == "TEXT" else word for word in wrong]
    assert said in error_of(imagenet.main, [*flags, *wrong], capsys)
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_not_overwritten(linear, flags, photo, tmp_path, capsys):
    imagenet.main([photo, *flags])
    before = (tmp_path / "run" / "config.json").read_bytes()
    assert "holds a finished run" in error_of(imagenet.main, ["--noise", *flags], capsys)
    assert (tmp_path / "run" / "config.json").read_bytes() == before


def test_epsilon_depends_on_the_target_and_is_kept(linear, flags, photo, tmp_path):
    imagenet.main([photo, "--target", "zebra", *flags])
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (record["chapter"], record["preset"]) == ("chapter10_imagenet", None)
    assert record["settings"]["photos"] == [photo] and record["settings"]["epsilon"] == 8


def test_without_a_network_the_address_is_said(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("urllib.request.OpenerDirector.open", _offline)
    line = error_of(imagenet.main, ["--noise", "--output-dir", str(tmp_path / "run")], capsys)
    assert "resnet50_weights" in line and "class_index.json" in line and "--weights" in line


def test_without_a_network_the_list_of_classes_is_asked_for(
    linear, flags, files, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("urllib.request.OpenerDirector.open", _offline)
    alone = tmp_path / "mobile.weights.h5"
    alone.write_bytes((files / "mobile.weights.h5").read_bytes())
    line = error_of(imagenet.main, [*flags, "--noise", "--weights", str(alone)], capsys)
    assert "imagenet_class_index.json" in line and f"put it into {tmp_path}" in line


def _offline(*args, **kwargs):
    raise URLError("no network")


def test_help_is_fast_and_imports_no_tensorflow(program):
    done = program("-X", "importtime", imagenet.__file__, "--help")
    assert done.returncode == 0 and "--noise" in done.stdout
    assert "tensorflow" not in done.stderr
