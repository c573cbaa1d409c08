"""Broken inputs by the thousand: whatever is read must be refused in one line, or be right.

    python tests/fuzz.py                      10,000 inputs over all readers and flags, seed 0
    python tests/fuzz.py --inputs 100 --only config.json

Each input is a whole one with a few changes, from a seed. It is wrong if what reads it raises
anything but a UserError, if that has several lines, if it takes longer than 20 seconds or more than
4 GiB of further memory, or if it is accepted and is not what the reader promises. Not part of the
test suite. Needs Linux.
"""

import argparse
import contextlib
import gzip
import io
import json
import lzma
import os
import random
import resource
import shutil
import signal
import string
import sys
import tempfile
import traceback
import zipfile
from pathlib import Path

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import datasets
import numpy as np
from PIL import Image

from common import UserError, checkpoints, cli, flags, formats, images, opening
from common.files import Files
from common.settings import GANSettings

SECONDS = 20
MEMORY = 4 * 2**30
PROGRAMS = sorted(
    f"{path.parent.name}.{path.stem}"
    for path in Path(__file__).resolve().parent.parent.glob("chapter*/*.py")
    if "\nmain = cli.program(" in path.read_text(encoding="utf-8")
)


class TooSlow(BaseException):
    """An input took longer than SECONDS."""


# Changes


def change_bytes(raw: bytes, draw: random.Random) -> bytes:
    """Some bytes flipped, overwritten, cut, repeated, or put in."""
    raw = bytearray(raw)
    for _ in range(draw.choice([1, 1, 2, 5, 30])):
        place = draw.randrange(len(raw) + 1)
        # Half of the time near the beginning or the end, where headers are.
        if draw.random() < 0.5:
            place = min(place, draw.randrange(64)) if draw.random() < 0.5 else len(raw) - place % 64
        length = draw.choice([1, 1, 2, 4, 8, 100])
        what = draw.randrange(6)
        if what == 0 and place < len(raw):
            raw[place] ^= 1 << draw.randrange(8)
        elif what == 1:
            raw[place : place + length] = draw.randbytes(len(raw[place : place + length]))
        elif what == 2:
            raw[place : place + length] = draw.choice([b"\xff", b"\0"]) * length
        elif what == 3:
            del raw[place : place + draw.choice([length, len(raw)])]
        elif what == 4:
            raw[place:place] = raw[place : place + length]
        else:
            raw[place:place] = draw.randbytes(length)
    return bytes(raw)


def change_json(content, draw: random.Random):
    """A JSON value with another in the place of one of its parts, or with one more or less."""
    odd = [
        None,
        True,
        0,
        -1,
        2**70,
        0.5,
        1e308,
        "",
        "x",
        "\udcb0",
        "가" * 300,
        [],
        {},
        [[]],
        "1e999",
    ]
    if isinstance(content, dict) and content and draw.random() < 0.9:
        key = draw.choice(list(content))
        what = draw.randrange(8)
        if what == 0:
            return {k: v for k, v in content.items() if k != key}
        if what == 1:
            return {**content, draw.choice(["x", "", key + "s"]): draw.choice(odd)}
        return {**content, key: change_json(content[key], draw)}
    if isinstance(content, list) and content and draw.random() < 0.9:
        place = draw.randrange(len(content))
        return [*content[:place], change_json(content[place], draw), *content[place + 1 :]]
    return draw.choice(odd)


def change_text(raw: bytes, draw: random.Random) -> bytes:
    """A JSON file with other content, other bytes, or nested too deeply."""
    what = draw.randrange(10)
    if what == 0:
        return change_bytes(raw, draw)
    if what == 1:
        return draw.choice([b"[", b'{"a":']) * 10 ** draw.randrange(1, 6)
    content = json.loads(raw)
    for _ in range(draw.choice([1, 1, 2])):
        content = change_json(content, draw)
    return json.dumps(content).encode()


def value(draw: random.Random) -> str:
    """What somebody might type after a flag."""
    number = draw.choice([0, 1, 2, 7, 10, 100, 2**31, 2**63, 10**12, 10**30])
    return draw.choice(
        [
            str(number),
            str(-number),
            f"{number}.5",
            f"1e{number}",
            f"1e-{draw.randrange(400)}",
            draw.choice(["nan", "inf", "-inf", "", " ", "None", "true", "0x10", "1_000", "٣", "²"]),
            "".join(draw.choices(string.printable + "가↔\udcb0", k=draw.choice([1, 5, 300]))),
            draw.choice(["/dev/null", "/", "~", "~nobody-of-this-name/x", ".", "n" * 300]),
        ]
    ).replace("\0", "")


# Readers: each makes an input in an empty folder and reads it; an assertion says what it promises


def flags_of_training(folder, draw):
    """A program that trains with --dry-run, which checks all that is known without the data."""
    module = __import__(draw.choice(PROGRAMS), fromlist=["main"])
    preset = draw.choice(list(module.PRESETS))
    fields = list(type(module.PRESETS[preset]).model_fields)
    argv = ["--preset", preset, "--dry-run"]
    for _ in range(draw.choice([1, 1, 2, 4])):
        flag = "--" + draw.choice([*fields, "output_dir", "resume", "preset", "x"]).replace(
            "_", "-"
        )
        argv += [flag] if draw.random() < 0.1 else [flag, value(draw)]
    module.main(argv)


def flags_of_programs(folder, draw):
    """The settings of the programs beside train.py."""
    module = draw.choice(
        [
            "chapter04_dcgan.explore",
            "chapter05_training.dirac",
            "chapter05_training.measure",
            "chapter05_training.ring",
            "chapter05_training.saturation",
            "chapter06_progan.explore",
            "chapter08_cgan.generate",
            "chapter09_cyclegan.relations",
            "chapter09_cyclegan.translate",
            "chapter10_adversarial.imagenet",
        ]
    )
    settings = __import__(module, fromlist=["Settings"]).Settings
    argv = [value(draw) for _ in range(draw.randrange(3))]
    for _ in range(draw.choice([1, 2, 4])):
        flag = draw.choice([*settings.model_fields, "class", "x"]).replace("_", "-")
        argv += [f"--{flag}", value(draw)]
    flags.read("", settings, argv)


def check_set(arrays):
    x_train, y_train, x_test, y_test = arrays
    for x, y in ((x_train, y_train), (x_test, y_test)):
        assert x.dtype == np.uint8 and x.shape == (len(y), 28, 28, 1) and len(y)
        assert y.dtype == np.int32 and y.min() >= 0 and y.max() <= 9


def npz(folder, draw):
    """mnist.npz; sometimes whole as a zip, with a broken array in it."""
    file = io.BytesIO()
    draw.choice([np.savez, np.savez_compressed])(file, **datasets.arrays())
    raw = file.getvalue()
    if draw.random() < 0.5:
        inner = {}
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            for name in archive.namelist():
                inner[name] = archive.read(name)
        name = draw.choice(list(inner))
        head, body = inner[name][:128], inner[name][128:]
        inner[name] = change_bytes(head, draw) + body
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in inner.items():
                archive.writestr(name, content)
        raw = file.getvalue()
    else:
        raw = change_bytes(raw, draw)
    (folder / "mnist.npz").write_bytes(raw)
    check_set(formats.read_npz("mnist", folder / "mnist.npz"))


def idx(folder, draw):
    """The four IDX files, plain or compressed; broken before or after they are compressed."""
    pack = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}
    end = draw.choice(list(pack))
    broken = draw.choice(formats.IDX_FILES)
    for name, array in zip(formats.IDX_FILES, datasets.arrays().values(), strict=True):
        raw = datasets.idx(array)
        before = name == broken and draw.random() < 0.5
        raw = change_bytes(raw[:16], draw) + raw[16:] if before else raw
        raw = pack[end](raw)
        raw = change_bytes(raw, draw) if name == broken and not before else raw
        (folder / f"{name}{end}").write_bytes(raw)
    check_set(formats.read_idx("mnist", folder))


def photo(folder, draw):
    """A photo of any format, with the name of another."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, draw.choice(images.PHOTO_FORMATS))
    raw = change_bytes(file.getvalue(), draw)
    (folder / "cat.jpg").write_bytes(raw)
    read = images.read_photo(draw.choice([raw, folder / "cat.jpg"]), "cat.jpg")
    assert read.dtype == np.uint8 and read.ndim == 3 and read.shape[-1] == 3
    assert 0 < read.size <= 3 * images.MOST_PIXELS


def zip_of_photos(folder, draw):
    """Two domains in a zip."""
    from chapter09_cyclegan.domains import PARTS, load_domains

    pixels = np.zeros((9, 9, 3), np.uint8)
    with zipfile.ZipFile(folder / "fruit.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for part in PARTS:
            name = f"{part}/{draw.choice(['a', '가', '../a', 'n' * 300, '²'])}.png"
            archive.writestr(name, images.png(pixels))
    raw = (folder / "fruit.zip").read_bytes()
    (folder / "fruit.zip").write_bytes(change_bytes(raw, draw))
    found = load_domains(str(folder / "fruit.zip"), 32)
    assert found.train_A.shape[1:] == (32, 32, 3) and len(found.test_B)


PRESETS = {"quick": GANSettings(iterations=30, sample_interval=10, batch_size=8)}


def begin_run(folder):
    run = opening.open_run("chapter03_gan", PRESETS, {}, output_dir=str(folder / "run"))
    run.schedule(30, 10)
    run.start({"source": "made", "sha256": "1"})
    model = datasets.Counter()
    run.write(run.picture(0), images.png(np.zeros((4, 4), np.uint8)))
    for iteration in (10, 20):
        model.iterations = iteration
        run.write(run.picture(iteration), images.png(np.zeros((4, 4), np.uint8)))
        run.record(iteration, {"d_loss": 0.1, "g_loss": 0.2}, 3.0)
        run.save_checkpoint(model)
    run._lock.release()
    return run


def go_on(folder, run):
    """Resumes it; if that is accepted, all is as it was."""
    again = opening.open_run("chapter03_gan", PRESETS, {}, resume=str(folder / "run"))
    again.schedule(*again.config.schedule(60_000))
    try:
        again.start({"source": "made", "sha256": "1"})
        model = datasets.Counter()
        again.restore(model)
    finally:
        if again._lock is not None:
            again._lock.release()
    if (again.path / checkpoints.CHECKPOINT).exists():
        assert model.iterations == again.saved_iteration == 20
        assert (again.history, again.timings) == (run.history, run.timings)
    assert again.config == run.config


def config(folder, draw):
    """A run's config.json."""
    run = begin_run(folder)
    path = run.path / "config.json"
    path.write_bytes(change_text(path.read_bytes(), draw))
    go_on(folder, run)


def run_files(folder, draw):
    """A run's checkpoint, what is known of it, and its tables."""
    run = begin_run(folder)
    names = [checkpoints.CHECKPOINT, checkpoints.DIGESTS, "history.csv", "timings.csv"]
    path = run.path / draw.choice(names)
    if draw.random() < 0.1:
        path.unlink()
    else:
        change = change_text if path.suffix == ".json" else change_bytes
        path.write_bytes(change(path.read_bytes(), draw))
    go_on(folder, run)


def network(folder, draw):
    """A .keras file: its zip, or the JSON or the weights in it."""
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    files = Files()
    files.path = folder
    files.save_models(generator=model)
    path = folder / "generator.keras"
    if draw.random() < 0.4:
        path.write_bytes(change_bytes(path.read_bytes(), draw))
    else:
        with zipfile.ZipFile(path) as archive:
            inner = {name: archive.read(name) for name in archive.namelist()}
        name = draw.choice(list(inner))
        change = change_text if name.endswith(".json") else change_bytes
        inner[name] = change(inner[name], draw)
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in inner.items():
                archive.writestr(name, content)
    loaded = files.load_model("generator", [(None, 3)], [(None, 2)])
    assert loaded.count_params() == 8


def classes(folder, draw):
    """The list of ImageNet's classes."""
    from chapter10_adversarial.applications import Classes

    listed = {str(i): [f"n{i:08d}", f"class_{i}"] for i in range(1000)}
    path = folder / "imagenet_class_index.json"
    path.write_bytes(change_text(json.dumps(listed).encode(), draw))
    read = Classes(str(folder / "weights.h5"))
    assert len(read.names) == len(read.ids) == 1000
    assert all(isinstance(name, str) for name in (*read.names, *read.ids))


READERS = {
    "flags of training": flags_of_training,
    "flags of other programs": flags_of_programs,
    "npz": npz,
    "IDX": idx,
    "photo": photo,
    "zip of photos": zip_of_photos,
    "config.json": config,
    "checkpoint and tables": run_files,
    "network": network,
    "list of classes": classes,
}


# The harness


@contextlib.contextmanager
def limits():
    """Ends what takes too long."""

    def end(*_):
        raise TooSlow

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def try_one(reader, seed) -> tuple[str, str]:
    """What becomes of an input: "refused", "accepted", or what is wrong with it, and why."""
    folder = Path(tempfile.mkdtemp())
    where = os.getcwd()
    os.chdir(folder)
    printed = io.StringIO()
    try:
        with limits(), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            reader(folder, random.Random(seed))
        return "accepted", ""
    except UserError as error:
        line = " ".join(str(error).split())  # as `cli.run` prints it
        return ("refused", "") if 0 < len(line) < 6_000 else ("no line", line)
    except SystemExit as stop:  # of --help
        return ("accepted", "") if stop.code == 0 else ("no line", f"exit code {stop.code}")
    except MemoryError:
        return "too much memory", traceback.format_exc()
    except TooSlow:
        return "hang", "".join(traceback.format_exc().splitlines(True)[-8:])
    except AssertionError:
        return "wrongly accepted", traceback.format_exc()
    except BaseException:
        return "traceback", traceback.format_exc()
    finally:
        os.chdir(where)
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=READERS)
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    cli.setup(seed=0)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
    chosen = [arguments.only] if arguments.only else list(READERS)
    each = -(-arguments.inputs // len(chosen))
    failures = 0
    for name in chosen:
        counts: dict[str, int] = {}
        for number in range(each):
            seed = f"{arguments.seed}/{name}/{number}"
            result, why = try_one(READERS[name], seed)
            counts[result] = counts.get(result, 0) + 1
            if result not in ("accepted", "refused"):
                failures += 1
                print(f"{seed}: {result}\n{why}", flush=True)
        shown = ", ".join(f"{count} {result}" for result, count in sorted(counts.items()))
        print(f"{name:<26}{each:>6} inputs: {shown}", flush=True)
    print(f"{failures} of {each * len(chosen)} are wrong")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
