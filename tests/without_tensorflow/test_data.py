"""Data sets from every place they can come from, and the broken ones."""

import gzip
import hashlib
import lzma
import os
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
from conftest import error_of
from datasets import arrays, assert_holds, change_every_member, write_idx

from common import UserError, data, formats


def test_all_of_mnist_is_bundled(monkeypatch):
    """And nothing else is asked: no cache, no network, no folder of the environment's."""
    monkeypatch.setattr(data, "ORIGIN", "http://127.0.0.1:9/")
    monkeypatch.setenv("GANS_DATA", "/nowhere")
    dataset = data.load("mnist")
    assert dataset.x_train.shape == (60_000, 28, 28, 1) and len(dataset.x_test) == 10_000
    assert dataset.y_train[:10].tolist() == formats.FIRST_LABELS["mnist"]
    readme = (data.MNIST / "README.md").read_text(encoding="utf-8")
    for name in formats.IDX_FILES:
        with lzma.open(data.MNIST / f"{name}.xz") as file:
            assert hashlib.sha256(file.read()).hexdigest() in readme
    sample = data.load("sample")
    assert np.array_equal(sample.x_train, dataset.x_train[:4_000])
    assert np.array_equal(sample.y_test, dataset.y_test[:1_000])


def test_the_sample_of_fashion_mnist():
    dataset = data.load("fashion_sample")
    assert dataset.x_train.shape == (8_000, 28, 28, 1) and len(dataset.x_test) == 2_000
    for labels in (dataset.y_train, dataset.y_test):
        assert len(set(np.bincount(labels))) == 1  # as many of each class
    assert len(set(dataset.y_train[:100])) == 10  # mixed
    training = {image.tobytes() for image in dataset.x_train}
    assert not any(image.tobytes() in training for image in dataset.x_test)
    assert 20 < dataset.x_train.mean() < 90  # dark ground, light strokes


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("subfolder", ["", "fashion-mnist"])
def test_idx_folders(tmp_path, compress, subfolder):
    contents = arrays()
    write_idx(tmp_path / subfolder, contents, compress)
    assert_holds(data.load("fashion_mnist", str(tmp_path)), contents)


@pytest.mark.parametrize("subfolder", ["fashion_mnist", "fashion-mnist"])
def test_npz_in_a_folder_of_its_own(tmp_path, subfolder):
    contents = arrays()
    (tmp_path / subfolder).mkdir()
    np.savez(tmp_path / subfolder / "fashion_mnist.npz", **contents)
    dataset = data.load("fashion_mnist", str(tmp_path))
    assert_holds(dataset, contents)
    assert dataset.source == str(tmp_path / subfolder / "fashion_mnist.npz")


def test_npz_folder_comes_before_the_environments(tmp_path, monkeypatch):
    contents = arrays()
    np.savez(tmp_path / "fashion_mnist.npz", **contents)
    np.savez(tmp_path / "mnist.npz", **contents)
    assert_holds(data.load("fashion_mnist", str(tmp_path)), contents)
    assert_holds(data.load("mnist", str(tmp_path)), contents)
    monkeypatch.setenv("GANS_DATA", str(tmp_path))
    assert_holds(data.load("fashion_mnist"), contents)
    for home in ("HOME", "USERPROFILE"):  # the second under Windows
        monkeypatch.setenv(home, str(tmp_path))
    monkeypatch.setenv("GANS_DATA", "~")
    assert_holds(data.load("fashion_mnist"), contents)
    monkeypatch.setenv("GANS_DATA", str(tmp_path / "missing"))
    with pytest.raises(UserError, match=r"GANS_DATA .*no such folder"):
        data.load("fashion_mnist")


def test_describe_changes_with_the_data(tmp_path):
    contents = arrays()
    np.savez(tmp_path / "mnist.npz", **contents)
    first = data.load("mnist", str(tmp_path)).describe()
    contents["x_train"][0, 0, 0] ^= 1
    np.savez(tmp_path / "mnist.npz", **contents)
    second = data.load("mnist", str(tmp_path)).describe()
    assert first["training_images"] == 6 and first["test_images"] == 4
    assert first.pop("sha256") != second.pop("sha256") and first == second


def broken(change):
    contents = arrays()
    change(contents)
    return contents


@pytest.mark.parametrize(
    "contents, words",
    [
        (broken(lambda c: c.pop("y_test")), "has no y_test"),
        (
            broken(lambda c: c.update(x_train=np.array([{}, None]))),
            "x_train must be uint8, n×28×28, but is object, 2",
        ),
        (broken(lambda c: c.update(x_train=c["x_train"] / 255)), "x_train must be uint8"),
        (broken(lambda c: c.update(x_test=c["x_test"][:, :20])), "4×20×28"),
        (broken(lambda c: c.update(y_train=c["y_train"] + 20)), "from 0 to 9"),
        (broken(lambda c: c.update(y_train=c["y_train"][:5])), "6 training images but 5 labels"),
    ],
)
def test_broken_npz(tmp_path, contents, words):
    np.savez(tmp_path / "mnist.npz", **contents)
    with pytest.raises(UserError, match=words) as error:
        data.load("mnist", str(tmp_path))
    assert "mnist.npz" in str(error.value)


@pytest.mark.parametrize("keep", [0, 100, 5000])
def test_npz_cut_short(tmp_path, keep):
    np.savez(tmp_path / "mnist.npz", **arrays())
    whole = (tmp_path / "mnist.npz").read_bytes()
    (tmp_path / "mnist.npz").write_bytes(whole[:keep])
    with pytest.raises(UserError, match=r"mnist\.npz: cannot be read"):
        data.load("mnist", str(tmp_path))


@pytest.mark.parametrize(
    "name, change, words",
    [
        (
            "train-images-idx3-ubyte",
            lambda raw: raw[:-7],
            "holds .* bytes where its header promises",
        ),
        ("train-images-idx3-ubyte", lambda raw: raw[:6], "ends within its header"),
        ("t10k-labels-idx1-ubyte", lambda raw: b"", "not an IDX file"),
        ("t10k-labels-idx1-ubyte", lambda raw: b"\0\0\x0d" + raw[3:], "not an IDX file of bytes"),
        ("train-labels-idx1-ubyte", None, "holds no train-labels"),
    ],
)
def test_broken_idx(tmp_path, name, change, words):
    write_idx(tmp_path, arrays())
    if change:
        (tmp_path / name).write_bytes(change((tmp_path / name).read_bytes()))
    else:
        (tmp_path / name).unlink()
    with pytest.raises(UserError, match=words) as error:
        data.load("mnist", str(tmp_path))
    assert name in str(error.value)


def npy(shape, dtype="|u1", version=1):
    """The header of an array in NumPy's format, without values."""
    header = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode()
    header += b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(2, "little") + header


@pytest.mark.parametrize(
    "member, words",
    [
        (npy((10**11, 28, 28)), "promises 100000000000 entries; 0 to 1000000"),
        (npy((6, 28, 28)), "holds 0 bytes where its header promises 4704"),
        (npy((6, 28, 28)) + bytes(4705), "holds more bytes where its header promises 4704"),
        (npy((1,) * 65), "must be uint8, n×28×28"),
        (npy((2**64, 28, 28)), "entries; 0 to 1000000 can be read"),
        (npy((-1, 28, 28)), "promises -1 entries"),
        (npy((True, 28, 28)), "header promises 784"),
        (npy((6, 28, 28), dtype="|O"), "must be uint8, n×28×28, but is object"),
        (npy((6, 28, 28), version=9), "version"),
        (npy((6, 28, 28))[:40], "cannot be read"),
        (b"\x93NUMPY\x01\x00\x10\x00" + b"(" * 16, "cannot be read"),
        (b"", "cannot be read"),
    ],
)
def test_headers_of_npz_are_checked_before_anything_is_read(tmp_path, member, words):
    np.savez(tmp_path / "others.npz", **arrays())
    with (
        zipfile.ZipFile(tmp_path / "others.npz") as others,
        zipfile.ZipFile(tmp_path / "mnist.npz", "w") as archive,
    ):
        archive.writestr("x_train.npy", member)
        for name in others.namelist():
            if name != "x_train.npy":
                archive.writestr(name, others.read(name))
    with pytest.raises(UserError, match=words) as error:
        data.load("mnist", str(tmp_path))
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize("what, offset, value", [("encrypted", 6, 1), ("unknown method", 8, 77)])
def test_npz_that_python_cannot_unpack(tmp_path, what, offset, value):
    np.savez(tmp_path / "mnist.npz", **arrays())
    change_every_member(tmp_path / "mnist.npz", offset, value)
    with pytest.raises(UserError, match=r"mnist\.npz: cannot be read"):
        data.load("mnist", str(tmp_path))


def test_an_array_that_is_called_npz(tmp_path):
    np.save(tmp_path / "array.npy", np.zeros((6, 28, 28), np.uint8))
    (tmp_path / "array.npy").rename(tmp_path / "mnist.npz")
    with pytest.raises(UserError, match=r"mnist\.npz: cannot be read"):
        data.load("mnist", str(tmp_path))


def test_labels_of_any_whole_type_and_order(tmp_path):
    contents = arrays()
    contents["y_train"] = contents["y_train"].astype(">i8")
    contents["x_train"] = np.asfortranarray(contents["x_train"])
    np.savez_compressed(tmp_path / "mnist.npz", **contents)
    assert_holds(data.load("mnist", str(tmp_path)), contents)


@pytest.mark.parametrize(
    "header, words",
    [
        (b"\0\0\x08\x03" + b"\xff" * 12, "must be uint8, n×28×28"),
        (b"\0\0\x08\x03\xff\xff\xff\xff\0\0\0\x1c\0\0\0\x1c", "entries; 0 to 1000000 can be read"),
        (b"\0\0\x08\xff" + b"\0\0\0\1" * 255, "must be uint8, n×28×28"),
        (b"\0\0\x08", "not an IDX file"),
    ],
)
def test_headers_of_idx_files_are_checked_before_anything_is_read(tmp_path, header, words):
    write_idx(tmp_path, arrays())
    (tmp_path / "train-images-idx3-ubyte").write_bytes(header)
    with pytest.raises(UserError, match=words):
        data.load("mnist", str(tmp_path))


def test_gzip_that_unpacks_to_far_more_than_its_header_promises(tmp_path):
    write_idx(tmp_path, arrays(), compress=True)
    raw = gzip.decompress((tmp_path / "train-images-idx3-ubyte.gz").read_bytes())
    with gzip.open(tmp_path / "train-images-idx3-ubyte.gz", "wb", compresslevel=1) as file:
        file.write(raw)
        for _ in range(50):
            file.write(bytes(10**6))
    tracemalloc.start()
    with pytest.raises(UserError, match="holds more bytes where its header promises 4704"):
        data.load("mnist", str(tmp_path))
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()


@pytest.mark.skipif(sys.platform == "win32", reason="has no named pipes")
def test_a_pipe_is_no_file(tmp_path):
    write_idx(tmp_path, arrays())
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    os.mkfifo(tmp_path / "train-labels-idx1-ubyte")  # to open it would last for ever
    with pytest.raises(UserError, match="holds no train-labels-idx1-ubyte"):
        data.load("mnist", str(tmp_path))


@pytest.mark.parametrize("folder", ["~nobody-of-this-name/x", "n" * 300, "\0"])
def test_folders_that_cannot_be(folder):
    with pytest.raises(UserError, match="there is no such folder"):
        data.load("mnist", folder)


def test_a_folder_that_may_not_be_entered(tmp_path, monkeypatch):
    """Made to fail rather than locked: root, as which containers run tests, may enter any."""

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(UserError, match="cannot be read: Permission denied"):
        data.load("mnist", str(tmp_path))


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_broken_gzip(tmp_path, damage):
    write_idx(tmp_path, arrays(), compress=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    raw = bytearray(path.read_bytes())
    if damage == "cut":
        del raw[len(raw) // 2 :]
    else:
        raw[len(raw) // 2] ^= 255
    path.write_bytes(raw)
    with pytest.raises(UserError, match=r"train-images.*cannot be read"):
        data.load("mnist", str(tmp_path))


def test_idx_files_of_the_other_data_set_are_told_apart(tmp_path):
    """Both have the same file names; the real ones' labels begin in a known way."""
    contents = arrays(n_train=12)
    contents["y_train"][:10] = formats.FIRST_LABELS["mnist"]
    write_idx(tmp_path, contents)
    assert len(data.load("mnist", str(tmp_path)).x_train) == 12
    with pytest.raises(UserError, match=r"train-labels-idx1-ubyte: is mnist's, not fashion_mnist"):
        data.load("fashion_mnist", str(tmp_path))


def test_folder_without_the_data_set(tmp_path, capsys):
    line = error_of(lambda argv: data.load("mnist", str(tmp_path)), [], capsys)
    assert "holds neither mnist.npz nor IDX files" in line


def test_validation_images_are_the_last_training_images():
    whole = data.load("sample")
    held = data.load("sample", validation_images=1000)
    assert np.array_equal(held.x_train, whole.x_train[:3000])
    assert np.array_equal(held.y_train, whole.y_train[:3000])
    assert np.array_equal(held.x_test, whole.x_train[3000:])
    assert np.array_equal(held.y_test, whole.y_train[3000:])
    assert held.describe()["sha256"] != whole.describe()["sha256"]
    with pytest.raises(UserError, match="--validation-images 4000 leaves none of 4000"):
        data.load("sample", validation_images=4000)


def test_class_names_go_with_the_labels():
    assert data.class_names("sample") == data.class_names("mnist") == tuple("0123456789")
    clothes = data.class_names("fashion_sample")
    assert (clothes[0], clothes[7], clothes[9]) == ("t-shirt", "sneaker", "ankle-boot")
    with pytest.raises(UserError, match="there is no data set cifar"):
        data.class_names("cifar")
