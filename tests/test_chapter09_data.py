"""Chapter 9: two domains of images from folders, zips, downloads and labelled sets."""

import http.server
import io
import os
import threading
import urllib.error
import warnings
import zipfile

import imageio.v3 as imageio
import numpy as np
import pytest
from datasets import change_every_member

from chapter09_cyclegan import domains, download
from chapter09_cyclegan.domains import load_domains
from common import UserError, data, photos, stream


def photo(seed, height=20, width=30):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def files(counts=(5, 3, 2, 2)):
    """Names and bytes of images in the four parts, unequal, of mixed sizes and formats."""
    made = {}
    for part, count in zip(domains.PARTS, counts, strict=True):
        for i in range(count):
            extension = (".png", ".jpg", ".PNG")[i % 3]
            pixels = photo(len(made), 20 + i, 30)
            made[f"{part}/{i}{extension}"] = imageio.imwrite(
                "<bytes>", pixels, extension=extension.lower()
            )
    return made


def make_zip(path, made, home=""):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in made.items():
            archive.writestr(home + name, raw)
    return path


def make_folder(path, made):
    for name, raw in made.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(raw)
    return path


def parts_of(found):
    return [found.train_A, found.train_B, found.test_A, found.test_B]


def test_folder_and_zip_give_the_same(tmp_path):
    made = files()
    folder = load_domains(str(make_folder(tmp_path / "plain", made)), 16)
    assert [part.shape for part in parts_of(folder)] == [(n, 16, 16, 3) for n in (5, 3, 2, 2)]
    assert all(part.dtype == np.uint8 for part in parts_of(folder))
    inner = load_domains(str(make_folder(tmp_path / "outer" / "fruit", made).parent), 16)
    plain_zip = load_domains(str(make_zip(tmp_path / "plain.zip", made)), 16)
    named_zip = load_domains(
        str(
            make_zip(
                tmp_path / "fruit.zip",
                made
                | {
                    "__MACOSX/trainA/._0.png": b"",
                    "README.txt": b"",
                    "trainA/Thumbs.db": b"",
                },
                "fruit/",
            )
        ),
        16,
    )
    for other in (inner, plain_zip, named_zip):
        assert other.sha256 == folder.sha256
        for one, another in zip(parts_of(folder), parts_of(other), strict=True):
            assert np.array_equal(one, another)
    first = photos.resize(imageio.imread(tmp_path / "plain/trainA/0.png"), 16, 16)
    assert np.array_equal(folder.train_A[0], first)


def test_other_images_have_another_hash(tmp_path):
    made = files()
    moved = dict(made)  # the same images in the same order, but the last of A is the first of B now
    moved["trainB/-1.jpg"] = moved.pop("trainA/4.jpg")
    one, other = (
        load_domains(str(make_folder(tmp_path / name, part)), 16)
        for name, part in (("whole", made), ("moved", moved))
    )
    assert (len(one.train_A), len(other.train_A)) == (5, 4) and one.sha256 != other.sha256
    whole = load_domains(str(make_folder(tmp_path / "one", made)), 16)
    made["trainB/1.jpg"] = made["trainA/1.jpg"]
    assert load_domains(str(make_folder(tmp_path / "two", made)), 16).sha256 != whole.sha256


def test_beyond_the_bound_images_are_read_as_they_are_needed(tmp_path):
    path = str(make_zip(tmp_path / "fruit.zip", files()))
    kept, streamed = load_domains(path, 16), load_domains(path, 16, memory=8 * 16 * 16 * 3 - 1)
    assert isinstance(kept.train_A, np.ndarray) and isinstance(
        streamed.train_A, photos.StreamedPhotos
    )
    assert isinstance(streamed.test_A, np.ndarray)
    assert streamed.sha256 == kept.sha256 and streamed.image_shape == kept.image_shape
    one, other = (
        list(stream.batches(part, 2, seed=1, start=3).take(4).as_numpy_iterator())
        for part in (kept.train_A, streamed.train_A)
    )
    assert one[0].shape == (2, 16, 16, 3)
    assert np.array_equal(one, other)
    exactly = load_domains(path, 16, memory=8 * 16 * 16 * 3)
    assert isinstance(exactly.train_A, np.ndarray)


def test_image_that_goes_missing_in_training_is_named(tmp_path):
    folder = make_folder(tmp_path / "fruit", files())
    found = load_domains(str(folder), 16, memory=0)
    (folder / "trainA" / "1.jpg").unlink()
    batches = stream.batches(found.train_A, 5, seed=1)
    with pytest.raises(UserError, match=r"trainA/1\.jpg: cannot be read"):
        with photos.reading_errors(found.train_A, found.train_B):
            next(iter(batches))


def test_the_last_training_images_can_take_the_test_images_place(tmp_path):
    path = str(make_folder(tmp_path / "fruit", files()))
    whole, held = load_domains(path, 16), load_domains(path, 16, validation_images=2)
    assert np.array_equal(held.train_A, whole.train_A[:3])
    assert np.array_equal(held.test_A, whole.train_A[3:])
    assert np.array_equal(held.train_B, whole.train_B[:1])
    assert np.array_equal(held.test_B, whole.train_B[1:])
    with pytest.raises(UserError, match="--validation-images 3: there are 3 of trainB"):
        load_domains(path, 16, validation_images=3)


def test_resizing_smooths():
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))[..., np.newaxis]
    assert np.all(np.abs(photos.resize(stripes, 8, 8).astype(int) - 127) < 12)


def test_two_classes_of_a_labelled_set():
    whole = data.load("fashion_sample")
    shoes = load_domains("fashion_sample:sneaker:ankle-boot", 32)
    assert shoes.names == ("sneaker", "ankle-boot") and shoes.image_shape == (32, 32, 1)
    sneakers = whole.x_train[whole.y_train == 7]
    assert len(shoes.train_A) == len(sneakers)
    assert np.array_equal(shoes.train_A[3], photos.resize(sneakers[3], 32, 32))
    boots = whole.x_test[whole.y_test == 9]
    assert np.array_equal(shoes.test_B[-1], photos.resize(boots[-1], 32, 32))
    held = load_domains("fashion_sample:sneaker:ankle-boot", 32, validation_images=100)
    assert np.array_equal(held.test_A, shoes.train_A[-100:])
    assert held.sha256 != shoes.sha256


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda made: made.update({"../evil.png": b""}), "is refused, as ../evil.png would lie"),
        (lambda made: made.update({"/trainA/evil.png": b""}), "is refused"),
        (lambda made: [made.pop(name) for name in list(made) if "trainB" in name], "in trainB"),
        (
            lambda made: made.update({f"other/{k}": v for k, v in list(made.items())}),
            "holds several data sets: its own, other",
        ),
        (lambda made: made.update({"trainB/1.jpg": made["trainB/1.jpg"][:300]}), "trainB/1.jpg"),
        (lambda made: made.update({"testB/0.png": b"text"}), "testB/0.png: cannot be read as an"),
    ],
)
def test_what_is_refused(tmp_path, change, words):
    made = files()
    change(made)
    path = make_zip(tmp_path / "fruit.zip", made)
    with pytest.raises(UserError) as error:
        load_domains(str(path), 16)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_a_member_that_unpacks_to_anything_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(photos, "LARGEST_FILE", 500)
    with pytest.raises(UserError, match=r"trainA/0\.png: cannot be read: it has [\d,]+ bytes"):
        load_domains(str(make_zip(tmp_path / "fruit.zip", files())), 16)


@pytest.mark.parametrize("what", ["a pipe", "a folder", "an EPS", "too large"])
def test_what_is_called_a_photo_and_is_none(tmp_path, monkeypatch, what):
    folder = make_folder(tmp_path / "photos", files())
    name = folder / "trainA" / "cat.jpg"
    if what == "a pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("has no named pipes")
        os.mkfifo(name)  # to open it would last for ever
    elif what == "a folder":
        name.mkdir()
    elif what == "an EPS":
        name.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    else:
        name.write_bytes(bytes(20_000))
        monkeypatch.setattr(photos, "LARGEST_FILE", 19_999)
    with pytest.raises(UserError, match=r"trainA/cat\.jpg: cannot be read"):
        load_domains(str(folder), 16)


@pytest.mark.parametrize("offset, value", [(6, 1), (8, 77)], ids=["encrypted", "unknown method"])
def test_members_that_python_cannot_unpack(tmp_path, offset, value):
    path = make_zip(tmp_path / "fruit.zip", files())
    change_every_member(path, offset, value)
    with pytest.raises(UserError, match=r"fruit\.zip/trainA/.*: cannot be read"):
        load_domains(str(path), 16)


def test_a_zip_whose_names_are_no_utf8(tmp_path):
    """As of a Korean Windows: Python reads them as what they are not, and finds them again."""
    path = make_zip(tmp_path / "fruit.zip", files())
    raw = path.read_bytes()
    for i in range(5):
        for end in (b".png", b".jpg", b".PNG"):
            raw = raw.replace(b"trainA/%d" % i + end, b"trainA/\xb0" + end)
    path.write_bytes(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are there twice
        assert len(load_domains(str(path), 16).train_A) == 3  # one of each ending


@pytest.mark.parametrize("name", ["n" * 300, "~nobody-of-this-name/x", "/dev/null", "\0"])
def test_paths_that_cannot_be(name):
    with pytest.raises(UserError, match=r"is no folder, no zip|is neither a folder nor a zip"):
        load_domains(name, 16)


def test_broken_archives(tmp_path):
    path = make_zip(tmp_path / "fruit.zip", files())
    (tmp_path / "half.zip").write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"half\.zip: is neither a folder nor a whole zip"):
        load_domains(str(tmp_path / "half.zip"), 16)
    raw = bytearray(path.read_bytes())
    raw[200] ^= 255  # in the middle of the first image
    (tmp_path / "flipped.zip").write_bytes(raw)
    with pytest.raises(UserError, match=r"flipped\.zip/trainA/0\.png: cannot be read: \S"):
        load_domains(str(tmp_path / "flipped.zip"), 16)


# Sets by name


def test_named_set_is_found_where_one_says(tmp_path, monkeypatch):
    made = files()
    make_zip(tmp_path / "apple2orange.zip", made, "apple2orange/")
    found = load_domains("apple2orange", 16, str(tmp_path))
    assert found.source == str(tmp_path / "apple2orange.zip") and len(found.train_A) == 5
    make_folder(tmp_path / "horse2zebra", made)
    monkeypatch.setenv("GANS_DATA", str(tmp_path))
    assert len(load_domains("horse2zebra", 16).train_A) == 5
    with pytest.raises(UserError, match="holds neither a folder maps"):
        load_domains("maps", 16, str(tmp_path))
    with pytest.raises(UserError, match="there is no such folder"):
        load_domains("maps", 16, str(tmp_path / "none"))


class Server(http.server.ThreadingHTTPServer):
    """Sends one file, or a part of it if asked; `cut` ends the first answer after so many bytes."""

    def __init__(self, content, ranges=True, cut=None):
        self.content, self.ranges, self.cut, self.asked = content, ranges, cut, []
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/fruit.zip"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        content, wanted = self.server.content, self.headers["Range"]
        self.server.asked.append(wanted)
        start = int(wanted[6:-1]) if wanted and self.server.ranges else 0
        if wanted and self.server.ranges and start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if wanted and self.server.ranges else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end, self.server.cut = self.server.cut, None
        self.wfile.write(content[start : end or len(content)])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def serve():
    servers = []

    def start(*arguments, **keywords):
        servers.append(Server(*arguments, **keywords))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def content():
    made = io.BytesIO()
    make_zip(made, files(), "fruit/")
    return made.getvalue()


@pytest.mark.parametrize("ranges", [True, False])
def test_half_finished_download_is_gone_on_with(serve, content, tmp_path, ranges):
    server, target = serve(content, ranges, cut=5000), tmp_path / "datasets" / "fruit.zip"
    with pytest.raises(UserError) as error:
        download.fetch(server.url, target)
    assert server.url in str(error.value) and "5,000 bytes are kept" in str(error.value)
    assert "--dataset" in str(error.value) and "\n" not in str(error.value)
    assert not target.exists() and target.with_name("fruit.zip.part").stat().st_size == 5000
    assert download.fetch(server.url, target) == target
    assert server.asked == [None, "bytes=5000-"]
    assert target.read_bytes() == content
    assert [path.name for path in target.parent.iterdir()] == ["fruit.zip"]
    download.fetch(server.url, target)
    assert len(server.asked) == 2  # what is there is not asked for again


def test_whole_part_is_taken_as_it_is(serve, content, tmp_path):
    (tmp_path / "fruit.zip.part").write_bytes(content)
    assert download.fetch(serve(content).url, tmp_path / "fruit.zip").read_bytes() == content


def test_what_is_no_whole_zip_is_not_kept(serve, content, tmp_path):
    broken = bytearray(content)
    broken[200] ^= 255
    assert zipfile.ZipFile(io.BytesIO(content)).infolist()[0].compress_type == zipfile.ZIP_DEFLATED
    for wrong in (b"<html>gone</html>", bytes(broken), content[:-100]):
        with pytest.raises(UserError, match="what came is no whole zip"):
            download.fetch(serve(wrong).url, tmp_path / "fruit.zip")
        assert not list(tmp_path.iterdir())


def test_offline_says_where_from_and_what_to_do(monkeypatch, tmp_path):
    def refuse(request, timeout):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(UserError) as error:
        load_domains("apple2orange", 16)
    message = str(error.value)
    assert "http://efrosgans.eecs.berkeley.edu/cyclegan/datasets/apple2orange.zip" in message
    assert "no network" in message and "by hand" in message and "\n" not in message


def test_download_lies_in_keras_cache(serve, content, monkeypatch, tmp_path):
    server = serve(content)
    monkeypatch.setattr(download, "ORIGIN", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert len(load_domains("maps", 16).train_A) == 5
    assert (tmp_path / "datasets" / "maps.zip").read_bytes() == content
