"""The training programs that benchmarks/scaling.py and speed.py start: where, and with what."""

import importlib
import json
import os
import sys
import types

import pytest
from conftest import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "benchmarks"))
import loops
import scaling
import speed


def dry_run(chapter, flags, capsys):
    """What train.py would train with."""
    main = importlib.import_module(f"{chapter}.train").main
    main([*map(str, flags), "--dry-run"])
    return dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize("chapter", scaling.SHORT)
def test_each_way_to_scale_trains_with_accepted_flags(chapter, tmp_path, capsys):
    batch = scaling.SHORT[chapter][1]
    for name, programs in scaling.ways_of(chapter, 0, 1).items():
        for _, flags in programs:
            shown = dry_run(chapter, scaling.flags_of(chapter, flags, tmp_path), capsys)
            assert int(shown["batch-size"]) == (batch // 2 if "half" in name else batch)
            assert shown["precision"] == "float32"


@pytest.mark.parametrize("name", loops.compared())
def test_memory_is_measured_with_accepted_flags(name, tmp_path, capsys):
    for precision in loops.compared()[name].precisions:
        script, *flags = speed.short_run(name, precision, None, tmp_path)
        assert script == REPOSITORY / name.split()[0] / "train.py"
        assert dry_run(name.split()[0], flags, capsys)["precision"] == precision


@pytest.fixture
def cpus(tmp_path, monkeypatch):
    """Sets which CPUs there are, and what each says of its siblings; None says nothing."""

    def there_are(siblings):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(siblings), raising=False)
        monkeypatch.setattr(scaling, "SYSTEM", tmp_path)
        for cpu, said in siblings.items():
            if said:
                (tmp_path / f"cpu{cpu}" / "topology").mkdir(parents=True)
                file = tmp_path / f"cpu{cpu}" / "topology" / "thread_siblings_list"
                file.write_text(f"{said}\n")

    return there_are


@pytest.mark.parametrize(
    "siblings, chosen",
    [
        ({0: "0", 1: "1"}, [0, 1]),
        ({0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}, [0, 2]),
        ({1: "1,5", 2: "2,6", 5: "1,5"}, [1, 2]),
        ({0: None, 1: None}, [0, 1]),
    ],
)
def test_two_cores_are_no_siblings(cpus, siblings, chosen):
    cpus(siblings)
    assert scaling.two_cores() == chosen


def test_a_single_core_is_one_line(cpus):
    cpus({0: "0-1", 1: "0-1"})
    with pytest.raises(SystemExit, match="takes two CPU cores"):
        scaling.two_cores()


def test_programs_are_no_part_of_a_cluster_and_see_no_gpu(monkeypatch):
    for name in ("TF_CONFIG", "SLURM_PROCID", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "1")
    (alone,) = scaling.environments(1)
    assert alone["CUDA_VISIBLE_DEVICES"] == "" and alone["PATH"] == os.environ["PATH"]
    assert not alone.keys() & {"TF_CONFIG", "SLURM_PROCID"}

    both = scaling.environments(2)
    tasks = [json.loads(each.pop("TF_CONFIG")) for each in both]
    assert both == [alone, alone]
    assert [task["task"]["index"] for task in tasks] == [0, 1]
    assert tasks[0]["cluster"] == tasks[1]["cluster"]
    assert len(set(tasks[0]["cluster"]["worker"])) == 2


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="scaling.py is for Linux")
def test_a_run_that_fails_says_why(capfd):
    cores = os.sched_getaffinity(0)
    with pytest.raises(SystemExit) as stop:
        scaling.milliseconds("chapter03_gan", [(cores, ["--seed", "-1"])])
    first, *said = stop.value.code.splitlines()
    assert first == "chapter03_gan: a run has failed"
    assert said == ["error: --seed -1: should be greater than or equal to 0 (see --help)"]
    assert capfd.readouterr() == ("", "")


def test_seconds_of_a_step(monkeypatch):
    """8 bytes among 2 GPUs a machine, and among the 4 of two machines; 6 operations."""
    for name, value in {
        "ARITHMETIC": 3,
        "WITHIN": 4,
        "BETWEEN": 2,
        "EACH_MACHINE": 2,
        "MACHINES": 2,
    }.items():
        monkeypatch.setattr(scaling, name, value)
    assert scaling.seconds_of_step(8, 6) == (2, 2, 6)


@pytest.mark.parametrize("flags", [["chapter99"], ["--rounds", "0"]])
def test_flags_of_scaling_are_checked(flags, program):
    done = program(REPOSITORY / "benchmarks" / "scaling.py", "measure", *flags)
    assert done.returncode == 2 and f"error: {'there' if len(flags) == 1 else '--'}" in done.stderr


@pytest.mark.parametrize("rounds", [1, 3])
def test_a_measurement_takes_so_many_turns(rounds, monkeypatch, capsys):
    monkeypatch.setattr(scaling, "two_cores", lambda: (0, 1))
    taken = []
    monkeypatch.setattr(
        scaling, "milliseconds", lambda chapter, programs: taken.append(programs) or len(taken)
    )
    monkeypatch.setattr(sys, "argv", ["", "measure", "chapter04_dcgan", "--rounds", str(rounds)])
    scaling.main()
    ways = list(scaling.ways_of("chapter04_dcgan", 0, 1).values())
    assert taken == ways * rounds
    assert len(capsys.readouterr().out.splitlines()) == len(ways)


def test_both_loops_go_first_in_turn(monkeypatch):
    """What the machine does in the second half of a turn is in both times."""
    taken = []

    class Process:
        """Runs nothing. Each iteration of the book's loop takes two milliseconds, of ours one."""

        def __init__(self, *_):
            self.which = None

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def submit(self, function, *arguments):
            if function is speed.prepare:
                self.which = arguments[1]
            else:
                taken.append((self.which, *arguments))
            return types.SimpleNamespace(result=lambda: {"books": 2, "ours": 1}[self.which])

    monkeypatch.setattr(speed, "ProcessPoolExecutor", Process)
    assert speed.take_turns("chapter03_gan", "float32", None) == [(2, 1)] * speed.ROUNDS
    books, ours = ("books", 100), ("ours", 2000)
    assert taken == [books, ours, ours, books, books, ours, ours, books, books, ours]
