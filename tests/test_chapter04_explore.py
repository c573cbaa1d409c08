"""Chapter 4: explore.py, with a generator whose images are known."""

import contextlib
import io
import json
import shutil
import zipfile
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from conftest import error_of
from keras import layers

from chapter04_dcgan import explore, train
from common import data, images


@pytest.fixture(scope="module")
def sample():
    return data.load("sample")


@pytest.fixture(scope="module")
def digits(sample):
    """What the generator makes: for each digit, the first training image of it."""
    return np.stack([sample.x_train[sample.y_train == digit][0] for digit in range(10)])


@pytest.fixture(scope="module")
def run(tmp_path_factory, sample, digits):
    """A finished run; the largest of the latent point's first ten numbers chooses the digit."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    folder.mkdir()
    settings = train.PRESETS["smoke"].model_dump()
    record = {"chapter": "chapter04_dcgan", "preset": "smoke", "settings": settings}
    record |= {"data": sample.describe(), "versions": {}}
    (folder / "config.json").write_text(json.dumps(record))
    (folder / "results.json").write_text("{}")
    choose = layers.Dense(10, "softmax", use_bias=False)
    draw = layers.Dense(784, use_bias=False)
    generator = keras.Sequential(
        [keras.Input((100,)), choose, draw, layers.Reshape((28, 28, 1)), layers.Activation("tanh")]
    )
    choose.set_weights([1e6 * np.eye(100, 10)])
    draw.set_weights([np.where(digits.reshape(10, 784) > 127, 9.0, -9.0)])
    generator.save(folder / "generator.keras")
    return folder


@pytest.fixture(scope="module")
def explored(run):
    """What `explore.py` returned, what it printed, and its picture of the first seed."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        results = explore.main([str(run), "--arithmetic", "8", "8", "3"])
    return results, out.getvalue(), (run / "explore" / "interpolation.png").read_bytes()


def test_pictures_are_what_the_generator_makes(run, explored, sample, digits):
    results, out, _ = explored
    assert results["arithmetic"] == [3] * 9
    training = sample.x_train.reshape(-1, 784) / 127.5 - 1
    made = np.where(digits.reshape(10, 1, 784) > 127, 1.0, -1.0)
    nearest = np.sqrt(np.mean((made - training) ** 2, axis=2)).min(axis=1)
    assert np.min(np.abs(nearest - results["distance"])) < 1e-3  # a median: it is one of the ten
    test = sample.x_test[:500].reshape(-1, 784) / 127.5 - 1
    between = [np.sqrt(np.mean((x - training) ** 2, axis=1)).min() for x in test]
    assert results["test_distance"] == pytest.approx(np.median(between), rel=1e-4)
    strip = images.read(run / "explore" / "interpolation.png")
    assert strip.shape == (6 * (84 + 2) + 2, 10 * (84 + 2) + 2)
    frames = images.read(run / "explore" / "interpolation.gif")  # equal frames are merged
    assert len(frames) >= 6 and frames.shape[1:3] == (228, 228)
    pairs = images.read(run / "explore" / "nearest.png")
    tiles = [
        [pairs[r * 86 + 2 : r * 86 + 86 : 3, c * 86 + 2 : c * 86 + 86 : 3] for c in range(10)]
        for r in (0, 1)
    ]
    for made, nearest in zip(*tiles, strict=True):
        (digit,) = np.flatnonzero([np.array_equal(made, 255 * (x > 127)) for x in digits[..., 0]])
        assert np.array_equal(nearest, digits[digit, ..., 0])
    assert images.read(run / "explore" / "arithmetic.png").ndim == 3
    assert str(run / "explore") in out


def test_the_second_class_is_taken_away(digits):
    """With B = C, A - B + C is A. (In the run above A = B, and it is C.)"""
    random = np.random.default_rng(0)
    seen = explore.calculate(
        SimpleNamespace(write=lambda name, content: None),
        SimpleNamespace(name="mnist"),
        lambda points: np.where(digits[points[:, :10].argmax(axis=1)] > 127, 1.0, -1.0),
        (8, 3, 3),
        noise=random.normal(size=(1_000, 100)),
        nearby=random.normal(size=(9, 100)),
    )
    assert seen == [8] * 9


@pytest.mark.parametrize(
    "flags, words",
    [
        ([], "there is no finished run in runs/chapter04_dcgan"),
        (["7"], "7: holds no run"),
        (["--arithmetic", "1", "2"], "--arithmetic: expected 3 arguments"),
        (["--arithmetic", "1", "2", "10"], "--arithmetic 10: should be less than or equal to 9"),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys, flags, words):
    monkeypatch.chdir(tmp_path)
    assert words in error_of(explore.main, flags, capsys)
    assert list(tmp_path.iterdir()) == []


def test_too_few_samples_of_a_class_leave_the_other_pictures(run, tmp_path, capsys):
    """As after a short run: this generator makes nothing but zeros."""
    short = tmp_path / "short"
    shutil.copytree(run, short)
    shutil.rmtree(short / "explore", ignore_errors=True)
    generator = keras.models.load_model(run / "generator.keras")
    kernels = generator.get_weights()
    generator.set_weights([0 * kernels[0], np.tile(kernels[1][:1], (10, 1))])
    generator.save(short / "generator.keras")
    line = error_of(explore.main, [str(short)], capsys)
    assert "with 8: only 0 of 5000" in line and line.endswith("there are enough of 0")
    made = {path.name for path in (short / "explore").iterdir()}
    assert made == {"interpolation.png", "interpolation.gif", "nearest.png"}


@pytest.mark.parametrize("content", ["{", "[]", '{"chapter": 4}', "chapter04"])
def test_broken_config_is_one_line(run, tmp_path, capsys, content):
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    if content == "chapter04":
        content = '{"chapter": "chapter04_dcgan", "settings": [1], "data": {"sha256": "0"}}'
    (broken / "config.json").write_text(content)
    assert "config.json" in error_of(explore.main, [str(broken)], capsys)


def test_broken_network_is_one_line(run, tmp_path, capsys):
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    content = bytearray((broken / "generator.keras").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    (broken / "generator.keras").write_bytes(content)
    assert "generator.keras: cannot be loaded" in error_of(explore.main, [str(broken)], capsys)


def write_zip(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", ".", 1), content)


@pytest.mark.parametrize("content", [b"", b"PK", "[" * 100_000, '{"module": "os"}', "{}", "null"])
def test_what_is_no_network_is_one_line(run, tmp_path, capsys, content):
    """Nothing, no zip, and zips with a config.json that is too deep, or names no network."""
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    if isinstance(content, bytes):
        (broken / "generator.keras").write_bytes(content)
    else:
        write_zip(broken / "generator.keras", config_json=content, metadata_json="{}")
    assert "generator.keras: cannot be loaded" in error_of(explore.main, [str(broken)], capsys)


@pytest.mark.parametrize("latent_dim, pixels", [(7, 784), (100, 10)])
def test_another_network_is_one_line(run, tmp_path, capsys, latent_dim, pixels):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    network = keras.Sequential([keras.Input((latent_dim,)), layers.Dense(pixels)])
    network.save(other / "generator.keras")
    line = error_of(explore.main, [str(other)], capsys)
    assert f"is another network than the run's: from [(None, {latent_dim})]" in line


def test_a_network_that_is_missing_is_one_line(run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("*.keras"))
    line = error_of(explore.main, [str(tmp_path / "run")], capsys)
    assert "generator.keras: there is no such file" in line


def test_other_data_than_the_runs_is_refused(run, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    config = (other / "config.json").read_text()
    (other / "config.json").write_text(config.replace('"sha256": "', '"sha256": "0'))
    assert "was begun with other data" in error_of(explore.main, [str(other)], capsys)


def test_it_takes_the_latest_run_and_a_seed_makes_its_pictures(
    run, explored, tmp_path, monkeypatch, capsys
):
    """What takes long, the nearest images and the arithmetic, is only seen to be asked for."""
    nearest, arithmetic = [], []

    def find_nearest(run, dataset, samples):
        nearest.append(samples)
        return 0.0, 0.0

    def calculate(run, dataset, generate, digits, noise, nearby):
        arithmetic.append((digits, noise))
        return [0]

    monkeypatch.setattr(explore, "find_nearest", find_nearest)
    monkeypatch.setattr(explore, "calculate", calculate)
    home = tmp_path / "runs" / "chapter04_dcgan"
    home.mkdir(parents=True)
    try:
        (home / "0002").symlink_to(run)
    except OSError:
        pytest.skip("Windows makes symbolic links in developer mode alone")
    monkeypatch.chdir(tmp_path)
    explore.main([])
    assert "8 - 3 + 5: the classifier sees 0" in capsys.readouterr().out
    picture = run / "explore" / "interpolation.png"
    assert picture.read_bytes() == explored[2]
    explore.main([str(run), "--seed", "1"])
    assert picture.read_bytes() != explored[2]
    assert [digits for digits, _ in arithmetic] == [(8, 3, 5)] * 2
    for seen in (nearest, [noise for _, noise in arithmetic]):
        assert not np.array_equal(*seen)  # of the two seeds
