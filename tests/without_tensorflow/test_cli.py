"""Programs from outside: how fast and in which words they answer."""

import importlib
import json
import os
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from conftest import REPOSITORY, error_of

from common import cli

CHAPTERS = sorted(path.parent for path in REPOSITORY.glob("chapter*/train.py"))
# Those that train: train.py, or several by other names.
PROGRAMS = sorted(
    path
    for path in REPOSITORY.glob("chapter*/*.py")
    if "\nmain = cli.program(" in path.read_text(encoding="utf-8")
)


def name_of(path):
    return f"{path.parent.name}.{path.stem}"


def test_interrupt_is_exit_code_130(capsys):
    def stopped():
        raise KeyboardInterrupt("Stopped at 3.")

    with pytest.raises(SystemExit) as stop:
        cli.run(stopped)
    assert stop.value.code == 130
    assert capsys.readouterr().err == "\nStopped at 3.\n"


def test_interrupt_before_there_is_a_run(capsys):
    def stopped():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit):
        cli.run(stopped)
    assert capsys.readouterr().err == "\nStopped.\n"


# For `python -c`: runs scripts by their paths, one after the other, each as if it were the first
# that finds `common`; and prints the exit code, what was printed, and which of TensorFlow and Keras
# were imported.
ASK_ALL = """
import contextlib, io, json, runpy, sys
start = sys.path.copy()
for path in sys.argv[1:]:
    for name in [name for name in sys.modules if name.startswith(("chapter", "common"))]:
        del sys.modules[name]
    for flag in ("--help", "--dry-run"):
        sys.path[:], sys.argv, code = start, [path, flag], 0
        with contextlib.redirect_stdout(io.StringIO()) as out:
            try:
                runpy.run_path(path, run_name="__main__")
            except SystemExit as stop:
                code = stop.code
        imported = sorted({"tensorflow", "keras"} & set(sys.modules))
        print(json.dumps([path, flag, code, out.getvalue(), imported]))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What each program answers to --help and --dry-run, all in one process; and its folder."""
    folder = tmp_path_factory.mktemp("empty")
    command = [sys.executable, "-c", ASK_ALL, *map(str, PROGRAMS)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    lines = map(json.loads, done.stdout.splitlines())
    return folder, {(path, flag): answer for path, flag, *answer in lines}


@pytest.mark.parametrize("path", PROGRAMS, ids=name_of)
def test_help_and_dry_run_need_no_tensorflow(answers, path):
    """TensorFlow takes seconds to import; without it, --help answers at once."""
    folder, answered = answers
    for flag in ("--help", "--dry-run"):
        code, out, imported = answered[str(path), flag]
        assert code == 0 and imported == []
        assert "batch-size" in out
        if flag == "--help":  # whose commands are this chapter's own
            assert set(re.findall(r"chapter\d\d_\w+(?=/)", out)) == {path.parent.name}
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("path", PROGRAMS, ids=name_of)
def test_a_mistake_is_one_line_without_traceback(path, capsys):
    main = importlib.import_module(name_of(path)).main
    line = error_of(main, ["--no-such-flag"], capsys)
    assert line == "error: unrecognized arguments: --no-such-flag (see --help)"


def into_a_closed_pipe(command, folder):
    """Runs a program whose output is read by nobody, and is buffered until the program ends."""
    read, write = os.pipe()
    os.close(read)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        command, stdout=write, stderr=subprocess.PIPE, env=environment, cwd=folder
    )
    os.close(write)
    return done.returncode, done.stderr


@pytest.mark.parametrize("flag", ["--dry-run", "--help"])
def test_output_into_a_closed_pipe_is_no_error(tmp_path, flag):
    """As of `train.py --help | head -1`."""
    command = [sys.executable, str(CHAPTERS[0] / "train.py"), flag]
    assert into_a_closed_pipe(command, tmp_path) == (1, b"")


@pytest.mark.parametrize(
    "raised, ended",
    [
        ("UserError('--seed is wrong')", (2, b"error: --seed is wrong\n")),
        ("KeyboardInterrupt('Stopped.')", (130, b"\nStopped.\n")),
    ],
)
def test_what_a_program_ends_with_is_said_even_if_nobody_reads_its_output(tmp_path, raised, ended):
    """As of Ctrl-C in `train.py | tee log`, which ends `tee`, too."""
    program = f"""
import sys
sys.path.insert(0, {str(REPOSITORY)!r})
from common import UserError, cli
def main():
    print("training")
    raise {raised}
cli.run(main)
"""
    assert into_a_closed_pipe([sys.executable, "-c", program], tmp_path) == ended


@pytest.mark.skipif(sys.platform == "win32", reason="closes it as a POSIX shell does")
def test_a_closed_standard_output_is_no_error(tmp_path):
    command = f"exec {shlex.quote(sys.executable)} {shlex.quote(str(CHAPTERS[0]))}/train.py"
    done = subprocess.run(
        f"{command} --dry-run >&-", shell=True, cwd=tmp_path, stderr=subprocess.PIPE
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no device that is full")
def test_an_output_that_is_full_is_one_line(tmp_path):
    with open("/dev/full", "w") as full:
        command = [sys.executable, str(CHAPTERS[0] / "train.py"), "--dry-run"]
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        b"error: what is printed cannot be written: No space left on device"
    ]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_help_is_printed_whatever_the_terminal_can_show(tmp_path, encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    for script in ("chapter04_dcgan/explore.py", "chapter10_adversarial/imagenet.py"):
        command = [sys.executable, str(REPOSITORY / script), "--help"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
        assert done.returncode == 0 and b"usage" in done.stdout


def test_what_does_not_fit_in_memory_is_one_line(capsys):
    def fill():
        np.empty(2**58, np.uint8)

    with pytest.raises(SystemExit) as stop:
        cli.run(fill)
    assert stop.value.code == 2
    assert "this does not fit in memory" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [KeyError("key"), FileNotFoundError(2, "No such file", "ours"), OSError("HDF5")]
)
def test_a_mistake_of_ours_has_its_traceback(error):
    def mistaken():
        raise error

    with pytest.raises(type(error)):
        cli.run(mistaken)


@pytest.mark.parametrize(
    "flags",
    [
        ["--iterations", "1000000000000", "--sample-interval", "1000000000000"],
        ["--iterations", "1" + "0" * 5000],
        ["--latent-dim", "100000000"],
        ["--batch-size", "99999999999999999999"],
        ["--seed", "-9" + "0" * 400],
        ["--learning-rate", "1e999"],
        ["--output-dir", os.fsdecode(b"k\xb0\xa1"), "--data-dir", os.fsdecode(b"k\xb0\xa1")],
        ["--output-dir", ""],
        ["--resume", "n" * 300],
        ["--resume", "~nobody-of-this-name/x"],
    ],
    ids=lambda flags: " ".join(flags)[:30].encode("ascii", "replace").decode(),
)
def test_flags_beyond_all_bounds_are_one_line(tmp_path, monkeypatch, capsys, flags):
    from chapter03_gan import train

    monkeypatch.chdir(tmp_path)
    error_of(train.main, flags, capsys)
    assert list(tmp_path.iterdir()) == []


def documented_commands():
    """Every command of a chapter that a README, another document or a docstring shows."""
    texts = {*REPOSITORY.glob("*.md"), *REPOSITORY.glob("*/README.md"), *PROGRAMS}
    texts |= set((REPOSITORY / "docs").glob("*.md"))
    scripts = "|".join(f"{path.parent.name}/{path.name}" for path in PROGRAMS)
    for text in texts:
        whole_lines = re.sub(r"\\\n\s*", "", text.read_text(encoding="utf-8"))
        for line in whole_lines.splitlines():
            found = re.search(rf"python ({scripts})((?: -\S+| [^-\s]\S*)*)", line)
            if found and "`" not in found[2] and " RUN" not in found[2] and "--resume" not in line:
                yield found[1], found[2].split("  ")[0].split("#")[0].strip()


DOCUMENTED = sorted(set(documented_commands()))


def test_each_program_has_a_documented_command():
    documented = {REPOSITORY / script for script, _ in DOCUMENTED}
    assert documented == set(PROGRAMS) and len(DOCUMENTED) > 2 * len(PROGRAMS)


@pytest.mark.parametrize("script, flags", DOCUMENTED)
def test_documented_commands_are_accepted(script, flags, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main = importlib.import_module(script.removesuffix(".py").replace("/", ".")).main
    try:
        main([*flags.split(), "--dry-run"])
    except SystemExit as stop:  # of --help; a mistake is a UserError here
        assert not stop.code


def test_runs_as_a_module_too():
    done = subprocess.run(
        [sys.executable, "-m", f"{CHAPTERS[0].name}.train", "--preset", "smoke", "--dry-run"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "smoke" in done.stdout
