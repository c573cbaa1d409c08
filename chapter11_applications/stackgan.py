"""StackGAN (Zhang et al. 2017): text to a small image, and that to a larger one.

Each stage has a text encoder, a generator and a discriminator. Stage I is trained first; then it is
held fixed, and stage II is trained on its images. Each iteration updates the discriminator, and
then encoder and generator, on the same generated images, as in the authors' PyTorch code.

The discriminator is matching-aware (Reed et al. 2016): a real image with the caption of another is
to be refused, too, so that it has to look at the caption. Beside that it learns to say what a real
image shows, and the generator's images are to show what their captions say: an auxiliary classifier
(Odena et al. 2017), which the paper has not. It says directly what the words mean, property by
property.
"""

from typing import ClassVar

import numpy as np
import tensorflow as tf
from keras import ops

from chapter11_applications.text_losses import facts_loss, kl_loss, loss_fits, loss_fits_not
from common import distribution
from common.distribution import minimize
from common.model import ChapterModel, normal_noise, predict
from common.penalties import r1_penalty

FIRST, SECOND = 0, 1  # the stages


class StackGAN(ChapterModel):
    """Trains two stages, one after the other.

    Args:
        encoders: words, n×7, to means and logarithms of variances, n×2·condition_dim; of stage I
            and of stage II.
        generators: noise, n×latent_dim, and condition, n×condition_dim, to images of 16×16; and
            these and condition to images of 32×32.
        discriminators: images and words of k captions for each to logits; see `text_networks.py`.
        r1: weight of R1, half the squared gradient of the discriminator's logit at real
            images with their captions.
        facts_weight: weight of the auxiliary classifier; 0 is the paper's.
        kl_weight: weight of the conditions' KL.
        seed: with the iteration, sets the noise of each training step.
    """

    METRICS = ("d_loss", "d_right", "d_wrong", "d_fake", "d_facts", "g_loss", "g_facts", "kl")
    PLOTS: ClassVar = {
        "loss": {"d_loss": "discriminator", "g_loss": "generator"},
        "discriminator says that the caption fits": {
            "d_right": "real image, its caption",
            "d_wrong": "real image, another's caption",
            "d_fake": "generated image",
        },
        "cross-entropy of what is shown": {"d_facts": "real", "g_facts": "generated"},
        "share of images that are right": {"all_right": "in all that the caption says"},
    }

    def __init__(
        self,
        encoders,
        generators,
        discriminators,
        *,
        r1: float = 1.0,
        facts_weight: float = 1.0,
        kl_weight: float = 1.0,
        seed: int = 0,
    ):
        super().__init__()
        self.encoders = encoders
        self.generators = generators
        self.discriminators = discriminators
        self.r1 = r1
        self.facts_weight = facts_weight
        self.kl_weight = kl_weight
        self.seed = seed
        self.latent_dim, self.condition_dim = (x.shape[-1] for x in generators[FIRST].inputs)
        self.steps = self.add_weight((), "zeros", "int32", trainable=False, name="steps")
        self.stage = FIRST

    def compile(self, d_optimizers, g_optimizers, **kwargs):
        """As `ChapterModel`'s, with the optimisers of stage I and of stage II.

        Args:
            d_optimizers: two, of the discriminators. They are not shared: each stage has weights
                and a schedule of its own.
            g_optimizers: two, each of a stage's text encoder and generator.
        """
        super().compile(optimizer=None, **kwargs)
        self.d_optimizers = d_optimizers
        self.g_optimizers = g_optimizers
        for stage in (FIRST, SECOND):
            d_optimizers[stage].build(self.discriminators[stage].trainable_variables)
            g_optimizers[stage].build(self.generator_variables(stage))

    @property
    def iterations(self):
        """Training steps done so far, of both stages."""
        return self.steps

    def begin(self, stage: int, steps_per_execution: int = 1) -> None:
        """Takes up a stage; the functions of the former one are compiled for its networks."""
        self.stage = stage
        self.compile_step()
        self.steps_per_execution = steps_per_execution
        self.make_train_function(force=True)

    def generator_variables(self, stage: int) -> list:
        """What the second update of an iteration moves: a stage's encoder and generator."""
        networks = (self.encoders[stage], self.generators[stage])
        return [variable for network in networks for variable in network.trainable_variables]

    def train_step(self, batch):
        real_images, labels = batch
        words, facts = labels[:, 0], labels[:, 1]
        noise = self.noise(self.steps, tf.shape(words)[0])

        # 1. Images for the captions.
        with tf.GradientTape() as tape:
            fake_images, kl = self.make(words, noise)

            # 2. The discriminator: a tape of its own.
            with tape.stop_recording():
                d_logs = self.train_discriminator(real_images, fake_images, words, facts)

            # 3. Encoder and generator: images that pass for real ones with these captions.
            logits, fact_logits = self.discriminate(fake_images, words[:, None])
            g_facts = facts_loss(fact_logits, facts)
            g_loss = loss_fits(logits)
            loss = g_loss + self.facts_weight * g_facts + self.kl_weight * kl
        variables = self.generator_variables(self.stage)
        minimize(self.g_optimizers[self.stage], tape, loss, variables)

        self.steps.assign_add(1)
        return self.report(g_loss=g_loss, g_facts=g_facts, kl=kl, **d_logs)

    def train_discriminator(self, real_images, fake_images, words, facts):
        """One update. Gives what is reported of it."""
        both = tf.stack([words, captions_of_others(words)], axis=1)

        def judge(images):
            logits, fact_logits = self.discriminate(images, both)
            return *tf.split(logits, 2, axis=1), fact_logits

        with tf.GradientTape() as tape:
            (right, wrong, fact_logits), penalty = r1_penalty(judge, real_images)
            fake, _ = self.discriminate(fake_images, words[:, None])
            # Both kinds of pairs that do not fit weigh as much as the one that does.
            loss = loss_fits(right) + (loss_fits_not(wrong) + loss_fits_not(fake)) / 2
            d_facts = facts_loss(fact_logits, facts)
            penalized_loss = loss + self.facts_weight * d_facts + self.r1 / 2 * penalty
        variables = self.discriminators[self.stage].trainable_variables
        minimize(self.d_optimizers[self.stage], tape, penalized_loss, variables)
        said_to_fit = {"d_right": right, "d_wrong": wrong, "d_fake": fake}
        shares = {k: ops.mean(ops.cast(x > 0, "float32")) for k, x in said_to_fit.items()}
        return {"d_loss": loss, "d_facts": d_facts, **shares}

    def discriminate(self, images, words):
        """The stage's logits: of n×k captions, n×k×7, and of what n images show, n×30."""
        return self.discriminators[self.stage]([images, words], training=True)

    def make(self, words, noise):
        """The stage's images for captions, n×side×side×1 in (-1, 1), and the conditions' KL."""
        z, *normal = tf.split(noise, [self.latent_dim, *[self.condition_dim] * 2], axis=1)
        if self.stage == FIRST:
            condition, kl = self.augment(FIRST, words, normal[FIRST])
            return self.generators[FIRST]([z, condition], training=True), kl
        condition, _ = self.augment(FIRST, words, normal[FIRST], training=False)
        small = tf.stop_gradient(self.generators[FIRST]([z, condition], training=False))
        condition, kl = self.augment(SECOND, words, normal[SECOND])
        return self.generators[SECOND]([small, condition], training=True), kl

    def augment(self, stage: int, words, normal, training: bool = True):
        """Conditioning augmentation: a condition from near the caption's, n×condition_dim, and KL.

        There are few captions for what images can be. Conditions that are drawn around a caption's
        mean fill the space between captions (section 3.2 of the paper).

        Args:
            normal: standard normal, n×condition_dim: reparameterization, as in chapter 2.
        """
        mean, log_var = tf.split(self.encoders[stage](words, training=training), 2, axis=1)
        return mean + ops.exp(log_var / 2) * normal, kl_loss(mean, log_var)

    def noise(self, iteration, batch_size):
        """z and both conditions' normal numbers: batch_size×(latent_dim + 2·condition_dim)."""
        shape = (batch_size, self.latent_dim + 2 * self.condition_dim)
        return normal_noise(shape, self.seed, iteration)

    def generate(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Images of both stages for captions, n×7: n×16×16×1 and n×32×32×1, NumPy's.

        From the same noise each time, new to training.
        """
        noise = self.noise(-1, len(words)).numpy()
        return generate(self.encoders, self.generators, words, noise)


def captions_of_others(words):
    """For each image another image's caption, n×7, which is hardly ever true of it by chance."""
    return distribution.shard(tf.roll(distribution.gather(words), 1, axis=0))


def generate(encoders, generators, words: np.ndarray, noise: np.ndarray):
    """Images of both stages by trained networks: n×16×16×1 and n×32×32×1, NumPy's.

    Args:
        words: n×7.
        noise: standard normal, n×(latent_dim + 2·condition_dim).
    """
    latent_dim, condition_dim = (x.shape[-1] for x in generators[FIRST].inputs)
    z, *normal = np.split(noise, [latent_dim, latent_dim + condition_dim], axis=1)
    images = z
    made = []
    for encoder, generator, drawn in zip(encoders, generators, normal, strict=True):
        mean, log_var = np.split(predict(encoder, words), 2, axis=1)
        condition = mean + np.exp(log_var / 2) * drawn
        images = predict(generator, [images, condition.astype(np.float32)])
        made.append(images)
    return tuple(made)
