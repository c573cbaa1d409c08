"""Fashion-MNIST by Keras' download and from its cache; and without a network."""

import contextlib
import http.server
import socket
import threading

import pytest
from datasets import arrays, assert_holds, write_idx

from common import UserError, data, opening
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
