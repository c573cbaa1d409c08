"""Chapter 4: explore.py, with a generator whose images are known."""

import keras
import numpy as np
import pytest
from conftest import REPOSITORY, error_of
from keras import layers

from chapter04_dcgan import explore, train
from chapter04_dcgan.explore import class_mean, onto_sphere, slerp, walk
from common import UserError, data, images

# What the generator makes: for each digit, the first training image of it.
SAMPLE = data.load("sample")
DIGITS = np.stack([SAMPLE.x_train[SAMPLE.y_train == digit][0] for digit in range(10)])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run; the largest of the latent point's first ten numbers chooses the digit."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train.main(["--preset", "smoke", "--iterations", "1", "--output-dir", str(folder)])
    choose = layers.Dense(10, "softmax", use_bias=False)
    draw = layers.Dense(784, use_bias=False)
    generator = keras.Sequential(
        [keras.Input((100,)), choose, draw, layers.Reshape((28, 28, 1)), layers.Activation("tanh")]
    )
    choose.set_weights([1e6 * np.eye(100, 10)])
    draw.set_weights([np.where(DIGITS.reshape(10, 784) > 127, 9.0, -9.0)])
    generator.save(folder / "generator.keras")
    return folder


def test_slerp_keeps_to_the_sphere_at_even_angles():
    start, end = np.array([3.0, 0, 0]), np.array([0, 0, 3.0])
    points = slerp(start, end, 4)
    np.testing.assert_allclose(points[[0, -1]], [start, end], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 3)
    steps = np.arccos(np.sum(points[1:] * points[:-1], axis=1) / 9)
    np.testing.assert_allclose(steps, np.pi / 6)


def test_slerp_where_there_is_no_shortest_arc():
    point = np.array([1.0, 2.0])
    np.testing.assert_allclose(slerp(point, point, 3), [point] * 3)
    np.testing.assert_allclose(slerp(point, -point, 3), [point, 0 * point, -point])


def test_walk_returns_to_where_it_began():
    points = np.eye(3)
    latent = walk(points, 4)
    assert latent.shape == (12, 3)
    np.testing.assert_allclose(latent[::4], points, atol=1e-12)
    np.testing.assert_allclose(latent[-1], slerp(points[2], points[0], 5)[3])


def test_class_mean_is_of_the_wanted_class_alone():
    noise = np.array([[1.0, 0], [3.0, 2], [9.0, 9]])
    np.testing.assert_allclose(class_mean(noise, np.array([4, 4, 1]), 4, least=2), [2, 1])
    with pytest.raises(UserError, match="--arithmetic 1: only 1 of 3"):
        class_mean(noise, np.array([4, 4, 1]), 1, least=2)
    np.testing.assert_allclose(onto_sphere(np.array([3.0, 4.0])), np.sqrt(2) * np.array([0.6, 0.8]))


def test_pictures_are_what_the_generator_makes(run, capsys):
    results = explore.main([str(run), "--arithmetic", "8", "3", "8"])
    assert results["arithmetic"] == [8] * 9
    # The generator makes training images with hard edges, so that they are nearer than others'.
    assert results["distance"] < results["test_distance"]
    strip = images.read(run / "explore" / "interpolation.png")
    assert strip.shape == (6 * (84 + 2) + 2, 10 * (84 + 2) + 2)
    film = images.read(run / "explore" / "interpolation.gif")  # like frames are made one
    assert len(film) >= 6 and film.shape[1:3] == (228, 228)
    pairs = images.read(run / "explore" / "nearest.png")
    tiles = [
        [pairs[r * 86 + 2 : r * 86 + 86 : 3, c * 86 + 2 : c * 86 + 86 : 3] for c in range(10)]
        for r in (0, 1)
    ]
    for made, nearest in zip(*tiles, strict=True):
        (digit,) = np.flatnonzero([np.array_equal(made, 255 * (x > 127)) for x in DIGITS[..., 0]])
        assert np.array_equal(nearest, DIGITS[digit, ..., 0])
    assert images.read(run / "explore" / "arithmetic.png").ndim == 3
    assert str(run / "explore") in capsys.readouterr().out


def test_the_same_seed_makes_the_same_pictures(run):
    pictures = []
    for seed in ("1", "1", "2"):
        explore.main([str(run), "--seed", seed])
        pictures.append((run / "explore" / "interpolation.png").read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]


@pytest.mark.parametrize(
    "flags, words",
    [
        ([], "there is no finished run in runs/chapter04_dcgan"),
        (["7"], "7: holds no run"),
        (["--arithmetic", "1", "2"], "--arithmetic"),
        (["--arithmetic", "1", "2", "10"], "--arithmetic"),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys, flags, words):
    monkeypatch.chdir(tmp_path)
    assert words in error_of(explore.main, flags, capsys)
    assert list(tmp_path.iterdir()) == []


def test_other_data_than_the_runs_is_refused(run, tmp_path, capsys):
    config = run / "config.json"
    before = config.read_text()
    config.write_text(before.replace('"sha256": "', '"sha256": "0'))
    assert "was begun with other data" in error_of(explore.main, [str(run)], capsys)
    config.write_text(before)


def test_program_runs_by_its_path_on_the_latest_run(run, program, tmp_path):
    home = tmp_path / "runs" / "chapter04_dcgan"
    home.mkdir(parents=True)
    (home / "0002").symlink_to(run)
    done = program(REPOSITORY / "chapter04_dcgan" / "explore.py")
    assert done.returncode == 0, done.stderr
    assert "8 - 3 + 5: the classifier sees" in done.stdout
