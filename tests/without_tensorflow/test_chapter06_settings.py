"""Chapter 6: phases, batches and learning rates, and which settings are refused.

Without TensorFlow.
"""

from pathlib import Path

import pytest
from conftest import error_of

from chapter06_progan import train
from chapter06_progan.schedule import phases
from common import UserError

PAPER, QUICK, SMOKE = (train.PRESETS[name] for name in ("paper", "quick", "smoke"))


def test_each_level_but_the_first_is_faded_in_and_then_trained_as_it_is():
    found = phases(3, 100, 700, 4)
    assert [(phase.level, phase.fading) for phase in found] == [
        (0, False),
        (1, True),
        (1, False),
        (2, True),
        (2, False),
    ]
    assert [phase.begin for phase in found] == [0, 100, 200, 300, 400]
    assert [phase.end for phase in found] == [100, 200, 300, 400, 1100]
    assert [phase.level_begin for phase in found] == [0, 100, 100, 300, 300]


def test_without_growing_there_is_one_phase_of_as_many_images():
    (only,) = phases(3, 100, 700, 4, grow=False)
    assert (only.level, only.fading, only.begin, only.level_begin) == (2, False, 0, 0)
    assert only.end == phases(3, 100, 700, 4)[-1].end


@pytest.mark.parametrize("levels", [2, 5, 9])
def test_phases_follow_one_another(levels):
    found = phases(levels, 30, 50, 4)
    assert [phase.begin for phase in found] == [0, *(phase.end for phase in found[:-1])]
    for phase in found:
        first = next(other for other in found if other.level == phase.level)
        assert phase.level_begin == first.begin
    assert found[-1].end == phases(levels, 30, 50, 4, grow=False)[-1].end


def test_fade_goes_from_0_to_1_while_a_level_is_faded_in():
    before, fading, after, *_ = phases(2, 100, 100, 4)
    assert [fading.fade(images) for images in (100, 125, 150, 200)] == [0, 0.25, 0.5, 1]
    assert before.fade(50) is None and after.fade(250) is None


def batches(found):
    return {phase.level: phase.batch_size for phase in found}


def test_smaller_batches_are_the_authors():
    """Of `config.py` in their code, for one GPU."""
    sizes = dict(enumerate([128, 128, 128, 64, 32, 16, 8, 4, 4]))  # of 4×4, 8×8, …, 1024×1024
    assert batches(phases(9, 128, 128, 128, smaller_batches=True)) == sizes
    assert batches(PAPER.plan) == sizes
    assert batches(phases(9, 128, 128, 128)) == dict.fromkeys(range(9), 128)
    (only,) = phases(9, 128, 128, 128, grow=False, smaller_batches=True)
    assert only.batch_size == 4


def test_presets_are_the_papers_and_smaller_ones():
    assert (PAPER.learning_rate, PAPER.gradient_penalty, PAPER.drift) == (1e-3, 10, 1e-3)
    assert (PAPER.average, PAPER.decay, PAPER.latent_dim) == (0.999, 0, 512)
    assert (PAPER.total_filters, PAPER.most_filters) == (16_384, 512)
    assert len(PAPER.plan) == 17 and PAPER.plan[-1].level == 8
    assert PAPER.plan[-1].end == 16 * PAPER.phase_images + PAPER.last_images == 12_288_000
    assert [phase.level for phase in QUICK.plan] == [0, 1, 1, 2, 2, 3, 3]
    assert QUICK.plan[-1].end == 6 * QUICK.phase_images + QUICK.last_images
    assert [phase.end for phase in SMOKE.plan] == [32, 64, 96]
    for config in (PAPER, QUICK, SMOKE):  # the ideas of section 6.2
        assert config.grow and config.equalized and config.minibatch_deviation and config.pixel_norm


def test_a_path_is_made_absolute_and_a_name_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert SMOKE.replace(dataset="photos").dataset == str(Path.cwd() / "photos")
    assert SMOKE.replace(dataset="fashion_mnist").dataset == "fashion_mnist"


def test_few_images_get_advice():
    assert QUICK.advice(60_000) is None
    assert QUICK.advice(10_000) is None  # which are 36 passes
    line = QUICK.advice(1_000)
    assert line.startswith("1000 training images make 358 passes")
    flags = dict(zip(*[iter(line.split(": ")[1].split())] * 2, strict=True))
    typed = {flag.lstrip("-").replace("-", "_"): count for flag, count in flags.items()}
    fewer = QUICK.with_flags(typed)
    assert fewer.plan[-1].end / 1_000 == pytest.approx(QUICK.plan[-1].end / 60_000, rel=0.15)


def test_pictures_are_as_far_apart_as_the_phases_allow():
    assert QUICK.with_flags({"phase_images": "6400"}).sample_images == 6400
    assert QUICK.with_flags({"last_images": "25600"}).sample_images == 12_800
    assert QUICK.with_flags({"phase_images": "6400", "sample_images": "640"}).sample_images == 640


def test_without_the_deviation_any_batch_is_taken():
    config = SMOKE.replace(
        minibatch_deviation=False,
        batch_size=6,
        sample_images=36,
        phase_images=36,
        last_images=36,
    )
    assert batches(config.plan) == {0: 6, 1: 6}


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 8, 12])
def test_batches_of_whole_groups_or_of_less_than_one_are_taken(batch_size):
    config = SMOKE.replace(batch_size=batch_size, sample_images=96, phase_images=96, last_images=96)
    assert batches(config.plan) == {0: batch_size, 1: batch_size}


def test_smaller_batches_are_whole_groups_too_and_never_larger():
    with pytest.raises(UserError, match="--batch-size 24, made smaller, is no multiple of 4"):
        SMOKE.replace(
            size=64,
            total_filters=256,
            batch_size=24,
            smaller_batches=True,
            sample_images=24,
            phase_images=24,
            last_images=24,
        )
    assert batches(phases(4, 8, 8, 2, smaller_batches=True)) == dict.fromkeys(range(4), 2)


def test_dry_run_shows_the_settings(capsys):
    train.main(["--preset", "paper", "--no-grow", "--dry-run"])
    printed = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert printed["size"] == "1024" and printed["phase-images"] == "614400"
    assert printed["grow"] == "off" and printed["smaller-batches"] == "on"


SMALL = ["--preset", "smoke"]


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--size", "12"], "--size 12: is none of 8, 16, 32, …, 1024: sizes double from 4 on"),
        (["--size", "4"], "--size 4: is none of 8, 16"),
        (["--size", "2048"], "--size 2048: is none of 8, 16"),
        (["--size", "-8"], "--size -8: is none of 8, 16"),
        (["--batch-size", "6"], "--batch-size 6 is no multiple of 4, the images of a group"),
        (
            ["--phase-images", "40", "--sample-images", "16"],
            "--phase-images 40 is not a multiple of --sample-images 16",
        ),
        (["--phase-images", "33"], "--phase-images 33 and --last-images 32 cannot be divided"),
        (["--size", "32"], "--total-filters 64 leaves 2 features at --size 32; give 128 or more"),
        (["--dataset", "photos", "--fid"], "--fid has no part in --dataset"),
        (
            ["--batch-size", "12"],
            "--sample-images 16 is not a multiple of the 12 images of a batch",
        ),
        (["--average", "1"], "--average 1: should be less than 1"),
        (["--decay", "1"], "--decay 1: should be less than 1"),
        (["--drift", "-1"], "--drift -1: should be greater than or equal to 0"),
        (["--learning-rate", "0"], "--learning-rate 0: should be greater than 0"),
        (["--fid-images", "64"], "--fid-images 64: should be greater than or equal to 65"),
        (["--phase-images", "many"], "--phase-images many: should be a valid integer"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(tmp_path, monkeypatch, capsys, flags, words):
    monkeypatch.chdir(tmp_path)
    assert words in error_of(train.main, [*SMALL, *flags], capsys)
    assert list(tmp_path.iterdir()) == []
