"""What a run shows at its end: history.png, and a table of what the test images give."""


def title(config, names: tuple[str, str]) -> str:
    """Of history.png.

    Args:
        config: `train.Settings`.
        names: of the domains.
    """
    model = {"cyclegan": "CycleGAN", "discogan": "DiscoGAN"}[config.model]
    A, B = names
    return f"Chapter 9, {model}, {A} and {B}, {config.size}×{config.size}"


def plots(names: tuple[str, str]) -> dict[str, dict[str, str]]:
    """The panels of history.png, for `images.plot_history`.

    Args:
        names: of the domains.
    """
    A, B = names
    return {
        "adversarial loss": {
            "d_A_loss": f"discriminator of {A}",
            "d_B_loss": f"discriminator of {B}",
            "adversarial_loss": "generators",
        },
        "mean absolute error": {
            "AB_cycle_error": f"cycle from {A}, test",
            "BA_cycle_error": f"cycle from {B}, test",
            "AB_identity_error": f"identity of {B}, test",
            "BA_identity_error": f"identity of {A}, test",
        },
        "judged as the target": {"AB_target": f"{A} to {B}", "BA_target": f"{B} to {A}"},
    }


def print_table(names: tuple[str, str], results: dict[str, float]) -> None:
    """Prints both directions side by side.

    Args:
        names: of the domains.
        results: what `Evaluator.evaluate` and `evaluate_untranslated` give.
    """
    A, B = names
    print(f"{'test images':<32}{f'{A} to {B}':>26}{f'{B} to {A}':>26}")
    for label, key, form in (
        ("judged as the target", "{}_target", ".1%"),
        ("the same, untranslated", "untranslated_{}_target", ".1%"),
        ("cycle error", "{}_cycle_error", ".3f"),
        ("identity error", "{}_identity_error", ".3f"),
    ):
        there, back = (results[key.format(direction)] for direction in ("AB", "BA"))
        print(f"{label:<32}{there:>26{form}}{back:>26{form}}")
