"""Chapter 12: the attacks' measures, pairs of digits, truncated noise, and what flags refuse."""

import math

import numpy as np
import pytest
from conftest import REPOSITORY, error_of

from chapter12_looking_ahead import attention, generators, membership, pairs, roc, truncation
from common import data

MEMBERS = np.array([0.9, 0.8, 0.8, 0.3])
OTHERS = np.array([0.8, 0.5, 0.2, 0.1])


def test_auc_is_the_share_of_pairs_in_which_the_member_scores_higher():
    pairs_of_scores = [(m > o) + (m == o) / 2 for m in MEMBERS for o in OTHERS]
    assert roc.auc(MEMBERS, OTHERS) == pytest.approx(np.mean(pairs_of_scores))
    assert roc.auc(OTHERS, MEMBERS) == pytest.approx(1 - np.mean(pairs_of_scores))
    assert roc.auc(np.ones(3), np.ones(5)) == 0.5


def test_the_curve_has_the_auc_under_it(random):
    members, others = random.normal(1, 1, 300).round(1), random.normal(0, 1, 200).round(1)
    false, true = roc.curve(members, others)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(true, false) == pytest.approx(roc.auc(members, others))


def test_true_positive_rate_accuses_no_more_others_than_allowed():
    others = np.arange(200.0)
    # The threshold is 197: above it are two others, a hundredth of 200.
    assert roc.true_positive_rate(np.array([197.0, 198, 250, -5]), others) == 0.5
    assert roc.true_positive_rate(np.full(4, 7.0), np.full(9, 7.0)) == 0


def test_accuracy_is_that_of_images_that_had_no_part_in_the_threshold(random):
    """Of scores that are chance, the best threshold of the same scores would find 0.6 or so."""
    chance = [roc.accuracy(random.normal(size=50), random.normal(size=50)) for _ in range(300)]
    assert abs(np.mean(chance) - 0.5) < 0.02
    assert roc.accuracy(np.arange(10.0) + 10, np.arange(10.0)) == 1


def test_pairs_are_two_copies_of_a_halved_digit(random):
    images = random.integers(0, 256, (3, 28, 28, 1), np.uint8)
    made = pairs.make_pairs(images)
    assert made.shape == (3, *pairs.SHAPE) and made.dtype == np.uint8
    corner = images[:, :2, :2].astype(float).mean(axis=(1, 2, 3))
    for left in (pairs.LEFT, pairs.RIGHT):
        np.testing.assert_allclose(made[:, pairs.TOP, left, 0], corner, atol=0.5)
    assert np.array_equal(made[:, :, 1:15], made[:, :, 33:47])
    assert not made[:, :, 15:33].any() and not made[:, [0, 15]].any()
    left, right = pairs.split(data.scale(made))
    assert left.shape == (3, 28, 28, 1) and left.dtype == np.float32
    assert np.array_equal(left, right)


def test_agreement_counts_pairs_of_one_class_and_what_chance_would_give():
    left, right = np.eye(4)[[0, 0, 1, 2]], np.eye(4)[[0, 1, 1, 3]]
    expected = {"match": 0.5, "chance": (2 * 1 + 1 * 2 + 1 * 0 + 0 * 1) / 16}
    assert pairs.agreement(left, right) == pytest.approx(expected)


def test_truncated_noise_is_drawn_again_not_cut_off():
    noise = truncation.truncated_noise((400, 50), 0.5, seed=3)
    assert noise.dtype == np.float32 and np.abs(noise).max() <= 0.5
    assert np.mean(np.abs(noise) > 0.499) < 0.01  # cut off, two thirds would be at 0.5
    # The variance of a normal distribution that is truncated to ±a.
    density = math.exp(-(0.5**2) / 2) / math.sqrt(2 * math.pi)
    expected = 1 - 2 * 0.5 * density / math.erf(0.5 / math.sqrt(2))
    assert np.var(noise) == pytest.approx(expected, rel=0.03)
    whole = truncation.truncated_noise((400, 50), np.inf, seed=3)
    assert abs(np.var(whole) - 1) < 0.03
    assert np.array_equal(noise[np.abs(whole) <= 0.5], whole[np.abs(whole) <= 0.5])


def test_the_plain_network_has_more_iterations_in_whole_intervals():
    config = attention.PRESETS["quick"].replace(
        iterations=1_000, sample_interval=100, plain_factor=1.27
    )
    assert config.replace(network=["attention"]).schedule(60_000) == (1_000, 100)
    assert config.replace(network=["plain"]).schedule(60_000) == (1_300, 100)


def test_each_membership_training_has_its_own_settings():
    parts = membership.PRESETS["quick"].parts
    assert len(parts) == 2 * 3 * 3 and list(parts)[:2] == ["gan_500_seed0", "vae_500_seed0"]
    one = parts["vae_60000_seed2"]
    assert (one.model, one.images, one.seed, one.repeats) == (["vae"], [60_000], 2, 1)
    assert list(one.parts) == ["vae_60000_seed2"]


def test_help_of_truncation_needs_no_tensorflow(program):
    script = REPOSITORY / "chapter12_looking_ahead" / "truncation.py"
    done = program("-X", "importtime", script, "--help")
    assert done.returncode == 0 and "usage" in done.stdout
    assert "tensorflow" not in done.stderr and "keras" not in done.stderr


@pytest.mark.parametrize(
    ("name", "flags", "words"),
    [
        ("attention", ["--network", "plain", "plain"], "--network names a network twice"),
        ("attention", ["--plain-factor", "0.5"], "--plain-factor 0.5: should be greater"),
        ("attention", ["--task", "words"], "argument --task: invalid choice"),
        ("membership", ["--images", "500", "500"], "--images names one twice"),
        ("membership", ["--images", "50"], "--images 50: attacks are measured on 100 at least"),
        ("membership", ["--batch-size", "501"], "--batch-size 501 is more than --images 500"),
        ("membership", ["--model"], "--model needs at least 1 value"),
        ("membership", ["--attacked", "10"], "--attacked 10: should be greater than or equal"),
        ("truncation", ["--threshold", "0"], "should be greater than or equal to 0.01"),
        ("truncation", [], "no finished run of chapter 4, 6 or 8; train one: python chapter04"),
        ("truncation", ["runs/chapter04_dcgan/7"], "holds no run"),
        ("truncation", ["7"], "error: 7: holds no run"),
        ("truncation", [__file__], "--keras-file takes .keras files"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(tmp_path, monkeypatch, capsys, name, flags, words):
    monkeypatch.chdir(tmp_path)
    programs = {"attention": attention, "membership": membership, "truncation": truncation}
    assert words in error_of(programs[name].main, flags, capsys)
    assert list(tmp_path.iterdir()) == []


def test_runs_of_a_chapter_are_summarised_together():
    rows = [
        {"group": c, "threshold": t, "precision": p, "recall": 0.0, "fid": 1.0}
        for c, t, p in (("a", np.inf, 0.5), ("a", 0.5, 1.0), ("a", np.inf, 0.7), ("b", 0.5, 0.1))
    ]
    found = truncation.summarize(rows)
    assert {group: list(sweep) for group, sweep in found.items()} == {
        "a": ["inf", "0.5"],
        "b": ["0.5"],
    }
    expected = {"mean": 0.6, "deviation": np.std([0.5, 0.7], ddof=1)}
    assert found["a"]["inf"]["precision"] == pytest.approx(expected)
    assert found["b"]["0.5"]["precision"] == {"mean": 0.1, "deviation": None}


def write_run(folder, chapter="chapter04_dcgan", dataset="mnist", finished=True):
    folder.mkdir(parents=True)
    record = '{"chapter": "%s", "preset": null, "settings": {"dataset": "%s"}, '
    record += '"data": {"source": "", "sha256": ""}, "versions": {}}'
    (folder / "config.json").write_text(record % (chapter, dataset))
    if finished:
        (folder / "results.json").write_text("{}")


def test_the_latest_finished_run_of_each_chapter_is_found(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for number in ("0001", "0002"):
        write_run(tmp_path / "runs" / "chapter04_dcgan" / number)
    write_run(tmp_path / "runs" / "chapter04_dcgan" / "0003", finished=False)
    write_run(tmp_path / "runs" / "chapter08_cgan" / "0001", "chapter08_cgan", "fashion_mnist")
    found = generators.find([])
    groups = ["chapter04_dcgan, mnist", "chapter08_cgan, fashion_mnist"]
    assert [one.group for one in found] == groups
    assert found[0].path.parent.name == "0002"
    assert "left out: there is no finished run in runs/chapter06_progan" in capsys.readouterr().err
    assert [one.dataset for one in found] == ["mnist", "fashion_mnist"]
    write_run(tmp_path / "style", "chapter06_progan", 'mnist", "model": "stylegan')
    assert generators.of_run(tmp_path / "style").group == "chapter06_progan, stylegan, mnist"
    write_run(tmp_path / "photos", "chapter06_progan", "folder")
    line = error_of(truncation.main, ["photos"], capsys)
    assert "photos: trained on folder; the metrics know mnist, fashion_mnist" in line
    (tmp_path / "photos" / "config.json").write_text("{")
    assert "cannot be read" in error_of(truncation.main, ["photos"], capsys)
