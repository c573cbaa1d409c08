"""A train.py that runs several programs: `common/series.py`."""

import importlib
import json
import shlex
import sys
import types
from pathlib import Path

import pytest
from conftest import REPOSITORY, error_of

from common import series, training

SERIES = sorted(
    path
    for path in REPOSITORY.glob("chapter*/train.py")
    if "\nmain = series.program(" in path.read_text(encoding="utf-8")
)


@pytest.fixture
def called(monkeypatch, tmp_path):
    """The command lines that two programs in this test's place are called with."""
    monkeypatch.chdir(tmp_path)
    calls = []

    def make(name):
        def main(argv):
            calls.append((name, argv))
            if "--dry-run" not in argv:
                folder = Path(argv[argv.index("--output-dir") + 1])
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "results.json").write_text(json.dumps({"fid": len(calls)}))

        module = types.ModuleType(name)
        module.main = main
        monkeypatch.setitem(sys.modules, f"chapter99.{name}", module)

    make("one")
    make("two")
    return calls


def test_each_program_has_a_folder_in_the_next_numbered_one(called, tmp_path):
    main = series.program("chapter99", "", ("one", "two"))
    assert main(["--preset", "smoke"]) == {"one": {"fid": 1}, "two": {"fid": 2}}
    folder = Path("runs/chapter99/0001")
    assert called == [
        (name, ["--preset", "smoke", "--output-dir", str(folder / name), "--resume", "auto"])
        for name in ("one", "two")
    ]
    assert json.loads((folder / "results.json").read_text()) == {
        "one": {"fid": 1},
        "two": {"fid": 2},
    }
    main([])
    assert called[-1][1][:4] == ["--preset", "quick", "--output-dir", "runs/chapter99/0002/two"]


def test_a_stopped_series_goes_on_and_a_finished_one_is_refused(called, tmp_path, capsys):
    main = series.program("chapter99", "", ("one", "two"))
    (tmp_path / "run" / "one").mkdir(parents=True)
    (tmp_path / "run" / "one" / "config.json").write_text("{}")
    main(["--output-dir", "run"])
    assert [name for name, _ in called] == ["one", "two"]
    assert "--output-dir run: holds a finished run" in error_of(
        main, ["--output-dir", "run"], capsys
    )


def test_ctrl_c_says_how_the_series_goes_on(called, monkeypatch, tmp_path):
    (tmp_path / "chapter99").mkdir()
    monkeypatch.setattr(training, "REPOSITORY", tmp_path)
    two = sys.modules["chapter99.two"]
    whole = two.main

    def stop(argv):
        raise KeyboardInterrupt("Go on with two.py --resume")

    monkeypatch.setattr(two, "main", stop)
    main = series.program("chapter99", "", ("one", "two"))
    with pytest.raises(KeyboardInterrupt) as stopped:
        main(["--preset", "smoke", "--output-dir", "my runs"])
    kept, command = str(stopped.value).split("\n  ")
    assert kept.startswith("Stopped in two.py; ")
    python, script, *flags = shlex.split(command)
    assert (python, script) == ("python", "chapter99/train.py")
    monkeypatch.setattr(two, "main", whole)
    assert set(main(flags)) == {"one", "two"}


def test_a_folder_of_something_else_is_refused(called, tmp_path, capsys):
    main = series.program("chapter99", "", ("one", "two"))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.png").write_bytes(b"")
    (tmp_path / "file").write_bytes(b"")
    for folder, problem in (
        ("photos", "photos: is not empty"),
        ("file", "file: is not a folder"),
        ("", "names no folder"),
    ):
        assert problem in error_of(main, ["--output-dir", folder], capsys)
    assert called == [] and [path.name for path in (tmp_path / "photos").iterdir()] == ["1.png"]


def test_several_machines_are_refused_before_a_folder_is_made(
    called, tmp_path, capsys, monkeypatch
):
    main = series.program("chapter99", "", ("one", "two"))
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert "runs on one machine; on several, run one of one.py, two.py" in error_of(
        main, [], capsys
    )
    assert called == [] and list(tmp_path.iterdir()) == []


def test_the_precision_is_that_of_all_programs_and_of_the_command_that_goes_on(
    called, monkeypatch, tmp_path
):
    main = series.program("chapter99", "", ("one", "two"))
    main(["--precision", "float32"])
    assert all(argv[2:4] == ["--precision", "float32"] for _, argv in called)

    def stop(argv):
        raise KeyboardInterrupt("Go on with two.py --resume")

    monkeypatch.setattr(sys.modules["chapter99.two"], "main", stop)
    with pytest.raises(KeyboardInterrupt, match="--precision float32"):
        main(["--precision", "float32"])


def test_dry_run_writes_nothing(called, tmp_path):
    series.program("chapter99", "", ("one", "two"))(["--dry-run"])
    assert [argv for _, argv in called] == [["--preset", "quick", "--dry-run"]] * 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", SERIES, ids=lambda path: path.parent.name)
def test_the_chapters_programs_have_the_presets(path, capsys):
    """And their settings can be shown without TensorFlow."""
    module = importlib.import_module(f"{path.parent.name}.train")
    for preset in ("quick", "smoke"):
        module.main(["--preset", preset, "--dry-run"])
        shown = capsys.readouterr().out
        assert all(f"{name}.py" in shown for name in module.PROGRAMS)
        assert shown.count(f"{'preset':<8}") == len(module.PROGRAMS)
