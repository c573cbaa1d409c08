"""What styles, noise and truncation do, in pictures and figures (Karras et al. 2019, section 3)."""

import numpy as np
from matplotlib.figure import Figure

from chapter06_progan.levels import size_of
from chapter06_progan.training_images import as_digits, bring_down
from common import images

TRUNCATIONS = (0.0, 0.3, 0.5, 0.7, 0.85, 1.0)
GROUPS = ("coarse", "middle", "fine")
MIXED = 2_000  # pairs of images for the shares of labels that change


def groups_of(level: int) -> dict[str, list[int]]:
    """Which levels' styles are coarse, middle and fine: thirds of the levels.

    In the paper, whose images are of 1024×1024: 4×4 and 8×8; 16×16 and 32×32; from 64×64 on.
    """
    parts = np.array_split(np.arange(level + 1), len(GROUPS))
    return {name: part.tolist() for name, part in zip(GROUPS, parts, strict=True) if len(part)}


def sizes_of(levels: list[int]) -> str:
    """As "4×4, 8×8"."""
    return ", ".join(f"{size_of(level)}×{size_of(level)}" for level in levels)


def swap(gan, styles, others, levels: list[int]) -> list:
    """For each layer its styles: those of `others` at some levels."""
    layers = gan.averaged.layers_of(gan.phase.level)
    return [others if number // 2 in levels else styles for number in range(layers)]


def mixing(gan, title: str) -> bytes:
    """Rows get the coarse, middle or fine styles of columns: PNG."""
    styles = gan.averaged.styles(gan.fixed_noise(6 + 3)).numpy()
    columns, rows = styles[:6], styles[6:]
    groups = groups_of(gan.phase.level)
    of_columns = made(gan, columns)
    figure = Figure(figsize=(3.2 * len(groups), 2.4), layout="constrained")
    figure.suptitle(title)
    for ax, (name, levels) in zip(figure.subplots(1, len(groups)), groups.items(), strict=True):
        blank = np.full_like(of_columns[:1], -1)
        cells = [blank, of_columns]
        for row in rows:
            same = np.repeat(row[None], len(columns), axis=0)
            cells += [made(gan, row[None]), gan.draw(swap(gan, same, columns, levels))]
        show(ax, np.concatenate(cells), columns=1 + len(columns))
        ax.set_title(f"{name} styles of the columns\n({sizes_of(levels)})", fontsize=9)
    return images.figure_png(figure)


def made(gan, styles):
    """Images of one style each."""
    return gan.draw([styles] * gan.averaged.layers_of(gan.phase.level))


def show(ax, pictures, columns: int) -> None:
    pictures = bring_down(np.clip(pictures, -1, 1), 256)
    grid = images.grid(pictures, columns=columns, zoom=2)
    ax.imshow(grid, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.axis("off")


def noise(gan, title: str) -> bytes:
    """Images without noise, with two draws of it, and how much each pixel varies: PNG."""
    styles = gan.averaged.styles(gan.fixed_noise(6))
    styles = [styles] * gan.averaged.layers_of(gan.phase.level)
    drawn = np.stack([bring_down(gan.draw(styles, pixel_seed=s), 256) for s in range(20)])
    deviation = drawn.std(axis=0).mean(axis=-1, keepdims=True)
    panels = {
        "without noise": gan.draw(styles, noisy=False),
        "with noise": drawn[0],
        "with other noise": drawn[1],
        f"deviation, white: {deviation.max():.2f}": deviation / max(deviation.max(), 1e-6) * 2 - 1,
    }
    figure = Figure(figsize=(9, 2.2), layout="constrained")
    figure.suptitle(title)
    for ax, (name, pictures) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        show(ax, pictures, columns=3)
        ax.set_title(name, fontsize=9)
    return images.figure_png(figure)


def truncations(gan, title: str, rows: list[dict]) -> bytes:
    """The same noise at each truncation; beside it precision and recall, if there are `rows`."""
    figure = Figure(figsize=(9 if rows else 4.5, 3.2), layout="constrained")
    figure.suptitle(title)
    left, *right = figure.subplots(1, 1 + bool(rows), squeeze=False)[0]
    show(left, np.concatenate([gan.generate(8, psi) for psi in TRUNCATIONS]), columns=8)
    left.set_title("ψ = " + ", ".join(map(str, TRUNCATIONS)) + ", from above", fontsize=9)
    for ax in right:
        for name in ("precision", "recall"):
            ax.plot([row["psi"] for row in rows], [row[name] for row in rows], ".-", label=name)
        ax.legend()
        ax.set(xlabel="truncation ψ", ylim=(0, 1))
        ax.grid(alpha=0.3)
    return images.figure_png(figure)


def sweep(gan, evaluator, count: int) -> list[dict]:
    """For each truncation, precision, recall and FID."""
    rows = []
    for psi in TRUNCATIONS:
        report = evaluator.report(lambda n, psi=psi: as_digits(gan.generate(n, psi)), count)
        rows.append({"psi": psi, **{key: report[key] for key in ("precision", "recall", "fid")}})
    return rows


def labels_kept(gan, classifier) -> dict[str, dict[str, float]]:
    """How often an image keeps the class that the classifier sees if some styles are another's.

    Returns:
        For each group of styles, the share that is kept, and the share that becomes the other's, of
        pairs of images of different classes. Nothing, if all images are of one class.
    """

    def classes(pictures):
        return np.argmax(classifier(as_digits(pictures))[1], axis=1)

    styles = gan.averaged.styles(gan.fixed_noise(2 * MIXED)).numpy()
    first, second = styles[:MIXED], styles[MIXED:]
    own, others = classes(made(gan, first)), classes(made(gan, second))
    differ = own != others
    found: dict[str, dict[str, float]] = {}
    if not differ.any():
        return found
    for name, levels in groups_of(gan.phase.level).items():
        mixed = classes(gan.draw(swap(gan, first, second, levels)))
        found[name] = {
            "label_kept": float(np.mean(mixed[differ] == own[differ])),
            "label_of_other": float(np.mean(mixed[differ] == others[differ])),
        }
    return found
