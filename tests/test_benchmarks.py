"""The benchmarks start, train and print; their figures are for people to read."""

import functools
import json
import sys

import pytest
from conftest import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "benchmarks"))
import loops


def test_quality_trains_each_seed_once_and_prints_the_spread(program, tmp_path):
    command = [REPOSITORY / "benchmarks" / "quality.py", "chapter03_gan", "--presets", "smoke"]
    command += ["--dataset", "sample", "--seeds", "0", "1", "--output-dir", "kept"]
    first = program(*command)
    assert first.returncode == 0, first.stderr
    runs = [tmp_path / "kept" / "chapter03_gan" / f"sample-smoke-seed{seed}" for seed in (0, 1)]
    before = [(run / "results.json").stat().st_mtime_ns for run in runs]
    again = program(*command)
    assert again.stdout == first.stdout
    assert [(run / "results.json").stat().st_mtime_ns for run in runs] == before

    values = [json.loads((run / "results.json").read_text())["fid"] for run in runs]
    fid = next(line for line in first.stdout.splitlines() if line.startswith("  fid "))
    assert f"{sum(values) / 2:.4g} ± " in fid
    table = first.stdout.splitlines()
    assert [line.split()[0] for line in table[table.index("  FID by iteration") + 1 :]] == [
        "10",
        "20",
    ]


def test_floor_ranks_real_images_first(program):
    done = program(REPOSITORY / "benchmarks" / "quality.py", "floor", "--dataset", "sample")
    assert done.returncode == 0, done.stderr
    fids = {line[:34].strip(): float(line[44:54]) for line in done.stdout.splitlines()[2:]}
    assert min(fids, key=fids.get) == "training images"
    assert max(fids, key=fids.get) == "uniform noise"


def test_every_chapter_is_found():
    assert loops.chapters() == sorted(
        path.parent.name for path in REPOSITORY.glob("chapter*/train.py")
    )
    assert loops.measured_presets("chapter02_autoencoder") == ["book"]  # where quick is the same
    assert loops.measured_presets("chapter03_gan") == ["quick", "book"]
    assert loops.published("chapter03_gan", "book")["d_accuracy"] == "0.828, 0.844"
    assert loops.published("chapter03_gan", "smoke") == {}


def test_speed_names_the_chapters_it_knows(program):
    done = program(REPOSITORY / "benchmarks" / "speed.py", "chapter99")
    assert done.returncode == 2 and "chapter03_gan" in done.stderr


@pytest.mark.parametrize("name", [name for name in loops.compared() if "batch" not in name])
def test_both_loops_of_each_chapter_run(name, monkeypatch):
    from chapter09_cyclegan import networks
    from common import data

    # Chapter 9's networks are large, and compiling takes most of the time.
    for build in ("build_unet", "build_discriminator"):
        small = functools.partial(getattr(networks, build), filters=2)
        monkeypatch.setattr(networks, build, small)
    if name == "chapter10_adversarial":
        pytest.importorskip("art", reason="benchmarks/requirements.txt is not installed")
    chapter, dataset = loops.compared()[name], data.load("sample")
    chapter.books(dataset)(1)
    least = {2000: 100, 2400: 100, 1: 1}  # one program's steps, or all that is measured
    chapter.ours(dataset)(least.get(chapter.our_iterations, 20))
