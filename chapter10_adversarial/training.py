"""The training of the classifiers: on images as they are, and on the images of an attack."""

import keras
import tensorflow as tf
from keras import ops

from chapter10_adversarial import attacks
from common.distribution import minimize, undivided
from common.model import ChapterModel

BOUNDS = (0.0, 1.0)  # of the images

cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Training(ChapterModel):
    """Trains two classifiers side by side, on the same batches of images as they are.

    There are two to see whether what fools one fools another.

    Args:
        undefended, second: images, n×28×28×1 in [0, 1], to logits, n×10.
    """

    METRICS: tuple[str, ...] = ("undefended_loss", "second_loss")

    def __init__(self, undefended, second):
        super().__init__()
        self.undefended = undefended
        self.second = second

    def compile(self, undefended_optimizer, second_optimizer, **kwargs):
        super().compile(optimizer=None, **kwargs)
        self.undefended_optimizer = undefended_optimizer
        self.second_optimizer = second_optimizer
        undefended_optimizer.build(self.undefended.trainable_variables)
        second_optimizer.build(self.second.trainable_variables)

    @property
    def iterations(self):
        """Training steps done so far: each network is updated once in each."""
        return self.undefended_optimizer.iterations

    def train_step(self, batch):
        """One iteration.

        Args:
            batch: images, n×28×28×1 in [0, 1], and labels, n.

        Returns:
            By the names of METRICS, the means since the epoch began.
        """
        images, labels = batch
        return self.report(
            second_loss=update(self.second, self.second_optimizer, images, labels),
            undefended_loss=update(self.undefended, self.undefended_optimizer, images, labels),
        )


class AdversarialTraining(Training):
    """Trains a third classifier too, on adversarial images (Madry et al. 2018; or TRADES).

    Args:
        defended: the network that learns from them.
        epsilon: how far its images are changed, L∞.
        warmup: iterations in which this grows from 0; with all of it at once, at the learning rates
            of train.py, a network that knows nothing yet learned nothing.
        steps, step_size: of the attack that changes them; see `attacks.pgd`. A single step is the
            "fast" adversarial training of Wong et al. (2020).
        trades: 0, or the weight of TRADES' second loss; see `trades_loss`.
        seed: with the iteration, sets the attack's random starts.
    """

    METRICS = (*Training.METRICS, "defended_loss")

    def __init__(
        self,
        undefended,
        second,
        defended,
        *,
        epsilon,
        warmup,
        steps,
        step_size,
        trades=0.0,
        seed=0,
    ):
        super().__init__(undefended, second)
        self.defended = defended
        self.epsilon = epsilon
        self.warmup = warmup
        self.steps = steps
        self.step_size = step_size
        self.trades = trades
        self.seed = seed

    def compile(self, undefended_optimizer, second_optimizer, defended_optimizer, **kwargs):
        super().compile(undefended_optimizer, second_optimizer, **kwargs)
        self.defended_optimizer = defended_optimizer
        defended_optimizer.build(self.defended.trainable_variables)

    def train_step(self, batch):
        images, labels = batch

        # 1. The worst images for the network as it is now, as far as a few steps find them …
        adversarial = attacks.pgd(
            logits=self.defended,
            images=images,
            labels=labels,
            epsilon=self.epsilon * self.share_of_epsilon(),
            bounds=BOUNDS,
            steps=self.steps,
            step_size=self.step_size,
            seed=tf.stack([self.seed, tf.cast(self.iterations, tf.int32)]),
            batch_size=10**9,  # all at once: parts would have random starts of their own
        )

        # 2. … are what it learns from. With TRADES it learns the labels of the clean images, and to
        # predict the same for the adversarial ones; without it, the adversarial images' labels.
        if self.trades:
            with tf.GradientTape() as tape:
                logits = self.defended(images, training=True)
                adversarial_logits = self.defended(adversarial, training=True)
                defended_loss = trades_loss(labels, logits, adversarial_logits, self.trades)
            minimize(
                self.defended_optimizer, tape, defended_loss, self.defended.trainable_variables
            )
        else:
            defended_loss = update(self.defended, self.defended_optimizer, adversarial, labels)

        # 3. The others learn from the same images as they are.
        return self.report(
            defended_loss=defended_loss,
            second_loss=update(self.second, self.second_optimizer, images, labels),
            undefended_loss=update(self.undefended, self.undefended_optimizer, images, labels),
        )

    def take_averages(self):
        """Gives the defended network the averages of its weights, if its optimiser has them."""
        self.defended_optimizer.finalize_variable_values(self.defended.trainable_variables)

    def share_of_epsilon(self):
        """Grows from 0 to 1 during the warm-up."""
        begun = tf.cast(self.iterations + 1, tf.float32)
        return tf.minimum(begun / max(self.warmup, 1), 1.0)


def trades_loss(labels, logits, adversarial_logits, weight):
    """TRADES (Zhang et al. 2019, equation 5): be right as it is, and see the same after an attack.

    Their attack makes the second part as large as it can; ours is PGD's, against the label.

    Args:
        labels: n.
        logits, adversarial_logits: of images, and of what an attack made of them; n×K.
        weight: of the second part, which the paper calls 1/λ; their code has 1 to 6.

    Returns:
        The mean cross-entropy of images x as they are, and `weight` times the mean of KL(p(x) ‖
        p(x')), x' the adversarial images, p the probabilities of the classes. A scalar.
    """
    seen, seen_after = ops.log_softmax(logits), ops.log_softmax(adversarial_logits)
    divergence = ops.sum(ops.exp(seen) * (seen - seen_after), axis=1)
    return undivided(cross_entropy(labels, logits)) + weight * ops.mean(divergence)


def update(network, optimizer, images, labels):
    """One step of usual training; gives its loss, a scalar.

    Args:
        images: in [0, 1], n×28×28×1.
        labels: whole numbers, n.
    """
    with tf.GradientTape() as tape:
        loss = undivided(cross_entropy(labels, network(images, training=True)))
    variables = network.trainable_variables
    minimize(optimizer, tape, loss, variables)
    return loss
