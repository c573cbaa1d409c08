"""Compares chapter 10's PGD with the adversarial-robustness-toolbox's, on a run's networks.

    pip install -r benchmarks/requirements.txt
    python benchmarks/strength.py RUN --data-dir DIR      RUN is the folder of a finished run

Both have 40 steps of epsilon / 30 from one random start, L∞, and batches of 500. The lower the
accuracy that an attack leaves, the stronger it is.
"""

import argparse
import os
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))
BATCH_SIZE = 500


def main():
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flags.add_argument("run", metavar="RUN", help="the folder of a finished run of chapter 10")
    flags.add_argument("--data-dir", metavar="DIR", help="where the run's data is, if it moved")
    flags.add_argument("--epsilons", type=float, nargs="*", default=[0.1, 0.3], metavar="X")
    flags.add_argument("--images", type=int, default=10_000, metavar="N", help="of the test images")
    arguments = flags.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"

    import keras
    import numpy as np
    from loops.chapter10 import toolbox_pgd

    from chapter10_adversarial import attacks, evaluation, train
    from common import data, runs

    keras.utils.set_random_seed(0)  # the toolbox draws from NumPy's
    run = runs.find_trained("chapter10_adversarial", train.Settings, arguments.run)
    dataset = data.load(
        run.config.dataset,
        arguments.data_dir or run.config.data_dir,
        run.config.validation_images,
    )
    images = dataset.x_test[: arguments.images].astype(np.float32) / 255
    labels = dataset.y_test[: arguments.images]

    row = "{:<14}{:>8}{:>12}{:>12}{:>12}{:>12}{:>10}"
    print(row.format("network", "epsilon", "theirs", "ours", "seconds", "seconds", "ratio"))
    for name in ("undefended", "defended") if run.config.defend else ("undefended",):
        network = run.load_model(name, [(None, 28, 28, 1)], [(None, 10)])
        for epsilon in arguments.epsilons:

            def ours(images, labels, network=network, epsilon=epsilon):
                settings = {"logits": network, "epsilon": epsilon, "bounds": (0, 1)}
                settings |= {"steps": 40, "step_size": 1 / 30}
                adversarial = attacks.pgd(
                    images=images, labels=labels, batch_size=BATCH_SIZE, **settings
                )
                return adversarial.numpy()

            left, seconds = [], []
            for attack in (toolbox_pgd(network, epsilon, BATCH_SIZE), ours):
                attack(images[:BATCH_SIZE], labels[:BATCH_SIZE])  # compiles
                started = time.perf_counter()
                adversarial = attack(images, labels)
                seconds.append(time.perf_counter() - started)
                left.append(evaluation.accuracy(network, adversarial, labels))
            shown = [f"{share:.2%}" for share in left] + [f"{s:.1f}" for s in seconds]
            print(row.format(name, f"{epsilon:g}", *shown, f"{seconds[0] / seconds[1]:.1f}"))


if __name__ == "__main__":
    from common import cli

    cli.run(main)
