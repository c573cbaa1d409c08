"""What the attacks on models of several sizes of training set found: a table, and two pictures."""

import json

from matplotlib.figure import Figure

from chapter12_looking_ahead.roc import FALSE_POSITIVES
from chapter12_looking_ahead.spread import spread
from common import images

MEASURES = ("auc", "control_auc", "accuracy", "true_positive_rate")


def compare(run, config, found: dict[str, dict]) -> dict[str, dict]:
    """Prints the table, draws auc.png and roc.png, and writes results.json.

    Args:
        run: the `training.TrainingRun`, whose parts are trained.
        config: its settings.
        found: what each part's results.json holds.

    Returns:
        What results.json holds: for each model and attack, for each number of training images, mean
        and standard deviation over the seeds of MEASURES; None where there is nothing to measure.
    """
    results = summarize(config, found)
    title = f"Chapter 12, {config.dataset}"
    run.write("auc.png", draw_auc(results, title))
    run.write("roc.png", draw_roc(run, config, title))
    run.write_json("results.json", results)
    print(f"\n{table(results)}\n\npictures: {run.path}")
    return results


def summarize(config, found: dict[str, dict]) -> dict[str, dict]:
    """What `compare` returns, of the same arguments."""
    summary: dict[str, dict] = {}
    for name, settings in config.parts.items():
        (model,), (count,) = settings.model, settings.images
        for attack, measured in found[name]["attacks"].items():
            of_attack = summary.setdefault(f"{model}, {attack}", {})
            for key in MEASURES:
                of_attack.setdefault(count, {}).setdefault(key, []).append(measured.get(key))
    return {
        attack: {
            str(count): {key: spread(values) for key, values in measures.items()}
            for count, measures in of_attack.items()
        }
        for attack, of_attack in summary.items()
    }


def table(results: dict[str, dict]) -> str:
    """The attacks as text, a line for each number of training images."""
    line = "{:<34}{:>8}" + "{:>18}" * len(MEASURES)
    heads = ("AUC", "control (unseen)", "accuracy", f"TPR at {FALSE_POSITIVES:.0%} FPR")
    lines = [line.format("", "images", *heads)]
    for attack, of_attack in results.items():
        for count, measures in of_attack.items():
            lines.append(line.format(attack, count, *map(percent, measures.values())))
    chance = ["50.0%"] * 3 + [f"{FALSE_POSITIVES:.1%}"]
    lines.append(line.format("by chance", "", *chance))
    return "\n".join(lines)


def percent(found: dict[str, float | None] | None) -> str:
    """A share as text, with its deviation, if it has one."""
    if found is None:
        return "-"
    deviation = found["deviation"]
    return f"{found['mean']:.1%}" + ("" if deviation is None else f" ± {deviation:.1%}")


def draw_auc(results: dict[str, dict], title: str) -> bytes:
    """AUC against the number of training images, with its spread over the seeds, as PNG."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    figure.suptitle(title)
    ax = figure.subplots()
    for attack, of_attack in results.items():
        counts = [int(count) for count in of_attack]
        found = [measures["auc"] for measures in of_attack.values()]
        means = [each["mean"] for each in found]
        deviations = [each["deviation"] or 0 for each in found]
        ax.errorbar(counts, means, deviations, fmt=".-", capsize=3, label=attack)
    ax.axhline(0.5, color="black", linestyle=":", label="by chance")
    ax.set(xscale="log", xlabel="training images", ylabel="AUC: member or not?")
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)
    return images.figure_png(figure)


def draw_roc(run, config, title: str) -> bytes:
    """ROC curves of the first seed's models, with logarithmic axes, as PNG.

    Logarithmic, since what happens at few false positives matters most (Carlini et al. 2022).
    """
    figure = Figure(figsize=(4.5 * len(config.images), 4.2), layout="constrained")
    figure.suptitle(f"{title}, seed {config.seed}")
    axes = figure.subplots(1, len(config.images), squeeze=False)[0]
    for ax, count in zip(axes, config.images, strict=True):
        for model in config.model:
            folder = run.path / f"{model}_{count}_seed{config.seed}"
            for attack, (false, true) in json.loads((folder / "roc.json").read_bytes()).items():
                ax.plot(false, true, label=f"{model}, {attack}")
        ax.plot([1e-3, 1], [1e-3, 1], "k:", label="by chance")
        ax.set(xscale="log", yscale="log", xlim=(1e-3, 1), ylim=(1e-3, 1))
        ax.set(xlabel="false positive rate", title=f"{count} training images")
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("true positive rate")
    axes[0].legend(fontsize=8)
    return images.figure_png(figure)
