"""What a run of chapter 10 leaves at its end: tables, figures, and the numbers of results.json."""

import keras
import numpy as np

from chapter10_adversarial import checks, evaluation, figures
from common.files import Files

# Of the curves, shares of the run's epsilon: 0 to .4, where that is .3.
EPSILONS = tuple(i / 6 for i in range(9))
# Of PGD: the length of a step, a share of epsilon, and how many there are.
SETTINGS = {
    "step_size": (1 / 300, 1 / 100, 1 / 30, 1 / 10, 1 / 3, 1.0),
    "steps": (1, 3, 10, 30, 100),
}


class Report:
    """Attacks trained networks, and writes what comes of it into the run's folder.

    Args:
        files: the run's folder.
        evaluator: has the networks, the test images and the attacks.
        title: of the figures.
    """

    def __init__(self, files: Files, evaluator: evaluation.AttackEvaluator, title: str):
        self.files = files
        self.networks = evaluator.networks
        self.attacked = evaluator.attacked
        self.attack = evaluator.attack
        self.images = evaluator.images
        self.labels = evaluator.labels
        self.first = evaluator.images[: evaluator.count], evaluator.labels[: evaluator.count]
        self.shown = evaluator.shown
        self.epsilon = evaluator.epsilon
        self.epsilons = [round(share * self.epsilon, 6) for share in EPSILONS]
        self.title = title

    def gallery(self) -> None:
        """gallery.png: an image of each class, before and after PGD."""
        originals, labels = self.images[self.shown], self.labels[self.shown]
        adversarial, probabilities = {}, {}
        for name in self.attacked:
            network = self.networks[name]
            adversarial[name] = self.attack("pgd", network, originals, labels, self.epsilon)
            probabilities[name] = [
                keras.ops.convert_to_numpy(keras.ops.softmax(evaluation.predict(network, shown)))
                for shown in (originals, adversarial[name])
            ]
        page = figures.gallery(originals, adversarial, probabilities, self.epsilon)
        self.files.write("gallery.png", page)

    def curves(self) -> None:
        """robustness.csv, accuracy.png and a table: accuracy against epsilon, by attack."""
        n, epsilons = len(self.first[0]), self.epsilons
        print(f"attacking {n} test images with each of {len(epsilons)} epsilons")
        rows = evaluation.compare(self.networks, self.attacked, *self.first, epsilons, self.attack)
        self.files.write_csv("robustness.csv", rows)
        self.files.write("accuracy.png", figures.accuracy_curves(rows, self.title))
        print(f"{'accuracy, epsilon':<44}" + "".join(f"{epsilon:>7g}" for epsilon in epsilons))
        lines: dict[str, list[float]] = {}
        for row in rows:
            line = f"{row['made_for']}, {figures.NAMES[row['attack']]}"
            if row["seen_by"] != row["made_for"]:
                if row["attack"] == "random":  # which was not made for anyone
                    continue
                line += f", seen by {row['seen_by']}"
            lines.setdefault(line, []).append(row["accuracy"])
        for line, accuracies in lines.items():
            print(f"{line:<44}" + "".join(f"{accuracy:>7.1%}" for accuracy in accuracies))

    def checks(self, **counts: int) -> dict[str, float | None]:
        """smallest_epsilon.png, step_size and steps (.png, .csv); a search for gradient masking.

        Args:
            counts: steps, classes, tries and queries; see `checks.check_strength`.

        Returns:
            Of the first test images, for each attacked network NAME: `NAME_median_epsilon`, the
            median of the smallest that is enough, None where no epsilon fools half of the images;
            and `NAME_check_…`, what `checks.check_strength` gives.
        """
        attack, epsilon, largest = self.attack, self.epsilon, max(self.epsilons)
        results: dict[str, float | None] = {}
        smallest: dict[str, np.ndarray] = {}
        by_setting: dict[str, dict[str, list[dict]]] = {name: {} for name in SETTINGS}
        for name in self.attacked:
            network, second = self.networks[name], self.networks["second"]
            print(f"{name} network: the smallest epsilon that is enough, image by image")
            smallest[name] = checks.smallest_epsilon(network, *self.first, largest, attack)
            median = float(np.median(smallest[name]))
            results[f"{name}_median_epsilon"] = median if np.isfinite(median) else None
            print(f"{name} network: PGD with other steps")
            for setting, values in SETTINGS.items():
                by_setting[setting][name] = checks.by_setting(
                    network, *self.first, epsilon, attack, setting, values
                )
            print(f"{name} network: Auto-PGD, and attacks without gradients")
            found = checks.check_strength(network, second, *self.first, epsilon, attack, **counts)
            results |= {f"{name}_check_{what}": value for what, value in found.items()}
        self.files.write(
            "smallest_epsilon.png",
            figures.smallest_epsilons(smallest, largest, 2**checks.HALVINGS, self.title),
        )
        for setting, rows in by_setting.items():
            page = figures.by_setting(rows, setting, self.title)
            self.files.write(f"{setting}.png", page)
            self.files.write_csv(
                f"{setting}.csv", [{"network": name} | row for name in rows for row in rows[name]]
            )
        return results

    def accuracies(self) -> dict[str, float]:
        """Of all test images: as they are, and with the run's epsilon.

        Returns:
            For each network NAME: `NAME_accuracy`. For those that are attacked, with ATTACK each of
            random, fgsm and pgd: `NAME_ATTACK_accuracy`. With images made for the undefended
            network and shown to another: `NAME_ATTACK_transferred_accuracy`.
        """
        images, labels = self.images, self.labels
        print(f"attacking all {len(labels)} test images")
        results = {
            f"{name}_accuracy": evaluation.accuracy(network, images, labels)
            for name, network in self.networks.items()
        }
        rows = evaluation.compare(
            self.networks, self.attacked, images, labels, [self.epsilon], self.attack
        )
        for row in rows:
            name = f"{row['seen_by']}_{row['attack']}"
            if row["seen_by"] == row["made_for"]:
                results[f"{name}_accuracy"] = row["accuracy"]
            elif row["made_for"] == "undefended" and row["attack"] != "random":
                results[f"{name}_transferred_accuracy"] = row["accuracy"]
        return results
