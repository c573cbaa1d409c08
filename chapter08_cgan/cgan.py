"""The training algorithm of the conditional GAN (GANs in Action, section 8.3), and of ACGAN.

The iteration is that of chapter 4, with labels: the discriminator is shown images with their
labels, real and then generated ones, and the generator is asked for images of given labels.
"""

import keras
import tensorflow as tf
from keras import ops

from common.device import CompiledLoop

binary_cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def loss_real(logits):
    """Mean of -log P(real): small where the discriminator says "real". Logits n×1, a scalar."""
    return binary_cross_entropy(ops.ones_like(logits), logits)


def loss_fake(logits):
    """Mean of -log(1 - P(real)): small where the discriminator says "fake"."""
    return binary_cross_entropy(ops.zeros_like(logits), logits)


class CGAN(CompiledLoop, keras.Model):
    """Trains a generator and a discriminator that are both told the label.

    Args:
        generator: noise, n×latent_dim, and labels, n, to images in [-1, 1].
        discriminator: images and labels to logits, n×1.
        classes: K.
        gradient_penalty: weight of the R1 penalty on the discriminator; the book has none.
        shared_fakes: train both networks on the same generated images, rather than as in the book
            on two batches of them.
        seed: with the iteration, sets the noise and the labels of each training step.
    """

    def __init__(
        self,
        generator,
        discriminator,
        classes=10,
        gradient_penalty=0.0,
        shared_fakes=False,
        seed=0,
    ):
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.latent_dim = generator.inputs[0].shape[-1]
        self.classes = classes
        self.gradient_penalty = gradient_penalty
        self.shared_fakes = shared_fakes
        self.seed = seed
        self.built = True  # as both networks are; Keras refuses to save a model that is not
        self.d_loss = keras.metrics.Mean("d_loss")
        self.d_accuracy = keras.metrics.Mean("d_accuracy")
        self.d_accuracy_real = keras.metrics.Mean("d_accuracy_real")
        self.d_accuracy_fake = keras.metrics.Mean("d_accuracy_fake")
        self.g_loss = keras.metrics.Mean("g_loss")

    def compile(self, d_optimizer, g_optimizer, **kwargs):
        super().compile(optimizer=None, **kwargs)
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer
        d_optimizer.build(self.discriminator.trainable_variables)
        g_optimizer.build(self.generator.trainable_variables)

    @property
    def metrics(self):
        return [
            self.d_loss,
            self.d_accuracy,
            self.d_accuracy_real,
            self.d_accuracy_fake,
            self.g_loss,
        ]

    @property
    def iterations(self):
        """Training steps done so far: the generator is updated once in each."""
        return self.g_optimizer.iterations

    def noise(self, iteration, batch_size):
        """Noise for the two halves of an iteration, 2×batch_size×latent_dim, standard normal.

        It is a function of seed and iteration alone, so that a run can be repeated and resumed.
        """
        return tf.random.stateless_normal(
            (2, batch_size, self.latent_dim),
            seed=tf.stack([self.seed, tf.cast(iteration, tf.int32)]),
            alg="philox",  # by name: on a CPU, XLA's own choice takes several times as long
        )

    def random_labels(self, iteration, batch_size):
        """Labels to ask the generator for, batch_size, each class as likely.

        They too are a function of seed and iteration alone.
        """
        return tf.random.stateless_uniform(
            (batch_size,),
            # Other numbers than the noise is made of.
            seed=tf.random.fold_in(tf.stack([self.seed, tf.cast(iteration, tf.int32)]), 1),
            maxval=self.classes,
            dtype=tf.int32,
            alg="philox",
        )

    def train_step(self, batch):
        train = self.train_on_shared_fakes if self.shared_fakes else self.train_as_in_the_book
        d_loss_real, logits_real, d_loss_fake, logits_fake, g_loss = train(*batch)

        accuracy_real = ops.mean(ops.cast(logits_real > 0, "float32"))  # > 0 is P(real) > 0.5
        accuracy_fake = ops.mean(ops.cast(logits_fake <= 0, "float32"))
        self.d_loss.update_state((d_loss_real + d_loss_fake) / 2)
        self.d_accuracy.update_state((accuracy_real + accuracy_fake) / 2)
        self.d_accuracy_real.update_state(accuracy_real)
        self.d_accuracy_fake.update_state(accuracy_fake)
        self.g_loss.update_state(g_loss)
        return {m.name: m.result() for m in self.metrics}

    def train_as_in_the_book(self, real_images, labels):
        """The book's three updates.

        Args:
            real_images: n×height×width×channels in [-1, 1].
            labels: n.

        Returns:
            The discriminator's loss and logits, n×1, on real images; the same on generated ones;
            the generator's loss.
        """
        noise_for_d, noise_for_g = tf.unstack(self.noise(self.iterations, tf.shape(labels)[0]))

        # 1. The discriminator on real images with their labels.
        d_loss_real, logits_real = self.train_discriminator(
            real_images, labels, loss_real, self.gradient_penalty
        )

        # 2. The discriminator on generated images of the same labels, which the generator makes as
        # it will when it is done: normalised by its running statistics.
        fake_images = self.generator([noise_for_d, labels], training=False)
        d_loss_fake, logits_fake = self.train_discriminator(fake_images, labels, loss_fake)

        # 3. The generator, whose images shall pass for real ones of the labels it was asked for.
        labels = self.random_labels(self.iterations, tf.shape(labels)[0])
        with tf.GradientTape() as tape:
            fake_images = self.generator([noise_for_g, labels], training=True)
            g_loss, _ = self.judge(fake_images, labels, loss_real)
        self.update_generator(tape, g_loss)
        return d_loss_real, logits_real, d_loss_fake, logits_fake, g_loss

    def train_on_shared_fakes(self, real_images, labels):
        """Three updates again; the images of step 3 serve for step 2 as well, so that the generator
        too is asked for the real batch's labels.

        That saves a forward pass. And the discriminator learns from images that are normalised by
        the batch, as those it judges in step 3 are.
        """
        noise = self.noise(self.iterations, tf.shape(labels)[0])[0]
        d_loss_real, logits_real = self.train_discriminator(
            real_images, labels, loss_real, self.gradient_penalty
        )
        with tf.GradientTape() as tape:
            fake_images = self.generator([noise, labels], training=True)
            with tape.stop_recording():  # the generator's gradient needs none of this update
                d_loss_fake, logits_fake = self.train_discriminator(fake_images, labels, loss_fake)
            g_loss, _ = self.judge(fake_images, labels, loss_real)
        self.update_generator(tape, g_loss)
        return d_loss_real, logits_real, d_loss_fake, logits_fake, g_loss

    def judge(self, images, labels, loss_function):
        """The discriminator's loss on images with labels, a scalar, and its logits, n×1."""
        logits = self.discriminator([images, labels], training=True)
        return loss_function(logits), logits

    def train_discriminator(self, images, labels, loss_function, penalty=0.0):
        """One update; gives the loss without the penalty, a scalar, and the logits, n×1."""
        with tf.GradientTape() as tape:
            if penalty:
                loss, logits, squared_gradient = self.judge_with_squared_gradient(
                    images, labels, loss_function
                )
            else:
                (loss, logits), squared_gradient = self.judge(images, labels, loss_function), 0.0
            penalized = loss + penalty / 2 * squared_gradient
        variables = self.discriminator.trainable_variables
        self.d_optimizer.apply(tape.gradient(penalized, variables), variables)
        return loss, logits

    def judge_with_squared_gradient(self, images, labels, loss_function):
        """As `judge`, and how fast the logits change with the image: the mean of |∂logit/∂image|².

        Punished at real images, this is the R1 penalty of chapter 4 (Mescheder et al. 2018).
        """
        with tf.GradientTape() as tape:
            tape.watch(images)
            loss, logits = self.judge(images, labels, loss_function)
        gradient = tape.gradient(logits, images)
        return loss, logits, ops.mean(ops.sum(ops.square(gradient), axis=(1, 2, 3)))

    def update_generator(self, tape, loss):
        variables = self.generator.trainable_variables
        self.g_optimizer.apply(tape.gradient(loss, variables), variables)


class ACGAN(CGAN):
    """The auxiliary classifier GAN (Odena et al. 2017): the discriminator names the label.

    It is not told what an image is to be. Both networks gain when it names the label right: the
    discriminator learns to classify, real images and generated ones, and the generator to make what
    can be classified. So d_loss and g_loss contain the classes' cross-entropy. It is logged apart
    too, as c_loss, with the share of labels named right, c_accuracy: means over the three batches
    that the discriminator sees in an iteration.

    Args:
        discriminator: images to logits of "real", n×1, and of the classes, n×classes.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.c_loss = keras.metrics.Mean("c_loss")
        self.c_accuracy = keras.metrics.SparseCategoricalAccuracy("c_accuracy")

    @property
    def metrics(self):
        return [*super().metrics, self.c_loss, self.c_accuracy]

    def judge(self, images, labels, loss_function):
        logits, class_logits = self.discriminator(images, training=True)
        c_loss = cross_entropy(labels, class_logits)
        self.c_loss.update_state(c_loss)
        self.c_accuracy.update_state(labels, class_logits)
        return loss_function(logits) + c_loss, logits
