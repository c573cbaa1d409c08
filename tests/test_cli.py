"""The shared flags, and how fast and in which words they answer."""

import argparse
import re
import shlex
import subprocess
import sys

import pytest
from conftest import REPOSITORY

from common import UserError, cli

PRESETS = {
    "quick": {"iterations": 100, "sample_interval": 50, "dataset": "mnist", "seed": 0},
    "book": {"iterations": 1000, "sample_interval": 100, "dataset": "mnist", "seed": 0},
}
CHAPTERS = sorted(path.parent for path in REPOSITORY.glob("chapter*/train.py"))


def parse(*argv):
    return cli.parse(cli.parser("What it does.", PRESETS), PRESETS, list(argv))


def test_flags_override_the_preset():
    config, options = parse("--preset", "book", "--seed", "4", "--resume")
    assert (config.preset, config.iterations, config.seed) == ("book", 1000, 4)
    assert options.given == {"preset": "book", "seed": 4}
    assert options.resume == "latest" and not options.dry_run and options.output_dir is None
    assert not hasattr(config, "resume")
    config, options = parse("--seed", "0")
    assert config.preset == "quick" and options.given == {"seed": 0}


@pytest.mark.parametrize(
    "iterations, interval", [(30, 30), (1000, 50), (120, 40), (99, 33), (47, 47)]
)
def test_the_interval_is_made_to_fit_the_iterations(iterations, interval):
    assert parse("--iterations", str(iterations))[0].sample_interval == interval


def test_intervals_that_do_not_fit():
    with pytest.raises(UserError, match="--iterations 30 is not a multiple"):
        parse("--iterations", "30", "--sample-interval", "50")
    with pytest.raises(UserError, match=r"--iterations 9973 .* take 10000, or"):
        parse("--iterations", "9973")
    assert parse("--iterations", "9973", "--resume")[0].iterations == 9973  # the run has its own


def test_data_folder_is_absolute_and_has_no_part_in_a_bundled_sample(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, _ = parse("--data-dir", "here", "--dataset", "mnist")
    assert config.data_dir == str(tmp_path / "here")
    with pytest.raises(UserError, match="--data-dir has no part in --dataset sample"):
        parse("--data-dir", "here", "--dataset", "sample")


@pytest.mark.parametrize(
    "kind, good, bad",
    [
        (cli.positive_int, {"7": 7}, ["0", "-1", "1.5", "x", ""]),
        (cli.seed_int, {"0": 0, "2147483647": 2147483647}, ["-1", "2147483648", "x"]),
        (cli.positive_float, {"1e-3": 0.001}, ["0", "-1", "nan", "inf", "x"]),
        (cli.fraction, {"0": 0.0, ".9": 0.9}, ["1", "-0.1", "nan", "x"]),
    ],
)
def test_kinds_of_numbers(kind, good, bad):
    for text, value in good.items():
        assert kind(text) == value
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError, match="is not a"):
            kind(text)


def test_show_prints_a_setting_a_line(capsys):
    cli.show(parse()[0])
    assert ["sample-interval", "50"] in [
        line.split() for line in capsys.readouterr().out.splitlines()
    ]


def test_interrupt_is_exit_code_130(capsys):
    def stopped():
        raise KeyboardInterrupt("Stopped at 3.")

    with pytest.raises(SystemExit) as stop:
        cli.run(stopped)
    assert stop.value.code == 130
    assert capsys.readouterr().err == "\nStopped at 3.\n"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.name)
def test_help_and_dry_run_need_no_tensorflow(program, tmp_path, chapter):
    """TensorFlow takes seconds to import; without it, --help answers at once."""
    for flag in ("--help", "--dry-run"):
        done = program("-X", "importtime", chapter / "train.py", flag)
        assert done.returncode == 0
        assert "tensorflow" not in done.stderr and "keras" not in done.stderr
        assert "batch-size" in done.stdout
        if flag == "--help":  # whose commands are this chapter's own
            assert set(re.findall(r"chapter\d\d_\w+(?=/)", done.stdout)) == {chapter.name}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.name)
def test_a_mistake_is_one_line_without_traceback(program, chapter):
    done = program(chapter / "train.py", "--no-such-flag")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: unrecognized arguments: --no-such-flag (see --help)"
    ]


def test_output_into_a_closed_pipe_is_no_traceback(tmp_path):
    script = CHAPTERS[0] / "train.py"
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(script))} --dry-run | true"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert "Traceback" not in done.stderr


def documented_commands():
    """Every command of a chapter that a README or a docstring shows."""
    texts = [REPOSITORY / "README.md"]
    texts += [path / file for path in CHAPTERS for file in ("README.md", "train.py")]
    for text in texts:
        whole_lines = re.sub(r"\\\n\s*", "", text.read_text(encoding="utf-8"))
        for line in whole_lines.splitlines():
            found = re.search(r"python (chapter\w+/train\.py)((?: -\S+| [^-\s]\S*)*)", line)
            if found and "`" not in found[2] and " RUN" not in found[2] and "--resume" not in line:
                yield found[1], found[2].split("  ")[0].split("#")[0].strip()


@pytest.mark.parametrize("script, flags", sorted(set(documented_commands())))
def test_documented_commands_are_accepted(program, script, flags):
    done = program(REPOSITORY / script, *flags.split(), "--dry-run")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.name)
def test_runs_as_a_module_too(chapter):
    done = subprocess.run(
        [sys.executable, "-m", f"{chapter.name}.train", "--preset", "smoke", "--dry-run"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "smoke" in done.stdout
