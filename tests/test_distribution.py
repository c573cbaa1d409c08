"""Training on several devices: `common/distribution.py`, and the parts of `common/stream.py`."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import needs_16_bits

from common import device, stream
from common.distribution import minimize
from common.replicas import Replicas

PROGRAM = Path(__file__).with_name("replicas_step.py")
# Of all that is drawn, averaged, gathered, pooled and normalised over a batch. The program has
# more, which are like these.
CASES = "hacks progan cyclegan_of_the_paper".split()


@pytest.mark.parametrize(
    ("count", "steps", "cases"),
    [
        (2, 1, CASES),
        pytest.param(2, 2, [], marks=pytest.mark.slow),  # all
        # Where the order of the images in a shard matters.
        pytest.param(4, 2, ["gan", "progan"], marks=pytest.mark.slow),
    ],
)
def test_replicas_take_the_step_of_one_device(count, steps, cases):
    command = [sys.executable, str(PROGRAM), str(count), str(steps), *cases]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    names = sorted(name for name, _, _ in results)
    assert names == sorted(cases) or (not cases and len(names) == 28)
    assert {name: (share, reported) for name, share, reported in results if share > 0.1} == {}
    assert {name: reported for name, _, reported in results if reported > 1e-3} == {}


@needs_16_bits
def test_float16_keeps_gradients_that_it_has_no_numbers_for():
    def update(precision):
        device.setup(seed=0, precision=precision)
        network = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(4), keras.layers.Dense(1)]
        )
        before = network.get_weights()
        with tf.GradientTape() as tape:
            loss = 1e-8 * tf.reduce_mean(tf.cast(network(tf.ones((2, 4))), tf.float32))
        minimize(keras.optimizers.SGD(1e8), tape, loss, network.trainable_variables)
        return np.concatenate(
            [(w - b).ravel() for w, b in zip(network.get_weights(), before, strict=True)]
        )

    exact = update("float32")
    assert np.abs(exact).min() > 0.01
    np.testing.assert_allclose(update("mixed_float16"), exact, atol=0.01)


def test_parts_of_replicas_make_up_the_batch():
    """Each program reads the parts of its own replicas, in the order of their numbers."""
    images = np.arange(24, dtype=np.uint8).reshape(24, 1, 1, 1)

    def take(replicas, count):
        batches = stream.batches(images, 8, seed=0, value_range=(0, 255), replicas=replicas)
        return [batch.numpy().astype(int).ravel() for batch in batches.take(count)]

    whole = take(Replicas(1, range(1)), 4)
    first = take(Replicas(4, range(0, 2)), 8)  # of two programs with two devices each
    second = take(Replicas(4, range(2, 4)), 8)
    for step, batch in enumerate(whole):
        parts = [*first[2 * step : 2 * step + 2], *second[2 * step : 2 * step + 2]]
        for number, part in enumerate(parts):
            np.testing.assert_array_equal(part, batch[number::4])


def test_a_program_reads_no_images_of_others():
    class Photos:
        shape = (16, 1, 1, 1)

        def __init__(self):
            self.asked = []

        def __len__(self):
            return 16

        def __getitem__(self, indices):
            self.asked.extend(int(i) for i in indices)
            return np.zeros((len(indices), 1, 1, 1), np.uint8)

        def expect(self, indices):
            self.asked.extend(int(i) for i in indices)

    photos = Photos()
    next(iter(stream.batches(photos, 8, seed=0, replicas=Replicas(2, range(1, 2)))))
    assert len(photos.asked) == 2 * 4  # a batch's half, and the next one's, which is read ahead
