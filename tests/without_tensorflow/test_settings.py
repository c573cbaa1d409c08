"""Settings: one field gives a flag, its help, its bounds, and the check of a config.json."""

import re
from typing import Annotated, Literal

import pytest
from pydantic import Field, PositiveFloat, ValidationError

from common import UserError, cli, flags
from common.settings import EpochSettings, Fraction, Frozen, GANSettings, divisor


class Example(GANSettings):
    """A chapter's."""

    rate: PositiveFloat = 1e-3
    """of the optimizer; 50 % of it"""
    beta_1: Fraction = 0.9
    """momentum"""
    patch: Literal[94, 70] = 94
    """pixels"""
    xla: bool = True
    """compile"""
    shift: Annotated[int, Field(ge=0, le=7)] = 0
    """pixels"""


BOOK = Example(iterations=1000, batch_size=32, sample_interval=100)
PRESETS = {"quick": BOOK.replace(iterations=100, sample_interval=50, rate=0.5), "book": BOOK}


def parse(*argv):
    options, typed = flags.parse("What it does.", PRESETS, list(argv))
    return PRESETS[options["preset"] or "quick"].with_flags(typed), options, typed


def test_flags_override_the_preset():
    config, options, typed = parse("--preset", "book", "--seed", "4", "--resume", "--no-xla")
    assert (config.iterations, config.seed, config.xla, config.rate) == (1000, 4, False, 1e-3)
    assert set(typed) == {"seed", "xla"}
    machine = {"distribute": "auto", "devices": None, "wait": 300, "deterministic": True}
    run = {"preset": "book", "resume": "latest", "dry_run": False, "output_dir": None}
    assert options == run | machine
    config, options, typed = parse("--seed", "0", "--patch", "70", "--xla")
    assert options["preset"] is None and set(typed) == {"seed", "patch", "xla"}
    assert (config.rate, config.patch, config.xla) == (0.5, 70, True)


@pytest.mark.parametrize(
    "iterations, interval", [(30, 30), (1000, 50), (120, 40), (99, 33), (47, 47)]
)
def test_the_interval_is_made_to_fit_the_iterations(iterations, interval):
    assert parse("--iterations", str(iterations))[0].sample_interval == interval


def test_intervals_that_do_not_fit():
    with pytest.raises(UserError, match="--iterations 30 is not a multiple of --sample-interval"):
        parse("--iterations", "30", "--sample-interval", "50")
    with pytest.raises(UserError, match=r"--iterations 9973 .* take 10000, or give --sample-int"):
        parse("--iterations", "9973")
    assert divisor(12, 5) == 4 and divisor(50, 60) == 50


@pytest.mark.parametrize(
    "flag, good, bad",
    [
        ("--batch-size", {"7": 7}, ["0", "-1", "1.5", "x", ""]),
        ("--seed", {"0": 0, "2147483647": 2147483647}, ["-1", "2147483648", "x"]),
        ("--rate", {"1e-3": 0.001}, ["0", "-1", "nan", "inf", "x"]),
        ("--beta-1", {"0": 0.0, ".9": 0.9}, ["1", "-0.1", "nan", "x"]),
        ("--shift", {"0": 0, "7": 7}, ["8", "-1"]),
        ("--validation-images", {"0": 0}, ["-1"]),
        ("--patch", {"70": 70}, ["71", "x"]),
        ("--precision", {"float32": "float32"}, ["float64"]),
    ],
)
def test_bounds(flag, good, bad):
    for text, value in good.items():
        config, _, (name,) = parse(flag, text)
        assert getattr(config, name) == value and type(getattr(config, name)) is type(value)
    for text in bad:
        with pytest.raises(UserError, match=flag) as error:
            parse(f"{flag}={text}")
        assert "\n" not in str(error.value)


def test_data_folder_is_absolute_and_has_no_part_in_a_bundled_sample(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse("--data-dir", "here")[0].data_dir == str(tmp_path / "here")
    with pytest.raises(UserError, match="--data-dir has no part in --dataset sample"):
        parse("--data-dir", "here", "--dataset", "sample")


def test_text_that_is_no_utf8_is_refused_in_one_line():
    """As a path that was unzipped in another encoding: Python keeps it as surrogates."""
    for wrong in ("/k\udcb0", "k\udcb0"):
        with pytest.raises(UserError, match="its path is not UTF-8") as error:
            GANSettings.check(
                {"iterations": 1, "sample_interval": 1, "batch_size": 1, "data_dir": wrong}
            )
        assert len(str(error.value).splitlines()) == 1


def test_settings_are_frozen_and_presets_are_checked():
    with pytest.raises(ValidationError, match="frozen"):
        BOOK.seed = 3
    with pytest.raises(UserError, match="--rate -1"):
        BOOK.replace(rate=-1)
    with pytest.raises(UserError, match=r"--sead 3: .*not permitted"):
        BOOK.replace(sead=3)


def test_help_shows_each_flag_with_the_chosen_presets_value(capsys):
    for typed, preset, rate in (([], "quick", 0.5), (["--preset", "book"], "book", 0.001)):
        with pytest.raises(SystemExit) as stop:
            parse(*typed, "--help")
        assert stop.value.code == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert f"--rate X of the optimizer; 50 % of it ({preset}: {rate})" in shown
        assert f"--xla, --no-xla compile ({preset}: on)" in shown
        assert "--patch {94,70}" in shown
        for name in Example.model_fields:
            assert re.search(rf"--{name.replace('_', '-')}(?![a-z-])", shown), name


def test_dry_run_prints_a_setting_a_line(capsys):
    main = cli.program("chapter99", "What it does.", PRESETS, train=None)
    assert main(["--dry-run", "--iterations", "20"]) is None
    lines = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert lines["preset"] == "quick" and lines["sample-interval"] == "20"
    assert lines["xla"] == "on" and lines["data-dir"] == "-"
    assert set(lines) == {"preset"} | {name.replace("_", "-") for name in Example.model_fields}


def test_far_fewer_images_than_the_preset_was_chosen_for_get_a_line():
    settings = BOOK.replace(iterations=60_000, sample_interval=3_000, batch_size=128)
    assert settings.advice(60_000) is None and settings.advice(50_000) is None
    line = settings.advice(8_000)
    assert (
        "8000 training images make 960 passes" in line and "lower --iterations: 9000 make" in line
    )
    line = settings.replace(iterations=3_000).advice(8_000)  # a single interval
    assert "lower --iterations: 400 make" in line
    assert settings.replace(iterations=3_000, batch_size=16).advice(8_000) is None  # 6 passes


def test_an_epoch_is_a_pass_over_the_whole_batches():
    config = EpochSettings(epochs=3, batch_size=100)
    assert config.schedule(images=1050) == (30, 10)


class Words(Frozen):
    """A small program's."""

    run: Annotated[str, flags.POSITIONAL] = "latest"
    """a run"""
    paths: Annotated[list[str], flags.POSITIONAL] = Field(default_factory=list)
    """files"""
    direction: Literal["AtoB", "BtoA"]
    """which way"""
    numbers: tuple[Annotated[int, Field(ge=0, le=9)], int, int] = (8, 3, 5)
    """three"""
    class_name: str | None = Field(None, alias="class")
    """a class"""
    sizes: list[int] = Field([1], min_length=1)
    """sizes"""


def read(*argv):
    return flags.read("What it does.", Words, list(argv))


def test_a_program_without_presets(capsys):
    settings = read("3", "a.png", "b.png", "--direction", "AtoB", "--numbers", "9", "4", "6")
    assert (settings.run, settings.paths) == ("3", ["a.png", "b.png"])
    assert settings.numbers == (9, 4, 6) and settings.class_name is None
    settings = read("--direction", "BtoA", "--class", "bag")
    assert (settings.run, settings.paths, settings.class_name) == ("latest", [], "bag")
    for argv, words in (
        (["--direction", "AtoC"], "--direction: invalid choice"),
        (["3"], "arguments are required: --direction"),
        (["--direction", "AtoB", "--numbers", "10", "1", "1"], "--numbers"),
        (["--direction", "AtoB", "--sizes"], "--sizes needs at least 1 value"),
    ):
        with pytest.raises(UserError, match=words):
            read(*argv)
    with pytest.raises(SystemExit):
        read("--help")
    assert "--class TEXT" in capsys.readouterr().out
