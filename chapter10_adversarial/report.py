"""What a run of chapter 10 leaves at its end: tables, figures, and the numbers of results.json."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from chapter10_adversarial import evaluation, figures

# Of the curves, shares of the run's epsilon: .05 to .4, where that is .3.
EPSILONS = tuple(i / 6 for i in range(9))
STEP_SIZES = (1 / 300, 1 / 100, 1 / 30, 1 / 10, 1 / 3, 1.0)  # shares of epsilon


class Report:
    """Attacks trained networks, and writes what comes of it into the run's folder.

    Args:
        run: the `runs.Run`; its config has epsilon, attacked_images, restarts, noise_tries and
            square_queries.
        networks: by name.
        attacked: the names of those that images are made for.
        images, labels: of the test set; in [0, 1], n×28×28×1, and n.
        make: `evaluation.Attacks`.
        title: of the figures.
    """

    def __init__(
        self,
        run,
        networks: Mapping[str, keras.Model],
        attacked: Sequence[str],
        images: np.ndarray,
        labels: np.ndarray,
        make: evaluation.Attacks,
        title: str,
    ):
        self.run = run
        self.config = run.config
        self.title = title
        self.epsilons = [round(share * run.config.epsilon, 6) for share in EPSILONS]
        self.networks = networks
        self.attacked = attacked
        self.images = images
        self.labels = labels
        self.make = make

    def gallery(self, shown: np.ndarray) -> None:
        """gallery.png: the test images of these indices, before and after PGD."""
        originals, epsilon = self.images[shown], self.config.epsilon
        adversarial, probabilities = {}, {}
        for name in self.attacked:
            network = self.networks[name]
            adversarial[name] = self.make("pgd", network, originals, self.labels[shown], epsilon)
            probabilities[name] = [
                keras.ops.convert_to_numpy(keras.ops.softmax(evaluation.predict(network, pictures)))
                for pictures in (originals, adversarial[name])
            ]
        self.run.write(
            "gallery.png", figures.gallery(originals, adversarial, probabilities, epsilon)
        )

    def curves(self) -> None:
        """robustness.csv, accuracy.png and a table: accuracy against epsilon, by attack."""
        n = self.config.attacked_images
        print(f"attacking {n} test images with each of {len(self.epsilons)} epsilons")
        rows = evaluation.compare(
            self.networks, self.attacked, self.images[:n], self.labels[:n], self.epsilons, self.make
        )
        self.run.write_csv("robustness.csv", rows)
        self.run.write("accuracy.png", figures.accuracy_curves(rows, self.title))
        print(f"{'accuracy, epsilon':<44}" + "".join(f"{epsilon:>7g}" for epsilon in self.epsilons))
        lines = {}
        for row in rows:
            line = f"{row['made_for']}, {figures.NAMES[row['attack']]}"
            if row["seen_by"] != row["made_for"]:
                if row["attack"] == "noise":  # which was not made for anyone
                    continue
                line += f", seen by {row['seen_by']}"
            lines.setdefault(line, []).append(row["accuracy"])
        for line, accuracies in lines.items():
            print(f"{line:<44}" + "".join(f"{accuracy:>7.1%}" for accuracy in accuracies))

    def checks(self) -> dict[str, float]:
        """smallest_epsilon.png, step_size.png and .csv; and whether PGD is as strong as it can be.

        Returns:
            Of the first test images, for each attacked network NAME: `NAME_median_epsilon`, the
            median of the smallest that is enough, None if that is none; and `NAME_check_…`, what
            `evaluation.check_strength` gives.
        """
        config, n, most = self.config, self.config.attacked_images, max(self.epsilons)
        results, smallest, step_sizes = {}, {}, {}
        for name in self.attacked:
            of = self.networks[name], self.images[:n], self.labels[:n]
            print(f"{name} network: the smallest epsilon that is enough, image by image")
            smallest[name] = evaluation.smallest_epsilon(*of, most, self.make)
            median = float(np.median(smallest[name]))
            results[f"{name}_median_epsilon"] = median if np.isfinite(median) else None
            print(f"{name} network: PGD with other steps")
            step_sizes[name] = evaluation.by_step_size(*of, config.epsilon, self.make, STEP_SIZES)
            print(f"{name} network: PGD with restarts, and attacks without gradients")
            checked = evaluation.check_strength(
                self.networks[name],
                self.networks["second"],
                *of[1:],
                config.epsilon,
                self.make,
                restarts=config.restarts,
                tries=config.noise_tries,
                queries=config.square_queries,
            )
            results |= {f"{name}_check_{what}": value for what, value in checked.items()}
        self.run.write(
            "smallest_epsilon.png",
            figures.smallest_epsilons(smallest, most, 2**evaluation.HALVINGS, self.title),
        )
        self.run.write("step_size.png", figures.step_sizes(step_sizes, self.title))
        self.run.write_csv(
            "step_size.csv",
            [{"network": name} | row for name, rows in step_sizes.items() for row in rows],
        )
        return results

    def accuracies(self) -> dict[str, float]:
        """Of all test images: as they are, and with the run's epsilon.

        Returns:
            For each network NAME: `NAME_accuracy`. For those that are attacked, with ATTACK each of
            noise, fgsm and pgd: `NAME_ATTACK_accuracy`. With images made for the undefended network
            and shown to another: `NAME_ATTACK_transferred_accuracy`.
        """
        print(f"attacking all {len(self.labels)} test images")
        results = {
            f"{name}_accuracy": float(
                np.mean(evaluation.is_right(network, self.images, self.labels))
            )
            for name, network in self.networks.items()
        }
        rows = evaluation.compare(
            self.networks, self.attacked, self.images, self.labels, [self.config.epsilon], self.make
        )
        for row in rows:
            name = f"{row['seen_by']}_{row['attack']}"
            if row["seen_by"] == row["made_for"]:
                results[f"{name}_accuracy"] = row["accuracy"]
            elif row["made_for"] == "undefended" and row["attack"] != "noise":
                results[f"{name}_transferred_accuracy"] = row["accuracy"]
        return results
