"""Fashion-MNIST by Keras' download and from its cache; and without a network."""

import contextlib
import http.server
import socket
import threading

import pytest
from datasets import arrays, assert_holds, write_idx

from chapter04_dcgan import explore as explore04
from chapter04_dcgan import train as chapter04
from chapter05_training import train as chapter05
from chapter06_progan import explore as explore06
from chapter06_progan import train as chapter06
from chapter09_cyclegan import train as chapter09
from chapter11_applications import augmentation, design
from chapter12_looking_ahead import attention, membership
from common import UserError, data, opening, runs
from common.settings import GANSettings


@contextlib.contextmanager
def served(folder):
    """An HTTP server on this machine, whose requests are counted."""
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=folder)

        def log_message(self, *args):
            requests.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", requests
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def keras_cache(tmp_path, monkeypatch):
    """An empty cache: Keras reads KERAS_HOME only once, at its import."""
    from keras.src.backend import config

    (tmp_path / "cache").mkdir()
    monkeypatch.setattr(config, "_KERAS_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_download_fills_keras_cache(tmp_path, keras_cache, monkeypatch):
    (tmp_path / "served").mkdir()
    contents = arrays()
    write_idx(tmp_path / "served", contents, compress=True)
    with served(tmp_path / "served") as (origin, requests):
        monkeypatch.setattr(data, "ORIGIN", origin)
        for _ in range(2):
            assert_holds(data.load("fashion_mnist"), contents)
        assert len(requests) == 4  # the second time, all came from the cache
    assert (keras_cache / "datasets" / "fashion-mnist").exists()


def test_a_network_that_never_answers(keras_cache, monkeypatch, capsys):
    before = socket.getdefaulttimeout()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, but says nothing
        monkeypatch.setattr(data, "ORIGIN", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        monkeypatch.setattr(data, "TIMEOUT", 0.3)
        dataset = data.load("fashion_mnist")
    assert dataset.source == "bundled sample" and len(dataset.x_train) == 8000
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "could not be downloaded" in lines[0] and "timed out" in lines[0]
    assert socket.getdefaulttimeout() == before


def test_the_fallback_says_where_it_has_looked(tmp_path, keras_cache, monkeypatch, capsys):
    monkeypatch.setattr(data, "ORIGIN", "http://127.0.0.1:9/")
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("GANS_DATA", str(tmp_path / "empty"))
    assert data.load("fashion_mnist").source == "bundled sample"
    assert "GANS_DATA" in capsys.readouterr().err


def test_broken_file_in_the_cache_is_named(keras_cache, monkeypatch):
    write_idx(keras_cache.parent / "made", arrays(), compress=True)
    (keras_cache / "datasets").mkdir(parents=True)
    (keras_cache.parent / "made").rename(keras_cache / "datasets" / "fashion-mnist")
    broken_file = keras_cache / "datasets" / "fashion-mnist" / "train-images-idx3-ubyte.gz"
    broken_file.write_bytes(b"half")
    monkeypatch.setattr(data, "ORIGIN", "http://127.0.0.1:9/")
    with pytest.raises(UserError, match=r"fashion-mnist/train-images-idx3-ubyte\.gz.*; delete it"):
        data.load("fashion_mnist")


def test_a_run_that_began_without_a_network_goes_on_with_the_bundled_part(
    tmp_path, keras_cache, monkeypatch
):
    settings = GANSettings(
        dataset="fashion_mnist", batch_size=4, iterations=8, sample_interval=4, seed=1
    )
    folder = str(tmp_path / "run")
    monkeypatch.setattr(data, "ORIGIN", "http://127.0.0.1:9/")
    run = opening.open_run("chapter04_dcgan", {"quick": settings}, {}, output_dir=folder)
    run.start(run.load_data().describe())
    run._lock.release()
    (tmp_path / "served").mkdir()
    write_idx(tmp_path / "served", arrays(), compress=True)
    with served(tmp_path / "served") as (origin, requests):
        monkeypatch.setattr(data, "ORIGIN", origin)
        again = opening.open_run("chapter04_dcgan", {"quick": settings}, {}, resume=folder)
        again.start(again.load_data().describe())
        assert requests == []


class Loaded(Exception):
    """The data set of this name was asked for."""


def write_run(chapter, folder, presets, dataset):
    """A run that began on the bundled part, because the download failed."""
    run = opening.open_run(
        chapter, presets, {"dataset": dataset}, preset="smoke", output_dir=str(folder)
    )
    run.start({"source": data.FASHION_SAMPLE, "sha256": "1"})
    run._lock.release()


@pytest.fixture
def names_loaded(monkeypatch):
    def load(name, *_):
        raise Loaded(name)

    monkeypatch.setattr(data, "load", load)


@pytest.mark.parametrize(
    "program, dataset",
    [
        (chapter05, "fashion_mnist"),
        (chapter06, "fashion_mnist"),
        (chapter09, "fashion_mnist:sneaker:bag"),
        (design, "fashion_mnist"),
        (augmentation, "fashion_mnist"),
        (attention, "fashion_mnist"),
        (membership, "fashion_mnist"),
    ],
)
def test_so_do_the_programs_that_load_data_their_own_way(tmp_path, names_loaded, program, dataset):
    chapter = program.__name__.removesuffix(".train").replace(".", "/")
    write_run(chapter, tmp_path / "run", program.PRESETS, dataset)
    with pytest.raises(Loaded, match=r"^fashion_sample$"):
        program.main(["--resume", str(tmp_path / "run")])


def test_and_those_that_look_at_a_finished_run(tmp_path, names_loaded):
    for chapter, program in (("chapter04_dcgan", chapter04), ("chapter06_progan", chapter06)):
        folder = tmp_path / chapter
        write_run(chapter, folder, program.PRESETS, "fashion_mnist")
        (folder / "results.json").write_text("{}", encoding="utf-8")
    with pytest.raises(Loaded, match=r"^fashion_sample$"):
        explore04.main([str(tmp_path / "chapter04_dcgan")])
    run = runs.find_trained(
        "chapter06_progan", explore06.TrainingSettings, str(tmp_path / "chapter06_progan")
    )
    with pytest.raises(Loaded, match=r"^fashion_sample$"):
        explore06.read_targets(explore06.Settings(), run, (8, 8, 1))
