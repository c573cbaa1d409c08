"""The training algorithm of the semi-supervised GAN (GANs in Action, section 7.3).

The discriminator has one network and two heads. From the same ten logits, one head says which
digit it is (softmax), the other how likely the image is to be real. Each iteration trains it on
labelled images, on unlabelled ones, and on generated ones, and then the generator through it: four
updates, each on a mini-batch of its own.
"""

import keras
import tensorflow as tf
from keras import ops

from common.device import CompiledLoop

binary_cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def class_logits(outputs, classes):
    """Logits of the classes, n×K, on the scale on which the logit of "fake" is 0.

    Args:
        outputs: of the discriminator, n×K, which are these already, or n×(K + 1), the last of
            which is the logit of "fake".

    A softmax does not change when one number is taken from all its logits. So K + 1 classes need
    only K outputs: the logit of "fake" can be a fixed 0.
    """
    return outputs if outputs.shape[-1] == classes else outputs[:, :classes] - outputs[:, classes:]


def real_logit(logits):
    """The logit of P(real), n×1, from the logits of the classes, n×K.

    The book's P(real) = 1 - 1 / (Σ exp(logit) + 1) is the sigmoid of log Σ exp(logit), and
    logsumexp computes that without overflow, however large the logits are. It is also what a
    softmax over K + 1 classes leaves for those that are not "fake": exp(0) = 1 stands for "fake".
    """
    return ops.logsumexp(logits, axis=-1, keepdims=True)


def loss_labeled(outputs, labels):
    """Mean of -log P(label): the softmax head. Outputs n×K or n×(K + 1), labels n, a scalar."""
    return cross_entropy(labels, outputs)


def loss_real(logits):
    """Mean of -log P(real): small where the discriminator says "real". Logits n×K, a scalar."""
    logit = real_logit(logits)
    return binary_cross_entropy(ops.ones_like(logit), logit)


def loss_fake(logits):
    """Mean of -log(1 - P(real)): small where the discriminator says "fake"."""
    logit = real_logit(logits)
    return binary_cross_entropy(ops.zeros_like(logit), logit)


def loss_features(real_features, fake_features):
    """Feature matching: squared distance of two batches' mean features, n×d and m×d, a scalar."""
    return ops.mean(ops.square(ops.mean(real_features, axis=0) - ops.mean(fake_features, axis=0)))


def set_random_layers(model: keras.Model, seed: int, iteration) -> None:
    """Makes what a model's random layers (Dropout, GaussianNoise, …) draw next a function of these.

    Keras' layers count in a variable of their own how often they have drawn, and Keras does not
    save it. Called at the beginning of each training step, this makes the step a function of seed
    and iteration, so that a run can be repeated and resumed.
    """
    states = [v for v in model.variables if v.path.endswith("seed_generator_state")]
    for number, state in enumerate(states, start=1):
        # No layer's numbers are another's, nor those that a chapter draws with (seed, iteration).
        first = seed * (len(states) + 1) + number
        # A layer may draw several times in an iteration: it counts up from here.
        second = tf.cast(iteration, tf.int64) * 100
        state.assign(tf.cast(tf.stack([first, second]), state.dtype))


class SGAN(CompiledLoop, keras.Model):
    """Trains a generator and a discriminator that is a classifier too.

    Args:
        generator: n×latent_dim to images in [-1, 1].
        discriminator: images to logits, n×classes, or n×(classes + 1), the last for "fake".
        augmentation: changes real images, labelled or not, before each use; the book has none.
        classes: K.
        seed: with the iteration, sets all that is random in a training step.
    """

    def __init__(self, generator, discriminator, augmentation=None, classes=10, seed=0):
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.augmentation = augmentation
        self.latent_dim = generator.input_shape[-1]
        self.classes = classes
        self.seed = seed
        self.built = True  # as both networks are; Keras refuses to save a model that is not
        self.c_loss = keras.metrics.Mean("c_loss")
        self.c_accuracy = keras.metrics.Mean("c_accuracy")
        self.d_loss = keras.metrics.Mean("d_loss")
        self.d_accuracy = keras.metrics.Mean("d_accuracy")
        self.d_accuracy_real = keras.metrics.Mean("d_accuracy_real")
        self.d_accuracy_fake = keras.metrics.Mean("d_accuracy_fake")
        self.g_loss = keras.metrics.Mean("g_loss")

    def compile(self, d_optimizer, g_optimizer, c_optimizer=None, **kwargs):
        """Takes the two networks' optimisers.

        Args:
            c_optimizer: of the discriminator's updates on labelled images. The book compiles the
                discriminator once for each head, so each has an optimiser with averages of its own,
                although both update the same weights. Without it, `d_optimizer` does both.
        """
        super().compile(optimizer=None, **kwargs)
        self.c_optimizer = c_optimizer or d_optimizer
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer
        self.c_optimizer.build(self.discriminator.trainable_variables)
        d_optimizer.build(self.discriminator.trainable_variables)
        g_optimizer.build(self.generator.trainable_variables)

    @property
    def metrics(self):
        return [
            self.c_loss,
            self.c_accuracy,
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

    def train_step(self, batch):
        (labeled_images, labels), unlabeled_images = self.prepare(batch)
        noise_for_d, noise_for_g = tf.unstack(
            self.noise(self.iterations, tf.shape(unlabeled_images)[0])
        )

        # 1. The discriminator as a classifier, on labelled images.
        c_loss, outputs = self.train_discriminator(
            labeled_images, lambda outputs: loss_labeled(outputs, labels), self.c_optimizer
        )

        # 2. The discriminator on real images without labels.
        d_loss_real, outputs_real = self.train_discriminator(
            unlabeled_images, lambda outputs: loss_real(self.logits(outputs)), self.d_optimizer
        )

        # 3. The discriminator on generated images, which the generator makes as it will when it is
        # done: normalised by its running statistics.
        fake_images = self.generator(noise_for_d, training=False)
        d_loss_fake, outputs_fake = self.train_discriminator(
            fake_images, lambda outputs: loss_fake(self.logits(outputs)), self.d_optimizer
        )

        # 4. The generator, whose images shall pass for real ones.
        with tf.GradientTape() as tape:
            fake_images = self.generator(noise_for_g, training=True)
            g_loss = loss_real(self.logits(self.discriminator(fake_images, training=True)))
        self.update_generator(tape, g_loss)

        self.count(c_loss, outputs, labels, d_loss_real, outputs_real, d_loss_fake, outputs_fake)
        self.g_loss.update_state(g_loss)
        return {m.name: m.result() for m in self.metrics}

    def prepare(self, batch):
        """Makes what is random in this iteration's networks depend on it, and augments."""
        set_random_layers(self, self.seed, self.iterations)
        if self.augmentation is None:
            return batch
        (labeled_images, labels), unlabeled_images = batch
        labeled_images = self.augmentation(labeled_images, training=True)
        return (labeled_images, labels), self.augmentation(unlabeled_images, training=True)

    def logits(self, outputs):
        """Logits of the classes, n×classes, from what the discriminator gives."""
        return class_logits(outputs, self.classes)

    def train_discriminator(self, images, loss_function, optimizer):
        """One update; gives the loss, a scalar, and the discriminator's outputs."""
        with tf.GradientTape() as tape:
            outputs = self.discriminator(images, training=True)
            loss = loss_function(outputs)
        self.update_discriminator(tape, loss, optimizer)
        return loss, outputs

    def update_discriminator(self, tape, loss, optimizer):
        variables = self.discriminator.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)

    def update_generator(self, tape, loss):
        variables = self.generator.trainable_variables
        self.g_optimizer.apply(tape.gradient(loss, variables), variables)

    def count(self, c_loss, outputs, labels, d_loss_real, outputs_real, d_loss_fake, outputs_fake):
        """Adds an iteration to the metrics of the discriminator's two heads.

        Args:
            c_loss, d_loss_real, d_loss_fake: scalars.
            outputs, outputs_real, outputs_fake: of the discriminator, for the three kinds.
            labels: of the labelled ones, n.
        """
        digits = ops.cast(ops.argmax(self.logits(outputs), axis=-1), labels.dtype)
        accuracy_real = ops.mean(ops.cast(real_logit(self.logits(outputs_real)) > 0, "float32"))
        accuracy_fake = ops.mean(ops.cast(real_logit(self.logits(outputs_fake)) <= 0, "float32"))
        self.c_loss.update_state(c_loss)
        self.c_accuracy.update_state(ops.mean(ops.cast(digits == labels, "float32")))
        self.d_loss.update_state((d_loss_real + d_loss_fake) / 2)
        self.d_accuracy.update_state((accuracy_real + accuracy_fake) / 2)
        self.d_accuracy_real.update_state(accuracy_real)
        self.d_accuracy_fake.update_state(accuracy_fake)


class FeatureMatchingSGAN(SGAN):
    """The same game with another aim for the generator (Salimans et al. 2016, section 3.1).

    The generator is no longer to win. It is to match what the discriminator's last hidden layer
    sees in real images on average. Its images look worse for it; but they lie around the real ones
    on all sides, and so teach the discriminator where the classes end.

    The discriminator learns from the three kinds of images in one update, on the sum of the losses.
    Batch normalisation in the discriminator would mix the kinds, so it should have none.

    Differences from the authors' code, each to save time or lines: the same generated images serve
    both networks; the real images' features are those of the discriminator's own update, before it;
    and features are taken after the last layer's noise.
    """

    def __init__(self, generator, discriminator, augmentation=None, classes=10, seed=0):
        super().__init__(generator, discriminator, augmentation, classes, seed)
        self.features_and_outputs = keras.Model(
            discriminator.inputs[0], [discriminator.layers[-1].input, discriminator.outputs[0]]
        )

    def train_step(self, batch):
        (labeled_images, labels), real_images = self.prepare(batch)
        noise = self.noise(self.iterations, tf.shape(real_images)[0])[0]

        with tf.GradientTape() as g_tape:
            fake_images = self.generator(noise, training=True)
            with g_tape.stop_recording():  # the generator's gradient needs none of this update
                # 1. The discriminator, on labelled, unlabelled and generated images.
                images = ops.concatenate([labeled_images, real_images, fake_images])
                sizes = [tf.shape(x)[0] for x in (labeled_images, real_images, fake_images)]
                with tf.GradientTape() as d_tape:
                    features, outputs = self.features_and_outputs(images, training=True)
                    outputs, outputs_real, outputs_fake = tf.split(outputs, sizes)
                    c_loss = loss_labeled(outputs, labels)
                    d_loss_real = loss_real(self.logits(outputs_real))
                    d_loss_fake = loss_fake(self.logits(outputs_fake))
                    loss = c_loss + (d_loss_real + d_loss_fake) / 2
                self.update_discriminator(d_tape, loss, self.d_optimizer)
                real_features = tf.split(ops.cast(features, "float32"), sizes)[1]

            # 2. The generator, whose images shall look like real ones on average.
            fake_features, _ = self.features_and_outputs(fake_images, training=True)
            g_loss = loss_features(real_features, ops.cast(fake_features, "float32"))
        self.update_generator(g_tape, g_loss)

        self.count(c_loss, outputs, labels, d_loss_real, outputs_real, d_loss_fake, outputs_fake)
        self.g_loss.update_state(g_loss)
        return {m.name: m.result() for m in self.metrics}
