r"""Trains the progressively growing GAN of "GANs in Action" (chapter 6).

On two CPU cores:

    python chapter06_progan/train.py                               digits, in eight minutes
    python chapter06_progan/train.py --dataset fashion_mnist       clothes
    python chapter06_progan/train.py --dataset my_photos --size 64 --batch-size 16 \
        --total-filters 512 --phase-images 12800 --last-images 64000
                                                                   a folder or zip of photos
    python chapter06_progan/train.py --preset stylegan             digits, style-based
    python chapter06_progan/train.py --resume                      goes on with a stopped run
"""

import sys
from pathlib import Path

if not __package__:  # run by its path: find `common` from whatever folder we were started in
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from chapter06_progan.settings import Settings
from common import cli
from common.training import TrainingRun

# The authors' code, preset-v2-1gpu, for a GPU and a folder of photos; there, 600,000 images a phase
# and a learning rate of 0.0015 at 1024×1024. (Appendix A.1 of the paper has 800,000 images a phase,
# and batches of 16.)
PAPER = Settings(
    size=1024,
    batch_size=128,
    smaller_batches=True,
    phase_images=614_400,
    last_images=2_457_600,
    sample_images=38_400,
)
QUICK = PAPER.replace(
    size=32,
    batch_size=64,
    smaller_batches=False,
    phase_images=25_600,
    last_images=204_800,
    sample_images=12_800,
    latent_dim=100,  # as in chapters 3 and 4; digits need no more
    total_filters=256,  # twice as many take twice as long
    most_filters=64,
    # Weights of size 1 move by 0.1 % a step in the paper, which takes very many steps.
    learning_rate=1e-2,
    decay=0.3,
    average=0.99,  # of the last hundred steps or so, not of thousands
    precision="mixed_bfloat16",  # faster on hardware with instructions for it; see the README
)
PRESETS = {
    "quick": QUICK,
    "stylegan": QUICK.replace(
        model="stylegan",
        phase_images=12_800,  # its small levels have little to learn
        last_images=281_600,
        learning_rate=2e-2,
        decay=0.5,
        mapping_layers=2,  # as StyleGAN2-ADA for images of 32×32
        mapping_rate=0.1,  # in so few steps, the paper's hundredth would leave it as it begins
        r1=1.0,  # the paper's 10 is for 1024×1024
        mixing=0.5,  # styles are learned faster from images that have one
    ),
    "paper": PAPER,
    "smoke": PAPER.replace(
        dataset="sample",
        size=8,
        batch_size=8,
        smaller_batches=False,
        phase_images=32,
        last_images=32,
        sample_images=16,
        latent_dim=8,
        total_filters=64,
        most_filters=8,
        fid_images=200,
    ),
}


def train(config: Settings, run: TrainingRun) -> dict:
    """Data → networks → model → fit → results. What `run` does is in common/training.py."""
    from chapter06_progan import training_images
    from chapter06_progan.build import build_model
    from chapter06_progan.export import export
    from chapter06_progan.report import Evaluator, name_of, sample_grid
    from common import stream
    from common.photos import reading_errors

    name = run.data_name(config.data_dir)
    data = training_images.load(name, config.size, config.data_dir, config.validation_images)
    stream.check_batch_size(config.batch_size, data.images)
    plan = config.plan
    run.schedule(plan[-1].end, config.sample_images, "image")

    with run.scope():
        gan = build_model(config, data.channels, total=plan[-1].end, xla=run.xla)

    evaluator = Evaluator(data, config)

    def sample_images():
        return sample_grid(gan, config.size)

    def evaluate():
        return evaluator.at_interval(gan)

    run.begin(gan, data.describe())
    run.print_advice(len(data.images))
    for phase in plan:
        if run.saved_iteration >= phase.end and phase is not plan[-1]:  # as of a resumed run
            continue
        print(f"\n{name_of(phase)}: images {phase.begin} to {phase.end} of {plan[-1].end}")
        steps = run.interval // phase.batch_size
        gan.begin(phase, run.steps_per_execution(most=10, steps=steps))
        batches = run.batches(
            data.at_level(phase.level),
            batch_size=phase.batch_size,
            start=(run.saved_iteration - phase.level_begin) // phase.batch_size,
        )
        with reading_errors(data.images):
            gan.fit(
                batches,
                callbacks=run.callbacks(sample_images, evaluate),
                **run.fit_arguments
                | {"epochs": phase.end // run.interval, "steps_per_epoch": steps},
            )

    run.plot_history(gan.PLOTS, f"Chapter 6, {Path(config.dataset).name}")
    run.save_models(generator=export(gan.averaged))
    quality = evaluator.at_end(gan)
    if config.model == "stylegan":
        quality |= evaluator.styles(gan, run)
    return run.finish(quality)


main = cli.program("chapter06_progan", __doc__, PRESETS, train)

if __name__ == "__main__":
    cli.run(main)
