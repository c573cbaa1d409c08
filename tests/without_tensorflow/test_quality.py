"""benchmarks/quality.py: which runs it trains, finds or refuses, and what it prints of them."""

import csv
import json
import sys
import types

import pytest
from conftest import REPOSITORY

from common import data, runs

sys.path.insert(0, str(REPOSITORY / "benchmarks"))
import loops
import quality

SAMPLE = data.load("sample").describe()


def write_run(folder, chapter, preset, seed, unit="iteration", described=SAMPLE):
    """What a finished training leaves, as far as quality.py reads it; its FID is the seed."""
    folder.mkdir(parents=True)
    config = loops.presets(chapter)[preset].replace(seed=seed)
    record = runs.Record(
        chapter=chapter,
        preset=preset,
        settings=config.model_dump(),
        data=described,
        versions=runs.versions_of(chapter),
    )
    (folder / "config.json").write_text(record.model_dump_json())
    with open(folder / "history.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerows([[unit, "fid"], [16, seed + 2.5], [32, seed]])
    (folder / "results.json").write_text(json.dumps({"fid": float(seed), "data": "sample"}))


def change(folder, **changes):
    """Changes config.json: one value of each of these parts."""
    record = json.loads((folder / "config.json").read_text())
    for part, (name, value) in changes.items():
        record[part][name] = value
    (folder / "config.json").write_text(json.dumps(record))


@pytest.fixture
def measure(tmp_path, monkeypatch, capsys):
    """Measures smoke with training that takes no time; what is printed, and the seeds trained."""

    def start(chapter, *flags, described=SAMPLE):
        trained = []

        def train(command, stdout):
            words = list(map(str, command))
            folder, seed = (words[words.index(x) + 1] for x in ("--output-dir", "--seed"))
            trained.append(int(seed))
            unit = "image" if chapter == "chapter06_progan" else "iteration"
            write_run(tmp_path / folder, chapter, "smoke", int(seed), unit, described)
            return types.SimpleNamespace(returncode=0)

        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(quality, "subprocess", types.SimpleNamespace(run=train))
        given = [chapter, "--presets", "smoke", "--output-dir", "kept", *flags]
        monkeypatch.setattr(sys, "argv", ["quality.py", *given])
        quality.main()
        said = capsys.readouterr()
        return said.out.splitlines(), said.err.splitlines(), trained

    return start


def test_chapter_6_counts_images(measure):
    table, _, _ = measure("chapter06_progan", "--seeds", "3", "4")
    at = table.index("  FID by image")
    assert [line.split() for line in table[at + 1 :]] == [
        ["16", "5.50", "6.50"],
        ["32", "3.00", "4.00"],
    ]


def test_what_is_finished_is_not_trained_again(measure):
    first = measure("chapter03_gan", "--seeds", "0", "1")
    second = measure("chapter03_gan", "--seeds", "0", "1")
    assert (first[2], second[2]) == ([0, 1], [])
    assert first[:2] == second[:2] and "  FID by iteration" in first[0]
    assert any(line.split()[:4] == ["fid", "0.5", "±", "0.71"] for line in first[0])


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"settings": ("latent_dim", 7)}, "has latent_dim 7, smoke has 100 now"),
        ({"data": ("sha256", "0")}, "has other data (bundled MNIST, the first 4,000 and 1,000"),
    ],
)
def test_another_run_is_refused_before_anything_is_trained(measure, tmp_path, changes, said):
    """Also if it is not finished: it would be trained on for hours, and then be of no use."""
    folder = tmp_path / "kept" / "chapter03_gan" / "smoke-seed1"
    write_run(folder, "chapter03_gan", "smoke", 1)
    (folder / "results.json").unlink()
    change(folder, **changes)
    with pytest.raises(SystemExit, match="kept/chapter03_gan/smoke-seed1 ") as stop:
        measure("chapter03_gan", "--seeds", "0", "1")
    assert said in stop.value.code
    assert not folder.with_name("smoke-seed0").exists()


def test_other_versions_are_one_line(measure, tmp_path):
    folder = tmp_path / "kept" / "chapter03_gan" / "smoke-seed1"
    write_run(folder, "chapter03_gan", "smoke", 1)
    change(folder, versions=("numpy", "1.0"))
    now = runs.installed_versions()["numpy"]
    _, said, trained = measure("chapter03_gan", "--seeds", "0", "1")
    assert said == [f"kept/chapter03_gan/smoke-seed1 was begun with numpy 1.0 (now {now})"]
    assert trained == [0]


def test_runs_on_different_photos_are_not_averaged(measure, tmp_path):
    """Chapter 9's data is not looked for; its runs are compared with each other."""
    folder = tmp_path / "kept" / "chapter09_cyclegan" / "smoke-seed1"
    write_run(folder, "chapter09_cyclegan", "smoke", 1)
    other = {"source": "others", "sha256": "1"}
    with pytest.raises(SystemExit, match=r"seed0 and .*-seed1 were trained on different data"):
        measure("chapter09_cyclegan", "--seeds", "0", "1", described=other)


@pytest.mark.parametrize(
    "values, line",
    [
        ([1.5], "1.5"),
        ([1.0, 2.0], "1.5 ± 0.71  (1, 2)"),
        ([None, 1.0, 2.0], "1.5 ± 0.71  (-, 1, 2)"),
        ([1.5, None], "1.5  (1.5, -)"),
        ([None, None], "-"),
        ([10, 10], "10"),
        ([10, None, 8], "10, -, 8"),
        (["bundled MNIST", "others"], "bundled MNIST, others"),
        ([[0.5, 1], [0.5, 1]], "[0.5, 1]"),
    ],
)
def test_a_seed_without_the_number_is_a_dash(values, line):
    assert quality.over_seeds(values) == line


def test_a_game_that_diverged_with_one_seed_is_in_the_table(capsys):
    diverged = {"wgan diverged": "training diverged before iteration 8", "hinge fid": 4.0}
    quality.table([{"wgan fid": 3.0, "hinge fid": 2.0}, diverged], {})
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["wgan", "fid", "3  (3, -)"],
        ["hinge", "fid", "3 ± 1.4  (2, 4)"],
        ["wgan", "diverged", "-, training diverged before iteration 8"],
    ]


def test_results_of_several_games_have_a_name_each(tmp_path):
    results = {"minimax": {"fid": 1.5, "images": 2}, "data": "bundled MNIST"}
    assert quality.flat(results) == {
        "minimax fid": 1.5,
        "minimax images": 2,
        "data": "bundled MNIST",
    }
    assert quality.flat({"a": {"b": {"c": 1.5}}}) == {"a b c": 1.5}
    assert quality.fids_of(tmp_path / "history.csv") == ("", {})


def test_every_chapter_is_found():
    assert loops.chapters() == sorted(
        path.parent.name for path in REPOSITORY.glob("chapter*/train.py")
    )
    assert loops.measured_presets("chapter02_autoencoder") == ["book"]  # where quick is the same
    assert loops.measured_presets("chapter03_gan") == ["quick", "book"]
    assert loops.published("chapter03_gan", "book")["d_accuracy"] == "0.828, 0.844"
    assert loops.published("chapter03_gan", "smoke") == {}


def test_each_program_of_a_chapter_can_be_measured():
    assert {"chapter03_gan", "chapter12_looking_ahead/attention"} < set(loops.programs())
    assert "chapter12_looking_ahead" not in loops.programs()
    assert loops.measured_presets("chapter12_looking_ahead/attention") == ["quick"]
