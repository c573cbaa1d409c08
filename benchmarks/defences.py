"""Trains chapter 10's defended network alone; also with means that the chapter does not use.

    python benchmarks/defences.py --trades 4                        as `quick`
    python benchmarks/defences.py --binarization 0 --average 0.999
    python benchmarks/defences.py --steps 0                         the sigmoid, and nothing else

It trains a line of the tables of "What was tried for the defence" in docs/robustness.md. The
last 5,000 training images are kept from training; the first 1,000 of them are attacked by Auto-PGD,
APGD-T and the Square attack, one after the other.

    --convolutions N
                   of the network: 2, of 5×5, as in `quick`; or 4, of 3×3, as in `book`
    --trades B     the loss of TRADES (Zhang et al. 2019), B times its second part
    --awp X        weights are moved by X of their length to where the loss is larger, and the
                   gradient is taken there (Wu et al. 2020); X grows with epsilon in the warm-up
    --average M    judged are the running averages of the weights, with momentum M
"""

import argparse
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))
EPSILON = 0.3
ATTACKS = {
    "Auto-PGD": ("apgd", {}),
    "APGD-T, 3 classes": ("apgd_t", {"classes": 3}),
    "Square, 2,000": ("square", {"queries": 2_000}),
}


def main():
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flags.add_argument("--binarization", type=float, default=30.0, metavar="K")
    flags.add_argument("--convolutions", type=int, default=2, choices=[2, 4], help="of the network")
    flags.add_argument("--filters", type=int, default=16, metavar="N")
    flags.add_argument("--units", type=int, default=100, metavar="N")
    flags.add_argument("--epochs", type=int, default=10, metavar="N")
    flags.add_argument("--batch-size", type=int, default=100, metavar="N")
    flags.add_argument("--learning-rate", type=float, default=3e-3, metavar="X")
    flags.add_argument("--steps", type=int, default=3, metavar="N", help="of the attack; 0: none")
    flags.add_argument("--step-size", type=float, default=0.5, metavar="X", help="times epsilon")
    flags.add_argument("--warmup", type=float, default=0.3, metavar="X")
    flags.add_argument("--trades", type=float, default=0.0, metavar="B")
    flags.add_argument("--awp", type=float, default=0.0, metavar="X")
    flags.add_argument("--average", type=float, default=0.0, metavar="M")
    flags.add_argument("--seed", type=int, default=0, metavar="N")
    flags.add_argument("--data-dir", metavar="DIR", help="of MNIST; without it the bundled one")
    flags.add_argument("--images", type=int, default=1_000, metavar="N", help="that are attacked")
    arguments = flags.parse_args()

    from common import cli

    cli.setup(arguments.seed)

    import numpy as np

    from chapter10_adversarial.evaluation import is_right
    from chapter10_adversarial.networks import build_classifier
    from common import data

    dataset = data.load("mnist", arguments.data_dir, 5_000)
    network = build_classifier(
        arguments.filters, arguments.units, arguments.binarization, arguments.convolutions
    )
    started = time.perf_counter()
    train(network, dataset.x_train.astype(np.float32) / 255, dataset.y_train, arguments)
    seconds = time.perf_counter() - started
    images = dataset.x_test[: arguments.images].astype(np.float32) / 255
    labels = dataset.y_test[: arguments.images]
    print(f"seconds of training {seconds:.0f}")
    print(f"not attacked        {np.mean(is_right(network, images, labels)):.1%}")
    for name, left in judge(network, images, labels):
        print(f"{name:<20}{left:.1%}")


def train(network, images, labels, arguments):
    """Adversarial training; see the flags."""
    import keras
    import numpy as np
    import tensorflow as tf

    from chapter10_adversarial import attacks
    from chapter10_adversarial.training import cross_entropy, trades_loss
    from common.averages import early_decay, update_averages

    steps = len(images) // arguments.batch_size
    total = steps * arguments.epochs
    schedule = keras.optimizers.schedules.PolynomialDecay(arguments.learning_rate, total, 0.0)
    optimizer = keras.optimizers.Adam(schedule)
    variables = network.trainable_variables
    optimizer.build(variables)
    averages = [tf.Variable(variable) for variable in variables]

    def loss_of(adversarial, batch, labels):
        logits = network(adversarial, training=True)
        if not arguments.trades:
            return cross_entropy(labels, logits)
        return trades_loss(labels, network(batch, training=True), logits, arguments.trades)

    def gradients(*batch):
        with tf.GradientTape() as tape:
            loss = loss_of(*batch)
        return loss, tape.gradient(loss, variables)

    @tf.function
    def step(batch, labels, iteration):
        begun = tf.cast(iteration + 1, tf.float32)
        share = tf.minimum(begun / max(arguments.warmup * total, 1), 1.0)
        adversarial = batch
        if arguments.steps:
            adversarial = attacks.pgd(
                logits=network,
                images=batch,
                labels=labels,
                epsilon=EPSILON * share,
                bounds=(0, 1),
                steps=arguments.steps,
                step_size=arguments.step_size,
                seed=tf.stack([arguments.seed, iteration]),
            )
        if arguments.awp:
            unmoved = [tf.identity(variable) for variable in variables]
            _, uphill = gradients(adversarial, batch, labels)
            for variable, gradient in zip(variables, uphill, strict=True):
                unit = tf.math.divide_no_nan(gradient, tf.norm(gradient))
                variable.assign_add(arguments.awp * share * tf.norm(variable) * unit)
        loss, found = gradients(adversarial, batch, labels)
        if arguments.awp:
            for variable, value in zip(variables, unmoved, strict=True):
                variable.assign(value)  # not minus what was added, which would round
        optimizer.apply_gradients(zip(found, variables, strict=True))
        update_averages(averages, variables, early_decay(arguments.average, iteration + 1))
        return loss

    random = np.random.default_rng(arguments.seed)
    iteration = 0
    for epoch in range(arguments.epochs):
        order, losses = random.permutation(len(images)), []
        for batch in np.split(order[: steps * arguments.batch_size], steps):
            given = images[batch], labels[batch].astype(np.int32), np.int32(iteration)
            losses.append(step(*map(tf.constant, given)))
            iteration += 1
        print(f"epoch {epoch + 1}, loss {np.mean(losses):.4f}", flush=True)
    for average, variable in zip(averages, variables, strict=True):
        variable.assign(average)


def judge(network, images, labels):
    """Names of attacks, and the share of the images that withstand them so far."""
    import numpy as np
    from loops.chapter10 import attack_in_turn

    from chapter10_adversarial import attacks
    from chapter10_adversarial.evaluation import is_right

    in_turn = [(getattr(attacks, attack), settings) for attack, settings in ATTACKS.values()]
    given = {"logits": network, "epsilon": EPSILON, "bounds": (0, 1)}
    found = attack_in_turn(images, labels, in_turn, given)
    for name, adversarial in zip(ATTACKS, found, strict=True):
        yield name, np.mean(is_right(network, adversarial, labels))


if __name__ == "__main__":
    from common import cli

    cli.run(main)
