"""Run folders: what starts, what is refused, what a resumed run may change."""

import errno
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from datasets import Counter

from common import UserError, checkpoints, files, flags, folders, images, machine, opening, runs
from common.files import shortened
from common.settings import GANSettings

DATA = {"source": "made", "sha256": "1"}
QUICK = GANSettings(iterations=20, sample_interval=10, batch_size=8)
PRESETS = {"quick": QUICK, "book": QUICK.replace(iterations=40)}


def open_run(chapter="chapter03_gan", output_dir=None, resume=None, preset=None, **typed):
    where = {"output_dir": output_dir, "resume": resume}
    return opening.open_run(chapter, PRESETS, typed, preset=preset, **where)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def new_run(output_dir=None, finished=False, chapter="chapter03_gan"):
    run = open_run(chapter, output_dir)
    run.schedule(20, 10)
    run.start(DATA)
    if finished:
        run.record(20, {"d_loss": 0.5}, 1.0)
        finish(run)
    return run


def save_pictures(run, iteration=20):
    for i in range(0, iteration + 1, 10):
        run.write(run.picture(i), images.png(np.zeros((4, 4), np.uint8)))


def finish(run, quality=None):
    save_pictures(run)
    return run.finish(quality or {})


def test_the_film_is_made_of_the_pictures_that_are_there():
    run = new_run("here")
    run.record(20, {"d_loss": 0.5}, 1.0)
    for iteration, light in ((0, 0), (20, 255)):  # the one of 10 was moved away
        run.write(run.picture(iteration), images.png(np.full((4, 4), light, np.uint8)))
    run.finish({})
    assert len(images.read(run.path / "progress.gif")) == 2
    assert (run.path / "results.json").is_file()


def test_a_picture_that_was_changed_costs_the_film_and_not_the_run(capsys):
    run = new_run("here")
    run.record(20, {"d_loss": 0.5}, 1.0)
    for iteration, size in ((0, 4), (10, 5), (20, 4)):
        run.write(run.picture(iteration), images.png(np.zeros((size, size), np.uint8)))
    run.finish({})
    assert "no progress.gif: here/samples/000010.png: is of another size" in capsys.readouterr().err
    assert (run.path / "results.json").is_file() and not (run.path / "progress.gif").exists()


def reopen(**flags):
    run = open_run(**flags)
    run.schedule(20, 10)
    return run


def test_numbers_count_up_and_skip_nothing_that_exists(tmp_path):
    assert [new_run().path.name for _ in range(2)] == ["0001", "0002"]
    (tmp_path / "runs/chapter03_gan/0007").mkdir()
    (tmp_path / "runs/chapter03_gan/notes").mkdir()
    assert new_run().path.name == "0008"


def test_resume_takes_the_latest_unfinished_run():
    new_run()
    new_run()
    new_run(finished=True)
    run = reopen(resume="latest")
    assert run.path.name == "0002"
    assert run.config.iterations == 20  # the run's own, not the preset's
    assert reopen(resume="1").path.name == "0001"
    assert reopen(resume="runs/chapter03_gan/0001").path.name == "0001"


def test_a_run_that_may_not_be_written_to_hides_no_other(monkeypatch):
    new_run()
    new_run()
    whole = folders.lock

    def lock(folder):
        if folder.name == "0002":
            raise UserError("0002: cannot be written to")
        return whole(folder)

    monkeypatch.setattr(folders, "lock", lock)
    assert reopen(resume="latest").path.name == "0001"
    (Path("runs/chapter03_gan/0001") / "results.json").write_text("{}")
    with pytest.raises(UserError, match="0002: cannot be written to"):
        reopen(resume="latest")


def test_a_tilde_in_output_dir_is_the_users_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    assert new_run("~/here").path == tmp_path / "home" / "here"
    assert runs.new("chapter05_training/ring", None, "~/there").path == tmp_path / "home" / "there"


@pytest.mark.parametrize("open_one", [open_run, lambda **flags: runs.new("ring", None, **flags)])
def test_an_empty_output_dir_names_no_folder(open_one):
    with pytest.raises(UserError, match="--output-dir: names no folder"):
        open_one(output_dir="")


def test_resume_of_a_named_folder():
    new_run("here")
    assert str(reopen(resume="latest", output_dir="here").path) == "here"
    assert str(reopen(resume="here").path) == "here"


@pytest.mark.parametrize(
    "flags, words",
    [
        ({"resume": "latest"}, "no unfinished run in"),
        ({"resume": "9"}, "9 holds no run"),
        ({"resume": "done"}, "the run in done is finished"),
        ({"resume": "other"}, "other is a run of chapter04_dcgan, not of chapter03_gan"),
        ({"resume": "begun", "iterations": "40"}, "--iterations 40 contradicts the run in begun"),
        # Which the run's --sample-interval does not divide: no advice to change that.
        ({"resume": "begun", "iterations": "25"}, "--iterations 25 contradicts the run in begun"),
        ({"resume": "begun", "output_dir": "begun"}, "give one of them"),
        ({"resume": "begun", "preset": "book"}, "--preset book contradicts .* which has quick"),
        ({"resume": "begun", "seed": "x"}, "--seed x: should be a valid integer"),
        ({"resume": "²"}, "² holds no run"),
        ({"output_dir": "done"}, "holds a finished run"),
        ({"output_dir": "begun"}, "add --resume"),
        ({"output_dir": "full"}, "is not empty"),
        ({"output_dir": "file"}, "is not a folder"),
    ],
)
def test_refusals(tmp_path, flags, words):
    new_run("done", finished=True)
    new_run("begun")
    new_run("other", chapter="chapter04_dcgan")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").write_text("dear")
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=words):
        reopen(**flags)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda c: c["settings"].pop("fid"), r"settings\.fid is missing"),
        (
            lambda c: c["settings"].pop("batch_size"),
            r"settings\.batch_size is missing\. If another",
        ),
        (lambda c: c["settings"].update(beta_9=1), r"settings\.beta_9 is no setting\. If another"),
        (lambda c: c["settings"].update(seed="0"), r"settings\.seed: should be a valid integer\."),
        (lambda c: c["settings"].update(seed=-1), r"settings\.seed: should be greater than or"),
        (
            lambda c: c["settings"].update(iterations=15),
            r"settings: --iterations 15 is not a multiple",
        ),
        (lambda c: c.pop("settings"), r"settings is missing"),
        (lambda c: c.update(settings=[]), r"settings: should be an object"),
        (lambda c: c.pop("chapter"), r"chapter is missing"),
        (lambda c: c.update(chapter=3), r"chapter: should be a valid string"),
        (lambda c: c.pop("preset"), r"preset is missing"),
        (lambda c: c.pop("versions"), r"versions is missing"),
        (lambda c: c.update(versions="1"), r"versions: should be an object"),
        (lambda c: c["data"].pop("source"), r"data\.source is missing"),
        (lambda c: c["data"].update(sha256=1), r"data\.sha256: should be a valid string"),
    ],
)
def test_a_foreign_config_is_one_line_that_names_the_key(tmp_path, change, words):
    new_run("begun")
    path = tmp_path / "begun" / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match=rf"begun.config\.json: {words}") as error:
        reopen(resume="begun")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "[" * 100_000, "\x00", "{}"])
def test_a_broken_config_is_one_line(tmp_path, text):
    new_run("begun")
    (tmp_path / "begun" / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"begun.config\.json: ") as error:
        reopen(resume="begun")
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_a_resumed_run_keeps_its_data_but_the_data_may_move(tmp_path, capsys):
    new_run("begun")
    run = reopen(resume="begun", data_dir="elsewhere", iterations="20")
    assert run.config.data_dir == str(tmp_path / "elsewhere")
    run.start(DATA | {"source": "moved"})
    del run  # and with it the lock
    with pytest.raises(UserError, match="begun with other data"):
        reopen(resume="begun").start(DATA | {"sha256": "2"})
    assert capsys.readouterr().err == ""


def test_other_versions_are_pointed_out(capsys, monkeypatch):
    new_run("begun")
    monkeypatch.setattr(runs.metadata, "version", lambda package: "0")
    reopen(resume="begun").start(DATA)
    assert "other code or versions" in capsys.readouterr().err


def test_other_code_is_pointed_out(capsys, monkeypatch, tmp_path):
    """Of the chapter and of common/, not that of other chapters."""
    for folder in ("common", "chapter03_gan", "chapter04_dcgan"):
        (tmp_path / "code" / folder).mkdir(parents=True)
        (tmp_path / "code" / folder / "gan.py").write_text("1")
    monkeypatch.setattr(runs.folders, "REPOSITORY", tmp_path / "code")
    new_run("begun")
    for folder, said in (("chapter04_dcgan", False), ("chapter03_gan", True), ("common", True)):
        path = tmp_path / "code" / folder / "gan.py"
        path.write_text("2")
        reopen(resume="begun").start(DATA)
        assert ("other code or versions" in capsys.readouterr().err) == said
        path.write_text("1")


@pytest.mark.parametrize("output_dir", ["locked/run", None])
def test_a_folder_that_cannot_be_written_to(tmp_path, output_dir, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    # Made to fail rather than locked: root, as which containers run tests, may write anywhere.
    monkeypatch.setattr(runs.Path, "mkdir", refuse)
    with pytest.raises(UserError, match="cannot be written to: Permission denied"):
        new_run(output_dir)


def test_a_write_that_fails_leaves_the_file_as_it_was(monkeypatch):
    run = new_run("here")
    run.write("a/b.txt", b"old")

    def refuse(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(UserError, match=r"b\.txt: cannot be written: disk full"):
        run.write("a/b.txt", b"new")
    assert (run.path / "a/b.txt").read_bytes() == b"old"


def test_restore_forgets_what_came_after_the_checkpoint():
    run, model = new_run("begun"), Counter()
    run.restore(model)
    assert run.saved_iteration == 0
    run.record(10, {"d_loss": 0.1}, 3.0)
    model.iterations = 10
    run.save_checkpoint(model)
    save_pictures(run)
    run.record(20, {"d_loss": 0.7}, 1.0)  # and killed before the next checkpoint

    run = reopen(resume="begun")
    run.start(DATA)
    run.restore(Counter())
    assert run.saved_iteration == 10
    assert run.history == [{"iteration": 10, "d_loss": 0.1}]
    run.record(20, {"d_loss": 1 / 3}, 1.5)
    results = finish(run, {"fid": 2.5})
    assert results["seconds"] == 4.5 and results["seconds_per_iteration"] == 0.15
    assert results["d_loss"] == 1 / 3 and results["iterations"] == 20 and results["fid"] == 2.5
    assert json.loads((run.path / "results.json").read_text()) == results
    assert (run.path / "history.csv").read_text().splitlines()[1:] == [
        "10,0.1",
        "20,0.3333333333333333",
    ]


def test_a_run_that_is_being_trained_is_left_alone():
    idle, busy = new_run(), new_run()
    idle._lock = None  # as when its program ends
    assert reopen(resume="latest").path == idle.path
    with pytest.raises(UserError, match="another program is training this run"):
        reopen(resume="2").start(DATA)
    busy.record(20, {"d_loss": 0.5}, 1.0)
    assert finish(busy)["seconds_per_iteration"] is None  # there was only one interval


def test_of_two_runs_that_begin_in_one_folder_the_second_is_refused():
    first, second = open_run(output_dir="here"), open_run(output_dir="here")
    first.start(DATA)
    with pytest.raises(UserError, match="another program is training this run"):
        second.start(DATA)
    first._lock = None  # as when its program ends
    with pytest.raises(UserError, match="holds an unfinished run"):
        second.start(DATA)


def test_ctrl_c_tells_what_the_checkpoint_holds():
    run, model = new_run("begun"), Counter()
    model.iterations = 10
    run.record(10, {"d_loss": 0.1}, 3.0)
    run.save_checkpoint(model)
    run.record(20, {"d_loss": 0.7}, 1.0)
    with pytest.raises(KeyboardInterrupt, match="up to iteration 10 is kept") as stop:
        with run.resumable():
            raise KeyboardInterrupt
    assert str(stop.value).endswith("chapter03_gan/train.py --resume begun")


def test_ctrl_c_says_which_devices_and_where_the_data_is(tmp_path):
    """config.json has neither; without them the run would go on otherwise, or not at all."""
    new_run("begun")
    options, typed = flags.parse(
        "",
        PRESETS,
        ["--devices", "2", "--distribute", "mirrored", "--no-deterministic", "--data-dir", "moved"],
    )
    run = reopen(resume="begun", **typed)
    run.machine_flags = machine.typed_flags(options)
    run.start(DATA)
    with pytest.raises(KeyboardInterrupt) as stop, run.resumable():
        raise KeyboardInterrupt
    assert str(stop.value).endswith(
        "--resume begun --distribute mirrored --devices 2 --no-deterministic "
        f"--data-dir {tmp_path / 'moved'}"
    )


@pytest.mark.parametrize(
    "file, change, words",
    [
        ("checkpoint/latest.weights.h5", lambda raw: b"9", "weights.h5: was changed or damaged"),
        (
            "checkpoint/digests.json",
            lambda raw: b"[" * 100_000,
            "digests.json: was changed",
        ),
        (
            "checkpoint/digests.json",
            lambda raw: raw.replace(b"10", b'"ten"'),
            "digests.json: was changed",
        ),
        ("checkpoint/digests.json", None, "digests.json: is missing"),
        ("checkpoint/latest.weights.h5", None, None),  # killed before there was one
        (
            "config.json",
            lambda raw: raw.replace(b'"seed": 0', b'"seed": 1'),
            "config.json: was changed",
        ),
        ("history.csv", None, "history.csv: cannot be read"),
        ("history.csv", lambda raw: b"", "history.csv: was changed or damaged"),
        ("history.csv", lambda raw: raw[:-1], "history.csv: was changed or damaged"),
        ("history.csv", lambda raw: raw + raw, None),  # what comes after the checkpoint's line
        ("history.csv", lambda raw: raw.replace(b"10,", b"10,1"), "was changed or damaged"),
        ("history.csv", lambda raw: raw.replace(b"d_loss", b"g_loss"), "was changed or damaged"),
        ("timings.csv", lambda raw: raw.replace(b"3.0", b"nan"), "was changed or damaged"),
        ("samples/000010.png", None, None),  # a picture is no state of the training
    ],
)
def test_a_checkpoint_and_its_tables_are_as_they_were_written(file, change, words):
    run, model = new_run("begun"), Counter()
    run.record(10, {"d_loss": 0.1}, 3.0)
    model.iterations = 10
    run.save_checkpoint(model)
    save_pictures(run, 10)
    path = run.path / file
    path.write_bytes(change(path.read_bytes())) if change else path.unlink()
    run = reopen(resume="begun")
    if words is None:
        run.restore(Counter())
        return
    with pytest.raises(UserError, match=words):
        run.restore(Counter())


def test_killed_between_the_digests_and_the_checkpoint():
    """The one before is whole, and known."""
    run, model = new_run("begun"), Counter()
    run.record(10, {"d_loss": 0.1}, 3.0)
    model.iterations = 10
    run.save_checkpoint(model)
    save_pictures(run)
    before = (run.path / checkpoints.CHECKPOINT).read_bytes()
    run.record(20, {"d_loss": 0.2}, 3.0)
    model.iterations = 20
    run.save_checkpoint(model)
    (run.path / checkpoints.CHECKPOINT).write_bytes(before)
    for _ in range(2):
        run = reopen(resume="begun")
        run.restore(Counter())
        assert run.saved_iteration == 10 and run.history == [{"iteration": 10, "d_loss": 0.1}]
        # The resumed run comes as far, and is killed there once more.
        run.record(20, {"d_loss": 0.2}, 3.0)
        run.save_checkpoint(model)
        (run.path / checkpoints.CHECKPOINT).write_bytes(before)


@pytest.mark.parametrize("what", ["a file", "not for us to enter"])
def test_a_checkpoint_that_cannot_be_looked_for_is_told(what, monkeypatch):
    """As where it is not there, training would begin anew, and overwrite the history."""
    run = new_run("begun")
    if what == "a file":
        (run.path / "checkpoint").write_text("")
    else:

        def refuse(folder):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(checkpoints.os, "listdir", refuse)
    with pytest.raises(UserError, match="checkpoint: cannot be read"):
        reopen(resume="begun").restore(Counter())


def test_a_checkpoint_that_was_there_and_is_lost_is_told():
    run, model = new_run("begun"), Counter()
    for iteration in (10, 20):
        run.record(iteration, {"d_loss": 0.1}, 3.0)
        model.iterations = iteration
        run.save_checkpoint(model)
    (run.path / checkpoints.CHECKPOINT).unlink()
    with pytest.raises(UserError, match=r"weights\.h5: is missing"):
        reopen(resume="begun").restore(Counter())


def test_a_changed_config_is_told_before_its_networks_fail_to_load():
    class Other(Counter):
        def load_weights(self, file):
            raise ValueError("A total of 2 objects could not be loaded")

    run, model = new_run("begun"), Counter()
    run.record(10, {"d_loss": 0.1}, 3.0)
    model.iterations = 10
    run.save_checkpoint(model)
    save_pictures(run)
    with pytest.raises(UserError, match="does not fit the networks of this version"):
        reopen(resume="begun").restore(Other())
    config = run.path / "config.json"
    config.write_text(config.read_text().replace('"latent_dim": 100', '"latent_dim": 99'))
    with pytest.raises(UserError, match=r"config\.json: was changed"):
        reopen(resume="begun").restore(Other())


@pytest.mark.skipif(os.name == "nt", reason="has no fcntl")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_on_a_file_system_without_locks_one_line_says_so(number, monkeypatch, capsys):
    def refuse(*args):
        raise OSError(number, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    new_run("begun")
    assert capsys.readouterr().err.endswith("train it in one program only\n")


@pytest.mark.parametrize(
    "stem, cut",
    [
        ("n" * 300, "n" * 80),
        ("가" * 83, "가" * 26),
        (os.fsdecode("사과".encode("cp949")), r"\udcbb\udce7\udcb0\udcfa"),
        ("", "image"),
    ],
)
def test_names_of_pictures_are_readable_and_not_too_long(stem, cut):
    assert shortened(stem) == cut


def test_a_run_that_is_moved_or_deleted_while_it_trains_is_missed_at_once(tmp_path):
    run = new_run("begun")
    (tmp_path / "begun").rename(tmp_path / "moved")
    with pytest.raises(UserError, match="begun: is gone"):
        run.record(10, {"d_loss": 0.1}, 3.0)
    assert not (tmp_path / "begun").exists()


def test_the_lock_is_released_where_the_program_goes_on(recwarn):
    run = new_run("begun")
    with pytest.raises(UserError), run.resumable():
        raise UserError("anything")
    assert reopen(resume="begun").start(DATA) is None  # nobody has it


@pytest.mark.parametrize("name", ["²", "٣", "1" * 30, "-1", "1.5", " 1"])
def test_folders_that_are_no_run_numbers_are_let_be(tmp_path, name):
    (tmp_path / "runs" / "chapter03_gan" / name).mkdir(parents=True)
    assert new_run().path.name == "0001"


def test_a_clock_before_1980_is_told_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(runs.time, "localtime", lambda: runs.time.gmtime(0))
    with pytest.raises(UserError, match="clock is before 1980"):
        new_run()
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_utf8_can_be_written_and_read(tmp_path):
    name = os.fsdecode(b"k\xb0\xa1")
    try:
        (tmp_path / name).mkdir()
    except OSError:
        pytest.skip("this file system has names in UTF-8 alone")
    run = open_run(output_dir=name)
    run.schedule(20, 10)
    run.start({"source": name, "sha256": "1"})
    again = open_run(resume=name)
    assert again.path == run.path and again._record.data.source == r"k\udcb0\udca1"


def test_windows_is_asked_again_while_another_program_has_the_file(monkeypatch):
    run, asked, whole = new_run("here"), [], os.replace

    def replace(source, target):
        asked.append(target)
        if len(asked) < 4:
            raise PermissionError(errno.EACCES, "Access is denied")
        whole(source, target)

    monkeypatch.setattr(files.sys, "platform", "win32")
    monkeypatch.setattr(files.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(files.os, "replace", replace)
    run.write("b.txt", b"new")
    assert (run.path / "b.txt").read_bytes() == b"new" and len(asked) == 4


def test_a_full_disk_leaves_the_file_as_it_was_and_no_other(monkeypatch):
    """The file system says so when it is to write, or only when it is to write to the disk."""
    run = new_run("here")
    run.write("b.txt", b"old")
    whole = open

    class Full(io.BytesIO):
        def write(self, content):
            raise OSError(28, "No space left on device")

    def open_full(path, mode="r", **kwargs):
        whole(path, mode, **kwargs).close()
        return Full()

    monkeypatch.setattr("builtins.open", open_full)
    with pytest.raises(UserError, match=r"b\.txt: cannot be written: No space left"):
        run.write("b.txt", b"new")
    assert (run.path / "b.txt").read_bytes() == b"old"
    assert not list(run.path.glob(".writing-*"))


def test_resume_auto_begins_goes_on_and_stops_when_the_run_is_finished():
    assert opening.open_run("chapter03_gan", PRESETS, {}, resume="auto").preset == "quick"
    new_run("begun")
    run = opening.open_run("chapter03_gan", PRESETS, {}, resume="auto", output_dir="begun")
    assert run.path.name == "begun" and run._record is not None
    new_run("done", finished=True)
    assert opening.open_run("chapter03_gan", PRESETS, {}, resume="auto", output_dir="done") is None
