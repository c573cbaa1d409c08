"""No test needs a network, a data set or a cache of the machine it runs on."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

# Before Keras is imported: it reads these once.
os.environ["KERAS_HOME"] = tempfile.mkdtemp(prefix="keras-home-")
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.pop("GANS_DATA", None)

import keras
import numpy as np
import pytest

from common import device

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def same_start():
    """What `device.setup` sets for the whole process, set again for each test."""
    device.setup(seed=0)


@pytest.fixture
def program(tmp_path):
    """Runs a Python program from an empty folder; gives its exit code, stdout and stderr."""

    def run(*arguments, timeout=120):
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


def error_of(main, argv, capsys):
    """The one line on stderr with which a chapter's main refuses its command line."""
    from common import cli

    with pytest.raises(SystemExit) as stop:
        cli.run(lambda: main(argv))
    assert stop.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def weights_of(path):
    """All numbers of a saved network, to compare bits."""
    return np.concatenate([w.ravel() for w in keras.models.load_model(path).get_weights()])
