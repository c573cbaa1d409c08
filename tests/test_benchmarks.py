"""The benchmarks start, train and print; their figures are for people to read."""

import contextlib
import functools
import importlib
import json
import re
import sys
import types

import pytest
from conftest import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "benchmarks"))
import loops
import quality
import scaling

from common import UserError


@pytest.fixture
def run_quality(monkeypatch, capsys):
    """Runs quality.py in this process, and the training programs that it starts; what it prints."""

    def start(command, stdout):
        _, script, *flags = map(str, command)
        assert script == str(REPOSITORY / "chapter03_gan" / "train.py")
        with contextlib.redirect_stdout(stdout):
            importlib.import_module("chapter03_gan.train").main(flags)
        return types.SimpleNamespace(returncode=0)

    def run(*arguments):
        monkeypatch.setattr(quality, "subprocess", types.SimpleNamespace(run=start))
        monkeypatch.setattr(sys, "argv", ["quality.py", *arguments])
        quality.main()
        return capsys.readouterr().out.splitlines()

    return run


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_quality_trains_each_seed_once_and_prints_the_spread(run_quality, tmp_path):
    command = ["chapter03_gan", "--presets", "smoke", "--dataset", "sample", "--seeds", "0", "1"]
    command += ["--output-dir", str(tmp_path / "kept")]
    table = run_quality(*command)
    runs = [tmp_path / "kept" / "chapter03_gan" / f"sample-smoke-seed{seed}" for seed in (0, 1)]
    before = [(run / "results.json").stat().st_mtime_ns for run in runs]
    assert run_quality(*command) == table
    assert [(run / "results.json").stat().st_mtime_ns for run in runs] == before

    values = [json.loads((run / "results.json").read_text())["fid"] for run in runs]
    fid = next(line for line in table if line.startswith("  fid "))
    assert f"{sum(values) / 2:.4g} ± " in fid
    assert [line.split()[0] for line in table[table.index("  FID by iteration") + 1 :]] == [
        "10",
        "20",
    ]


def test_speed_names_the_chapters_it_knows(program):
    done = program(REPOSITORY / "benchmarks" / "speed.py", "chapter99")
    assert done.returncode == 2 and "chapter03_gan" in done.stderr


# One program of each chapter: with other batches, games or levels, it is much the same.
ONE = {"chapter05_training": "wgan-gp", "chapter06_progan": "8×8"}
COMPARED = [
    name
    for name in loops.compared()
    if " batch" not in name and name.endswith(ONE.get(name.split()[0], ""))
]


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPARED)
def test_both_loops_of_each_chapter_run(name, monkeypatch):
    import tensorflow as tf

    from chapter09_cyclegan import networks
    from common import data

    # Chapter 9's networks are large, and their functions take long to compile.
    tf.config.run_functions_eagerly(name == "chapter09_cyclegan")
    for build in ("build_unet", "build_discriminator"):
        small = functools.partial(getattr(networks, build), filters=2)
        monkeypatch.setattr(networks, build, small)
    if name == "chapter10_adversarial":
        pytest.importorskip("art", reason="benchmarks/requirements.txt is not installed")
    if name.split()[0] in ONE:
        pytest.importorskip("torch", reason="benchmarks/requirements.txt is not installed")
    chapter, dataset = loops.compared()[name], data.load("sample")
    least = {2000: 100, 2400: 100, 1: 1}  # one program's steps, or all that is measured
    try:
        chapter.books(dataset)(1)
        chapter.ours(dataset)(least.get(chapter.our_iterations, 10))
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize(
    "attack, settings, said",
    [
        ("flat", {"defend": False}, "--attacks flat needs a run with --defend"),
        ("flat", {"defend": True, "binarization": 5.0}, "a --binarization of more than 5"),
        ("apgd", {"precision": "mixed_bfloat16"}, "trained with --precision mixed_bfloat16"),
        ("autoattack", {"precision": "mixed_bfloat16"}, "copies the networks to PyTorch"),
    ],
)
def test_strength_refuses_attacks_that_a_run_s_networks_do_not_allow(attack, settings, said):
    import strength

    from chapter10_adversarial.train import PRESETS

    run = types.SimpleNamespace(path="RUN", config=PRESETS["smoke"].replace(**settings))
    with pytest.raises(UserError, match=said):
        strength.check(["pgd", attack], run)
    strength.check(["pgd"], run)


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_defences_trains_with_all_means_and_prints_what_attacks_leave(monkeypatch, capsys):
    import defences

    from common import data

    sample = data.load("sample", None, 20)
    monkeypatch.setattr(data, "load", lambda *arguments: sample)
    flags = "--epochs 1 --batch-size 1000 --filters 2 --units 8 --steps 1 --images 10"
    flags += " --trades 1 --awp 0.01 --average 0.9 --convolutions 4"
    monkeypatch.setattr(sys, "argv", ["defences.py", *flags.split()])
    monkeypatch.setattr(defences, "ATTACKS", {"Auto-PGD": ("apgd", {"steps": 2})})
    defences.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("epoch 1, loss ")
    before, after = (float(line.split()[-1].rstrip("%")) for line in lines[-2:])
    assert lines[-1].startswith("Auto-PGD") and 0 <= after <= before <= 100


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_each_of_the_means_of_defences_does_what_it_says(random):
    """One step of Adam, whose first moves each weight by the learning rate or less."""
    import defences
    import keras
    import numpy as np

    images = random.random((8, 28, 28, 1), np.float32)
    labels = np.arange(8)
    usual = {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3, "steps": 1, "step_size": 1.0}
    usual |= {"warmup": 0, "trades": 0, "awp": 0, "average": 0, "seed": 0}

    def train(**changes):
        keras.utils.set_random_seed(0)
        network = keras.Sequential(
            [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
        )
        before = network.get_weights()[0]
        defences.train(network, images, labels, types.SimpleNamespace(**(usual | changes)))
        return before, network.get_weights()[0]

    before, attacked = train()
    others = {name: train(**{name: 0.5})[1] for name in ("trades", "awp", "average")}
    others["steps"] = train(steps=0)[1]
    for name, weights in others.items():
        assert np.abs(weights - attacked).max() > 1e-5, name
        assert np.abs(weights - before).max() < 1.01e-3, name  # awp: back where they were
    # The average of the first weights and those after a step, by `early_decay`.
    np.testing.assert_allclose(others["average"], 0.1 * before + 0.9 * attacked, atol=1e-7)


def test_operations_are_counted_as_products_and_sums():
    """A dense layer of m inputs and n outputs takes m·n products and about as many sums."""
    import keras

    dense = keras.Sequential([keras.Input((20,)), keras.layers.Dense(30, use_bias=False)])
    assert scaling.flops(dense) == 2 * 20 * 30
    assert scaling.trainable(dense) == 20 * 30
    image = keras.Input((None, None, 3))
    convolution = keras.layers.Conv2D(5, 3, padding="same", use_bias=False)
    assert scaling.flops(keras.Model(image, convolution(image)), 8) == 2 * 8 * 8 * 9 * 3 * 5


@pytest.mark.slow
def test_costs_are_those_of_the_documentation(capsys):
    scaling.costs()
    printed = [
        [float(number) for number in re.findall(r" ([\d.]+)(?: |$)", line[30:])]
        for line in capsys.readouterr().out.splitlines()[1:]
    ]
    written = [
        [float(number.replace(",", "")) for number in re.findall(r"\| ([\d.,]+)", line)]
        for line in (REPOSITORY / "docs" / "scaling.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| chapter") and " MiB " in line
    ]
    assert len(printed) == len(written) == 5
    for found, wanted in zip(printed, written, strict=True):
        assert found == pytest.approx(wanted, rel=0.05, abs=0.005)
