"""The training algorithm of CycleGAN (GANs in Action, chapter 9; Zhu et al. 2017).

Two generators translate images from domain A to B and back, and two discriminators judge what
arrives in each domain. There are no pairs to learn from. What keeps a translation close to its
original is the cycle: there and back again should end where it began.

    here            g_AB    g_BA    d_A    d_B
    in the paper    G       F       D_X    D_Y
"""

import keras
import tensorflow as tf
from keras import ops

from common.device import CompiledLoop

binary_cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)


def loss_real(scores):
    """Least squares: mean of (score - 1)², small where the discriminator says "real".

    Scores n×h×w×1, a scalar (Mao et al. 2017).
    """
    return ops.mean(ops.square(scores - 1))


def loss_fake(scores):
    """Least squares: mean of score², small where the discriminator says "fake"."""
    return ops.mean(ops.square(scores))


def loss_cycle(images, reconstructed):
    """Mean absolute difference of images and what comes back from a cycle, a scalar."""
    return ops.mean(ops.abs(images - reconstructed))


def loss_identity(images, translated):
    """Mean absolute change of images that are in the generator's target domain already."""
    return ops.mean(ops.abs(images - translated))


class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A constant learning rate, and then a straight line down to 0 (Zhu et al. 2017, section 4).

    Args:
        constant_updates: how long it is constant.
        decay_updates: how long it falls.
    """

    def __init__(self, learning_rate: float, constant_updates: int, decay_updates: int):
        self.learning_rate = learning_rate
        self.constant_updates = constant_updates
        self.decay_updates = decay_updates

    def __call__(self, step):
        left = self.constant_updates + self.decay_updates - ops.cast(step, "float32")
        return self.learning_rate * ops.clip(left / self.decay_updates, 0.0, 1.0)

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "constant_updates": self.constant_updates,
            "decay_updates": self.decay_updates,
        }


class ImagePool(keras.layers.Layer):
    """Generated images of earlier iterations, for the discriminator (Shrivastava et al. 2017).

    A discriminator that sees only the newest forgets what the generator did before, and the two
    can go round in circles. The images are weights of the layer, so that a checkpoint holds them.

    Args:
        size: how many images; no fewer than a batch.
        image_shape: height, width, channels.
    """

    def __init__(self, size: int, image_shape: tuple[int, int, int]):
        super().__init__(dtype="float32")
        self.size = size
        self.images = self.add_weight(
            shape=(size, *image_shape), initializer="zeros", trainable=False, name="images"
        )
        self.count = self.add_weight(  # of images seen
            shape=(), initializer="zeros", dtype="int64", trainable=False, name="count"
        )
        self.built = True

    def exchange(self, images, seed):
        """Takes new images and gives as many: half of them new ones, half from the pool.

        An image from the pool leaves its place to the new one that it stands for. Until the pool is
        full, all images are new.

        Args:
            images: n×height×width×channels.
            seed: two whole numbers that set which.
        """
        n = tf.shape(images)[0]
        which_seed, place_seed = tf.unstack(tf.random.split(seed, 2))
        count = tf.cast(self.count, tf.int32)
        full = count >= self.size
        places = tf.where(
            full,
            tf.random.experimental.stateless_shuffle(tf.range(self.size), seed=place_seed)[:n],
            (count + tf.range(n)) % self.size,
        )
        old = tf.gather(self.images, places)
        half = tf.random.stateless_uniform((n, 1, 1, 1), which_seed, alg="philox") < 0.5
        taken = tf.logical_and(full, half)
        kept = tf.where(tf.logical_or(taken, tf.logical_not(full)), images, old)
        self.images.assign(tf.tensor_scatter_nd_update(self.images, places[:, tf.newaxis], kept))
        self.count.assign_add(tf.cast(n, tf.int64))
        return tf.where(taken, old, images)


class CycleGAN(CompiledLoop, keras.Model):
    """Trains two generators and two discriminators.

    Args:
        g_AB, g_BA: images in [-1, 1], n×height×width×channels, to the same.
        d_A, d_B: images to scores, n×h×w×1.
        image_shape: height, width, channels of the images that training sees.
        lambda_cycle, lambda_identity: weights of these losses beside the adversarial one.
        pool_size: images in each history, 0 for none, as in the book.
        separate_updates: update each discriminator on real images and then on generated ones, as in
            the book, rather than once on both, as in the paper.
        augmentation: changes real images before each use, given a seed; see augmentation.py.
        seed: with the iteration, sets all that is random in a training step.
    """

    def __init__(
        self,
        g_AB,
        g_BA,
        d_A,
        d_B,
        image_shape,
        *,
        lambda_cycle=10.0,
        lambda_identity=9.0,
        pool_size=0,
        separate_updates=True,
        augmentation=None,
        seed=0,
    ):
        super().__init__()
        self.g_AB = g_AB
        self.g_BA = g_BA
        self.d_A = d_A
        self.d_B = d_B
        self.lambda_cycle = lambda_cycle
        self.lambda_identity = lambda_identity
        self.separate_updates = separate_updates
        self.pool_A = ImagePool(pool_size, image_shape) if pool_size else None
        self.pool_B = ImagePool(pool_size, image_shape) if pool_size else None
        self.augmentation = augmentation
        self.seed = seed
        self.built = True  # as the networks are; Keras refuses to save a model that is not
        self.d_A_loss = keras.metrics.Mean("d_A_loss")
        self.d_B_loss = keras.metrics.Mean("d_B_loss")
        self.adversarial_loss = keras.metrics.Mean("adversarial_loss")
        self.cycle_loss = keras.metrics.Mean("cycle_loss")
        self.identity_loss = keras.metrics.Mean("identity_loss")
        self.g_loss = keras.metrics.Mean("g_loss")

    # The losses that DiscoGAN has others for.
    loss_real = staticmethod(loss_real)
    loss_fake = staticmethod(loss_fake)
    loss_cycle = staticmethod(loss_cycle)

    def compile(self, d_A_optimizer, d_B_optimizer, g_optimizer, **kwargs):
        super().compile(optimizer=None, **kwargs)
        self.d_A_optimizer = d_A_optimizer
        self.d_B_optimizer = d_B_optimizer
        self.g_optimizer = g_optimizer
        d_A_optimizer.build(self.d_A.trainable_variables)
        d_B_optimizer.build(self.d_B.trainable_variables)
        g_optimizer.build(self.g_AB.trainable_variables + self.g_BA.trainable_variables)

    @property
    def metrics(self):
        return [
            self.d_A_loss,
            self.d_B_loss,
            self.adversarial_loss,
            self.cycle_loss,
            self.identity_loss,
            self.g_loss,
        ]

    @property
    def iterations(self):
        """Training steps done so far: the generators are updated once in each."""
        return self.g_optimizer.iterations

    def seeds(self, iteration, count):
        """Seeds for what is random in an iteration, count×2: functions of seed and iteration."""
        return tf.random.split(tf.stack([self.seed, tf.cast(iteration, tf.int32)]), count)

    def train_step(self, batch):
        real_A, real_B = batch
        seeds = self.seeds(self.iterations, 4)
        if self.augmentation:
            real_A = self.augmentation(real_A, seeds[0])
            real_B = self.augmentation(real_B, seeds[1])

        with tf.GradientTape() as tape:
            fake_B, same_B = self.translate(self.g_AB, real_A, real_B)
            fake_A, same_A = self.translate(self.g_BA, real_B, real_A)

            # 1. The discriminators, on real images and generated ones.
            with tape.stop_recording():  # the generators' gradients need none of these updates
                shown_A = self.pool_A.exchange(fake_A, seeds[2]) if self.pool_A else fake_A
                shown_B = self.pool_B.exchange(fake_B, seeds[3]) if self.pool_B else fake_B
                d_A_loss = self.train_discriminator(self.d_A, self.d_A_optimizer, real_A, shown_A)
                d_B_loss = self.train_discriminator(self.d_B, self.d_B_optimizer, real_B, shown_B)

            # 2. Both generators. What they make shall pass for real …
            adversarial_loss = self.loss_real(self.d_B(fake_B, training=True)) + self.loss_real(
                self.d_A(fake_A, training=True)
            )
            # … and come back as it was …
            cycle_loss = self.loss_cycle(real_A, self.g_BA(fake_B, training=True))
            cycle_loss += self.loss_cycle(real_B, self.g_AB(fake_A, training=True))
            # … and what is in the target domain already shall stay as it is.
            identity_loss = loss_identity(real_A, same_A) + loss_identity(real_B, same_B)
            g_loss = (
                adversarial_loss
                + self.lambda_cycle * cycle_loss
                + self.lambda_identity * identity_loss
            )
        variables = self.g_AB.trainable_variables + self.g_BA.trainable_variables
        self.g_optimizer.apply(tape.gradient(g_loss, variables), variables)

        self.d_A_loss.update_state(d_A_loss)
        self.d_B_loss.update_state(d_B_loss)
        self.adversarial_loss.update_state(adversarial_loss / 2)  # means of the two directions
        self.cycle_loss.update_state(cycle_loss / 2)
        self.identity_loss.update_state(identity_loss / 2)
        self.g_loss.update_state(g_loss)
        return {m.name: m.result() for m in self.metrics}

    def translate(self, generator, images, of_target_domain):
        """Translates images, and images that need no change; in one pass, which is faster.

        Instance normalisation treats each image apart, so the numbers are those of two passes.
        Without an identity loss the second are given back as they are.
        """
        if not self.lambda_identity:
            return generator(images, training=True), of_target_domain
        both = generator(ops.concatenate([images, of_target_domain]), training=True)
        return ops.split(both, 2)

    def train_discriminator(self, discriminator, optimizer, real_images, fake_images):
        """Updates one discriminator; gives the mean of its two losses before that, a scalar."""
        variables = discriminator.trainable_variables
        if self.separate_updates:
            with tf.GradientTape() as tape:
                loss_real = self.loss_real(discriminator(real_images, training=True))
            optimizer.apply(tape.gradient(loss_real, variables), variables)
            with tf.GradientTape() as tape:
                loss_fake = self.loss_fake(discriminator(fake_images, training=True))
            optimizer.apply(tape.gradient(loss_fake, variables), variables)
            return (loss_real + loss_fake) / 2
        with tf.GradientTape() as tape:
            scores = discriminator(ops.concatenate([real_images, fake_images]), training=True)
            scores_real, scores_fake = ops.split(scores, 2)
            loss = (self.loss_real(scores_real) + self.loss_fake(scores_fake)) / 2
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss


class DiscoGAN(CycleGAN):
    """DiscoGAN (Kim et al. 2017), published in the same month: the same game, other losses.

    Its discriminators give logits, judged by cross-entropy, and the cycle's error is squared. The
    authors have no identity loss and no history, and weigh the cycle and the game equally.
    """

    @staticmethod
    def loss_real(scores):
        return binary_cross_entropy(ops.ones_like(scores), scores)

    @staticmethod
    def loss_fake(scores):
        return binary_cross_entropy(ops.zeros_like(scores), scores)

    @staticmethod
    def loss_cycle(images, reconstructed):
        return ops.mean(ops.square(images - reconstructed))
