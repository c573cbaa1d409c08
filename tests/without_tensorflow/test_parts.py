"""Several trainings in one run, `common/parts.py`: what is done, what is left, and Ctrl-C."""

import pytest

from common import UserError, opening, parts
from common.settings import GANSettings

DATA = {"source": "made", "sha256": "1"}
BOTH = GANSettings(iterations=20, sample_interval=10, batch_size=8)
PARTS = {"one": BOTH.replace(seed=1), "two": BOTH.replace(seed=2)}


def open_run(resume=None, **typed):
    presets = {"quick": BOTH}
    return opening.open_run("chapter03_gan", presets, typed, output_dir="run", resume=resume)


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """The seeds of what was trained, and a function that trains nothing but writes its results."""
    monkeypatch.chdir(tmp_path)
    seeds = []

    def train_part(settings, part):
        seeds.append(settings.seed)
        part.schedule(20, 10)
        part.start(DATA)
        if settings.seed == 2 and seeds.count(2) == 1:
            part.saved_iteration = 10
            raise KeyboardInterrupt
        part.write_json("results.json", {"seed": settings.seed})

    return seeds, train_part


def test_a_stopped_run_goes_on_with_the_part_that_was_stopped(trained):
    seeds, train_part = trained
    run = open_run()
    with pytest.raises(KeyboardInterrupt, match="up to iteration 10 is kept") as stop:
        with run.resumable():
            parts.train_parts(run, DATA, PARTS, train_part)
    assert str(stop.value).endswith("chapter03_gan/train.py --resume run")  # the whole run's
    again = open_run(resume="latest")
    found = parts.train_parts(again, DATA, PARTS, train_part)
    assert found == {"one": {"seed": 1}, "two": {"seed": 2}}
    assert seeds == [1, 2, 2]


def test_a_part_may_end_without_results(trained):
    _, train_part = trained

    def diverge(settings, part):
        if settings.seed == 1:
            train_part(settings, part)
        else:
            part.start(DATA)
            part.write_json("diverged.json", {})

    ended = ("results.json", "diverged.json")
    assert parts.train_parts(open_run(), DATA, PARTS, diverge, ended) == {"one": {"seed": 1}}


def test_a_part_of_other_settings_is_refused(trained):
    _, train_part = trained
    run = open_run()
    parts.train_parts(run, DATA, {"one": PARTS["one"]}, train_part)
    run._lock.release()
    again = open_run(resume="latest")
    with pytest.raises(UserError, match="run/one has other settings than"):
        parts.train_parts(again, DATA, {"one": BOTH.replace(seed=3)}, train_part)


def test_several_workers_are_refused(trained):
    _, train_part = trained
    run = open_run()
    run.workers = object()
    with pytest.raises(UserError, match="one part at a time: give the flags of one alone"):
        parts.train_parts(run, DATA, PARTS, train_part)


@pytest.mark.usefixtures("trained")
def test_damaged_results_of_a_part_are_one_line():
    def damage(settings, part):
        part.start(DATA)
        part.write("results.json", b'{"seed":')

    with pytest.raises(UserError, match=r"one/results\.json: cannot be read"):
        parts.train_parts(open_run(), DATA, {"one": PARTS["one"]}, damage)
