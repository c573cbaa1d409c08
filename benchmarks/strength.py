"""Compares chapter 10's attacks with those of others, on the networks of a finished run.

    pip install -r benchmarks/requirements.txt
    pip install git+https://github.com/fra31/auto-attack@a39220048b3c9f2cca9a4d3a54604793c68eca7e
    python benchmarks/strength.py RUN --data-dir DIR      RUN is the folder of a finished run

    pgd         the adversarial-robustness-toolbox's, and ours: 40 steps of epsilon / 30 from one
                random start
    apgd        Auto-PGD alone: its authors' own on cross-entropy, of 100 steps from one start; and
                ours on the log-odds, with the run's own --apgd-steps
    square      the Square attack alone: AutoAttack's own, with 5,000 queries; and ours, with
                --queries or the run's own --square-queries
    autoattack  the authors' own, standard version; and ours: Auto-PGD, APGD-T and Square, with the
                run's own --apgd-steps, --apgd-classes and, without --queries, --square-queries.
                (AutoAttack has 100, 9 and 5,000, and FAB-T besides.)
    flat        both ours: Auto-PGD against the defended network itself, and against one with its
                weights and a flatter sigmoid (--binarization 5), whose images the network is shown.
                Where the second is stronger, binarization masks the gradient from the first.

Both are shown batches of 500 images, AutoAttack of 125, with which it is faster. The lower the
accuracy that an attack leaves, the stronger it is. "only theirs" and "only ours" count the images
that the network gets wrong after that attack and not after the other: where the two counts are
close, neither attack is clearly the stronger one. (With flat, "theirs" is the attack on the network
itself.)

AutoAttack takes from 16 minutes to an hour of one core for 1,000 images, if most of them withstand:
hours for all 10,000, which are the default, and so long for each network and epsilon. Give --images
1000 --epsilons 0.3; or divide the images among several processes, each with --first and --images.
"""

import argparse
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))
BATCH_SIZE = 500
FEW = 10  # images are enough to compile all of our strongest attack, which takes long
FLAT = 5.0
IN_TORCH = {"apgd": ["apgd-ce"], "square": ["square"], "autoattack": None}  # None: all of its four


def main():
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flags.add_argument("run", metavar="RUN", help="the folder of a finished run of chapter 10")
    flags.add_argument("--data-dir", metavar="DIR", help="where the run's data is, if it moved")
    flags.add_argument(
        "--attacks",
        nargs="*",
        default=["pgd"],
        choices=["pgd", "apgd", "square", "autoattack", "flat"],
    )
    flags.add_argument("--norm", default="inf", choices=["inf", "2"])
    flags.add_argument("--epsilons", type=float, nargs="*", default=[0.1, 0.3], metavar="X")
    flags.add_argument("--images", type=int, default=10_000, metavar="N", help="of the test images")
    flags.add_argument("--first", type=int, default=0, metavar="N", help="leave out the first N")
    flags.add_argument("--queries", type=int, metavar="N", help="of our Square attack")
    arguments = flags.parse_args()

    from common import cli

    # The toolbox draws from NumPy's generator. It is timed as it usually runs: not deterministic.
    cli.setup(0, deterministic=False)

    import numpy as np

    from chapter10_adversarial import evaluation, train
    from common import data, runs

    run = runs.find_trained("chapter10_adversarial", train.Settings, arguments.run)
    check(arguments.attacks, run)
    queries = run.config.square_queries if arguments.queries is None else arguments.queries
    folder = arguments.data_dir or run.config.data_dir
    dataset = data.load(run.data_name(folder), folder, run.config.validation_images)
    run.check_data(dataset.describe())
    chosen = slice(arguments.first, arguments.first + arguments.images)
    images = dataset.x_test[chosen].astype(np.float32) / 255
    labels = dataset.y_test[chosen]
    if not len(labels):
        sys.exit(f"--first {arguments.first}: there are {len(dataset.y_test)} test images")

    row = "{:<14}{:<12}{:>8}{:>10}{:>10}{:>13}{:>11}{:>10}{:>10}{:>8}"
    titles = "network", "attack", "epsilon", "theirs", "ours", "only theirs", "only ours"
    print(row.format(*titles, "theirs, s", "ours, s", "ratio"))
    for name in ("undefended", "defended") if run.config.defend else ("undefended",):
        network = run.load_model(name, [(None, 28, 28, 1)], [(None, 10)])
        for attack in arguments.attacks:
            if attack == "flat" and name != "defended":
                continue  # it has no sigmoid
            for epsilon in arguments.epsilons:
                right, seconds = [], []
                theirs, ours = pair(attack, network, run.config, epsilon, arguments.norm, queries)
                # The toolbox compiles for the size of a batch, ours for any; PyTorch does not.
                first = FEW if attack == "autoattack" else BATCH_SIZE
                for generate in theirs, ours:
                    if attack not in IN_TORCH or generate is ours:
                        generate(images[:first], labels[:first])
                    started = time.perf_counter()
                    adversarial = generate(images, labels)
                    seconds.append(time.perf_counter() - started)
                    right.append(evaluation.is_right(network, adversarial, labels))
                shown = [f"{np.mean(each):.2%}" for each in right]
                shown += [np.sum(right[1] & ~right[0]), np.sum(right[0] & ~right[1])]
                shown += [f"{each:.1f}" for each in seconds]
                ratio = f"{seconds[0] / seconds[1]:.1f}"
                print(row.format(name, attack, f"{epsilon:g}", *shown, ratio), flush=True)


def check(attacks, run):
    """A UserError if an attack cannot be made on the networks of the run."""
    from common import UserError

    if "flat" in attacks and not (run.config.defend and run.config.binarization > FLAT):
        raise UserError(
            f"--attacks flat needs a run with --defend and a --binarization of more than {FLAT:g}: "
            f"{run.path} is not such a run"
        )
    copied = IN_TORCH.keys() & set(attacks)
    if copied and run.config.precision != "float32":
        raise UserError(
            f"--attacks {min(copied)} copies the networks to PyTorch, in float32: {run.path} was "
            f"trained with --precision {run.config.precision}"
        )


def pair(attack, network, config, epsilon, norm, queries):
    """Two functions of images and labels that give adversarial images: theirs, and ours."""
    from loops import chapter10

    from chapter10_adversarial import attacks
    from chapter10_adversarial.networks import build_classifier

    given = {"logits": network, "epsilon": epsilon, "bounds": (0, 1), "norm": norm}
    given |= {"batch_size": BATCH_SIZE}

    def our_pgd(images, labels):
        settings = {"steps": 40, "step_size": 1 / 30}
        return attacks.pgd(images=images, labels=labels, **given, **settings).numpy()

    def our_strongest(images, labels):
        in_turn = (
            (attacks.apgd, {"steps": config.apgd_steps}),
            (attacks.apgd_t, {"steps": config.apgd_steps, "classes": config.apgd_classes}),
            (attacks.square, {"queries": queries}),
        )
        *_, adversarial = chapter10.attack_in_turn(images, labels, in_turn, given)
        return adversarial

    def our_square(images, labels):
        return attacks.square(images=images, labels=labels, **given, queries=queries).numpy()

    def our_apgd(logits):
        settings = given | {"logits": logits, "steps": config.apgd_steps}
        return lambda images, labels: attacks.apgd(images=images, labels=labels, **settings).numpy()

    if attack == "flat":
        flat = build_classifier(config.filters, config.units, FLAT, config.convolutions)
        flat.set_weights(network.get_weights())
        return our_apgd(network), our_apgd(flat)
    if attack == "pgd":
        return chapter10.toolbox_pgd(network, epsilon, BATCH_SIZE, norm), our_pgd
    ours = {"apgd": our_apgd(network), "square": our_square, "autoattack": our_strongest}
    return chapter10.autoattack(network, epsilon, norm, IN_TORCH[attack]), ours[attack]


if __name__ == "__main__":
    from common import cli

    cli.run(main)
