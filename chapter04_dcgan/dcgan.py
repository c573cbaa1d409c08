"""The training algorithm of the DCGAN (GANs in Action, section 4.4; Radford et al. 2016).

Each iteration trains the discriminator on real images, then on generated ones, and then the
generator through the discriminator: three updates, each on a mini-batch of its own. Real and
generated images never share a batch, so that batch normalisation sees each kind alone.
"""

import keras
import tensorflow as tf
from keras import ops

from common.device import CompiledLoop

cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)


def loss_real(logits):
    """Mean of -log P(real): small where the discriminator says "real". Logits n×1, a scalar."""
    return cross_entropy(ops.ones_like(logits), logits)


def loss_fake(logits):
    """Mean of -log(1 - P(real)): small where the discriminator says "fake"."""
    return cross_entropy(ops.zeros_like(logits), logits)


class DCGAN(CompiledLoop, keras.Model):
    """Trains a generator and a discriminator against each other.

    Args:
        generator: n×latent_dim to images in [-1, 1].
        discriminator: images to logits, n×1.
        gradient_penalty: weight of the R1 penalty on the discriminator; the book has none.
        shared_fakes: train both networks on the same generated images, rather than as in the book
            on two batches of them.
        seed: with the iteration, sets the noise of each training step.
    """

    def __init__(self, generator, discriminator, gradient_penalty=0.0, shared_fakes=False, seed=0):
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.latent_dim = generator.input_shape[-1]
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

    def train_step(self, real_images):
        train = self.train_on_shared_fakes if self.shared_fakes else self.train_as_in_the_book
        d_loss_real, logits_real, d_loss_fake, logits_fake, g_loss = train(real_images)

        accuracy_real = ops.mean(ops.cast(logits_real > 0, "float32"))  # > 0 is P(real) > 0.5
        accuracy_fake = ops.mean(ops.cast(logits_fake <= 0, "float32"))
        self.d_loss.update_state((d_loss_real + d_loss_fake) / 2)
        self.d_accuracy.update_state((accuracy_real + accuracy_fake) / 2)
        self.d_accuracy_real.update_state(accuracy_real)
        self.d_accuracy_fake.update_state(accuracy_fake)
        self.g_loss.update_state(g_loss)
        return {m.name: m.result() for m in self.metrics}

    def train_as_in_the_book(self, real_images):
        noise_for_d, noise_for_g = tf.unstack(self.noise(self.iterations, tf.shape(real_images)[0]))

        # 1. The discriminator on real images.
        d_loss_real, logits_real = self.train_discriminator(
            real_images, loss_real, self.gradient_penalty
        )

        # 2. The discriminator on generated images, an update of its own. The generator makes them
        # as it will when it is done: normalised by its running statistics, not by the batch's.
        fake_images = self.generator(noise_for_d, training=False)
        d_loss_fake, logits_fake = self.train_discriminator(fake_images, loss_fake)

        # 3. The generator, whose images shall pass for real ones. Only its variables are updated,
        # but the discriminator normalises by the batch here too (training=True): in inference mode
        # it would be another network than the one that was just trained, and nothing be learned.
        with tf.GradientTape() as tape:
            fake_images = self.generator(noise_for_g, training=True)
            g_loss = loss_real(self.discriminator(fake_images, training=True))
        self.update_generator(tape, g_loss)
        return d_loss_real, logits_real, d_loss_fake, logits_fake, g_loss

    def train_on_shared_fakes(self, real_images):
        """The same three updates; the images of step 3 serve for step 2 as well.

        That saves a forward pass. And the discriminator learns from images that are normalised by
        the batch, as those it judges in step 3 are: in the beginning, running statistics lag far
        behind, and make other images.
        """
        noise = self.noise(self.iterations, tf.shape(real_images)[0])[0]
        d_loss_real, logits_real = self.train_discriminator(
            real_images, loss_real, self.gradient_penalty
        )
        with tf.GradientTape() as tape:
            fake_images = self.generator(noise, training=True)
            with tape.stop_recording():  # the generator's gradient needs none of this update
                d_loss_fake, logits_fake = self.train_discriminator(fake_images, loss_fake)
            g_loss = loss_real(self.discriminator(fake_images, training=True))
        self.update_generator(tape, g_loss)
        return d_loss_real, logits_real, d_loss_fake, logits_fake, g_loss

    def train_discriminator(self, images, loss_function, penalty=0.0):
        with tf.GradientTape() as tape:
            if penalty:
                logits, squared_gradient = self.logits_and_squared_gradient(images)
            else:
                logits, squared_gradient = self.discriminator(images, training=True), 0.0
            loss = loss_function(logits)
            penalized = loss + penalty / 2 * squared_gradient
        variables = self.discriminator.trainable_variables
        self.d_optimizer.apply(tape.gradient(penalized, variables), variables)
        return loss, logits

    def logits_and_squared_gradient(self, images):
        """Logits, and how fast they change with the image: the mean of |∂logit/∂image|².

        Punished at real images (R1, Mescheder et al. 2018), the discriminator grows less steep the
        nearer the generator comes, rather than pushing it past them.
        """
        with tf.GradientTape() as tape:
            tape.watch(images)
            logits = self.discriminator(images, training=True)
        return logits, ops.mean(ops.sum(ops.square(tape.gradient(logits, images)), axis=(1, 2, 3)))

    def update_generator(self, tape, loss):
        variables = self.generator.trainable_variables
        self.g_optimizer.apply(tape.gradient(loss, variables), variables)
