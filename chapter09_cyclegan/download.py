"""Downloading the data sets of the CycleGAN paper: with progress, resumable, checked before use."""

import http.client
import os
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from common import UserError
from common.files import reason

ORIGIN = "http://efrosgans.eecs.berkeley.edu/cyclegan/datasets/"
NAMES = (
    "apple2orange",
    "horse2zebra",
    "summer2winter_yosemite",
    "monet2photo",
    "cezanne2photo",
    "ukiyoe2photo",
    "vangogh2photo",
    "maps",
    "facades",
    "iphone2dslr_flower",
)
TIMEOUT = 15  # seconds that a download may stand still before it is given up
CHUNK = 2**18  # bytes


def fetch(url: str, target: Path) -> Path:
    """Downloads a zip, unless it is there already.

    Until it is whole and its checksums are right, it lies beside its place, as NAME.part; a later
    call goes on from where that ends, if the server lets it.

    Raises:
        UserError: the download failed, or what came is no whole zip.
    """
    if os.path.exists(target):
        return target
    part = target.with_name(target.name + ".part")
    by_hand = f"download {url} by hand, and name the file with --dataset"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _receive(url, part)
    # URLError is an OSError; a ValueError is of an odd proxy.
    except (OSError, ValueError, http.client.HTTPException) as error:
        kept = f"; {_size(part):,} bytes are kept" if _size(part) else ""
        raise UserError(
            f"{url}: cannot be downloaded ({_reason(error)}){kept}. Try again, or {by_hand}"
        ) from error
    try:
        with zipfile.ZipFile(part) as archive:
            broken = archive.testzip()
    except Exception as error:  # zipfile raises whatever it comes upon
        broken = reason(error)
    if broken:
        part.unlink(missing_ok=True)
        raise UserError(f"{url}: what came is no whole zip ({broken}). Try again, or {by_hand}")
    os.replace(part, target)
    return target


def cached(name: str) -> Path:
    """Where a data set's zip lies in Keras' cache, whether it is there or not."""
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    return Path(home) / "datasets" / f"{name}.zip"


def _receive(url, part):
    """Gets the rest of a file; from the beginning, if the server does not send parts."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is left to send: it is whole, or no part of this
            return
        raise
    import keras  # here, so that a mistake in a flag need not wait for TensorFlow

    with response:
        if response.status != 206:
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        progress = keras.utils.Progbar(total, unit_name="byte", interval=0.5)
        with open(part, "ab" if have else "wb") as file:
            print(f"downloading {url}", file=sys.stderr)
            while chunk := response.read(CHUNK):
                file.write(chunk)
                have += len(chunk)
                progress.update(have, finalize=False)
        progress.update(have, finalize=True)
    if total and have < total:
        raise OSError(f"the connection ended after {have:,} of {total:,} bytes")


def _size(path):
    """In bytes; 0 where there is no file, or none that may be looked at."""
    return os.path.getsize(path) if os.path.isfile(path) else 0


def _reason(error):
    return " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__
