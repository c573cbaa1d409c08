"""Trains StackGAN (Zhang et al. 2017; chapter 11): captions become images, in two stages.

On two CPU cores:

    python chapter11_applications/text_to_image.py              trains both stages
    python chapter11_applications/text_to_image.py --resume     goes on with a stopped run

With the latest run, this draws:

    python chapter11_applications/text_to_image.py --caption "a thin three left of a bold seven"

With --caption the program takes other flags; --caption x --help shows them.
"""

import sys
from pathlib import Path

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from chapter11_applications import drawing
from chapter11_applications.text_settings import PRESETS, PROGRAM, Settings
from common import cli
from common.training import TrainingRun


def build_model(config: Settings):
    """The networks of both stages, and the model that trains them."""
    from chapter11_applications import text_networks as networks
    from chapter11_applications.stackgan import StackGAN
    from common.batch_norm import fuse

    generators = [
        fuse(networks.build_first_generator(config.latent_dim, config.condition_dim)),
        fuse(networks.build_second_generator(config.condition_dim)),
    ]
    return StackGAN(
        [networks.build_text_encoder(config.condition_dim) for _ in generators],
        generators,
        [networks.build_discriminator(side) for side in (16, 32)],
        r1=config.r1,
        facts_weight=config.facts_weight,
        kl_weight=config.kl_weight,
        seed=config.seed,
    )


def train(config: Settings, run: TrainingRun) -> dict:
    """Data → networks → model → fit → results. What `run` does is in common/training.py."""
    import numpy as np

    from chapter11_applications import reading, scenes, text_report
    from common import stream
    from common.batch_norm import unfuse
    from common.optimizers import adam

    dataset = run.load_data()
    digits, test_digits = scenes.all_digits(dataset, config.digits)
    random = np.random.default_rng(config.seed)
    training = scenes.draw_scenes(digits, config.images, random)
    stream.check_batch_size(config.batch_size, training.images)
    lengths = (config.first_iterations, config.second_iterations)

    with run.scope():
        gan = build_model(config)
        gan.compile(
            [adam(config.discriminator_learning_rate, config.beta_1, n) for n in lengths],
            [adam(config.generator_learning_rate, config.beta_1, n) for n in lengths],
            jit_compile=run.xla,
        )

    run.begin(gan, dataset.describe())
    print(f"{len(digits.labels)} clear digits; training the classifier that reads them")
    classifier = reading.train_classifier(
        digits.drawn, digits.labels, config.reader_epochs, seed=config.seed
    )
    report = text_report.Report(gan, classifier, test_digits, config.measured, random)

    ends = (lengths[0], sum(lengths))
    for stage, (side, end) in enumerate(zip((16, 32), ends, strict=True)):
        if run.saved_iteration >= end:  # as of a resumed run
            continue
        print(f"\nstage {'I' * (stage + 1)}: {side}×{side} pixels, to iteration {end}")
        gan.begin(stage, run.steps_per_execution(most=10))
        images = training.images if side == 32 else scenes.halve(training.images)
        gan.fit(
            run.batches(images, training.labels),
            callbacks=run.callbacks(report.sample_images, report.at_interval),
            **run.fit_arguments | {"epochs": end // run.interval},
        )

    run.plot_history(gan.PLOTS, "Chapter 11, StackGAN")
    run.save_models(
        text_encoder_1=gan.encoders[0],
        text_encoder_2=gan.encoders[1],
        generator_1=unfuse(gan.generators[0]),
        generator_2=unfuse(gan.generators[1]),
        digit_classifier=classifier,
    )
    return run.finish(report.at_end(run))


train_main = cli.program(PROGRAM, __doc__, PRESETS, train)


def main(argv: list[str] | None = None):
    """Trains; or with --caption draws, by what was trained."""
    typed = sys.argv[1:] if argv is None else argv
    if any(flag.split("=")[0] == "--caption" for flag in typed):
        return drawing.main(argv)
    return train_main(argv)


if __name__ == "__main__":
    cli.run(main)
