"""The two loops of each chapter that `speed.py` compares: the book's own, and ours.

"The book's loop" is the loop of the published notebooks, with the one change that makes a GAN's
learn on Keras 3: the discriminator is traced while it is trainable. (Its batch normalisation is
frozen with it in the generator's update, which leaves that loop less to do.)
"""


def books_gan_loop(generator, discriminator, images, batch_size):
    """The iteration of the notebooks of chapters 3 and 4.

    Args:
        generator, discriminator: built networks; the discriminator ends in a sigmoid.
        images: uint8, n×28×28×1.

    Returns:
        A function of the iterations to do.
    """
    import keras
    import numpy as np

    from common import data

    random = np.random.default_rng(0)
    images = data.scale(images)
    latent_dim = generator.input_shape[-1]
    real, fake = np.ones((batch_size, 1)), np.zeros((batch_size, 1))
    discriminator.compile(
        loss="binary_crossentropy", optimizer=keras.optimizers.Adam(), metrics=["accuracy"]
    )
    discriminator.train_on_batch(images[:batch_size], real)  # traced while trainable
    discriminator.trainable = False
    combined = keras.Sequential([generator, discriminator])
    combined.compile(loss="binary_crossentropy", optimizer=keras.optimizers.Adam())

    def train(iterations):
        for _ in range(iterations):
            batch = images[random.integers(0, len(images), batch_size)]
            noise = random.normal(0, 1, (batch_size, latent_dim))
            generated = generator.predict(noise, verbose=0)
            discriminator.train_on_batch(batch, real)
            discriminator.train_on_batch(generated, fake)
            noise = random.normal(0, 1, (batch_size, latent_dim))
            combined.train_on_batch(noise, real)

    return train


def books_gan(networks, settings, images):
    """The book's loop on a chapter's networks, with the sigmoid that ours leave to the loss."""
    import keras

    return books_gan_loop(
        networks.build_generator(),
        keras.Sequential([networks.build_discriminator(), keras.layers.Activation("sigmoid")]),
        images,
        settings["batch_size"],
    )


def our_gan(gan, settings, images, block, labels=None):
    """Our loop with the book's optimisers."""
    import keras

    from common import stream

    gan.compile(
        keras.optimizers.Adam(),
        keras.optimizers.Adam(),
        steps_per_execution=block,
        jit_compile=settings.get("xla", False),
    )
    batches = stream.batches(images, settings["batch_size"], labels=labels, seed=0, block=block)
    return lambda iterations: gan.fit(batches, steps_per_epoch=iterations, shuffle=False, verbose=0)


class Chapter03:
    """How a chapter's two loops are made, and what is measured of them.

    The iterations of each in one turn, what ours may compute in (the book's loop is float32), and
    train.py's flags for a run that is long enough to reach its peak of memory.
    """

    precisions = ("float32",)
    books_iterations = 100
    our_iterations = 2000
    short = ("--iterations", "1000")

    @staticmethod
    def books(dataset):
        from chapter03_gan import networks, train

        return books_gan(networks, train.BOOK, dataset.x_train)

    @staticmethod
    def ours(dataset):
        from chapter03_gan import networks, train
        from chapter03_gan.gan import GAN

        gan = GAN(networks.build_generator(), networks.build_discriminator())
        return our_gan(gan, train.BOOK, dataset.x_train, block=100)


class Chapter02:
    precisions = ("float32",)
    books_iterations = 600
    our_iterations = 2400
    short = ("--epochs", "2")

    @staticmethod
    def books(dataset):
        """The notebook's model, trained by Keras' fit: its layers, its loss, the sigmoid in it."""
        import keras
        from keras import layers, ops

        from chapter02_autoencoder import networks, train

        class Sampling(layers.Layer):
            def call(self, inputs):
                z_mean, z_log_var = inputs
                kl = -0.5 * ops.sum(1 + z_log_var - z_mean**2 - ops.exp(z_log_var), axis=-1)
                self.add_loss(ops.mean(kl) / 784)
                return z_mean + ops.exp(z_log_var / 2) * keras.random.normal(ops.shape(z_mean))

        encoder = networks.build_encoder()
        codes = Sampling()(encoder.output)
        decoded = layers.Activation("sigmoid")(networks.build_decoder()(codes))
        vae = keras.Model(encoder.input, decoded)
        vae.compile(optimizer="rmsprop", loss="binary_crossentropy", jit_compile=False)
        images = dataset.x_train
        flat = images.reshape(len(images), -1).astype("float32") / 255
        size = train.BOOK["batch_size"]

        def fit(iterations):
            for _ in range(iterations * size // len(flat)):
                vae.fit(flat, flat, batch_size=size, shuffle=True, verbose=0)
            rest = iterations * size % len(flat)
            if rest:
                vae.fit(flat[:rest], flat[:rest], batch_size=size, shuffle=True, verbose=0)

        return fit

    @staticmethod
    def ours(dataset):
        import keras

        from chapter02_autoencoder import networks, train
        from chapter02_autoencoder.vae import VAE
        from common import stream

        size = train.BOOK["batch_size"]
        vae = VAE(networks.build_encoder(), networks.build_decoder())
        block = stream.steps_per_block(Chapter02.our_iterations, size)
        vae.compile(
            keras.optimizers.RMSprop(), steps_per_execution=block, jit_compile=train.BOOK["xla"]
        )
        batches = stream.batches(dataset.x_train, size, seed=0, block=block, value_range=(0.0, 1.0))
        return lambda iterations: vae.fit(
            batches, steps_per_epoch=iterations, shuffle=False, verbose=0
        )


class Chapter04:
    precisions = ("float32", "mixed_bfloat16")
    books_iterations = 20
    our_iterations = 30
    short = ("--iterations", "20")

    @staticmethod
    def books(dataset):
        from chapter04_dcgan import networks, train

        return books_gan(networks, train.BOOK, dataset.x_train)

    @staticmethod
    def ours(dataset):
        from chapter04_dcgan import networks, train
        from chapter04_dcgan.dcgan import DCGAN
        from common.batch_norm import fuse

        gan = DCGAN(fuse(networks.build_generator()), fuse(networks.build_discriminator()))
        return our_gan(gan, train.BOOK, dataset.x_train, block=10)


class Chapter07:
    precisions = ("float32", "mixed_bfloat16")
    books_iterations = 20
    our_iterations = 60
    short = ("--iterations", "40", "--baseline-epochs", "1")

    @staticmethod
    def books(dataset):
        """The notebook's: one core, compiled once for each head, and the generator through it."""
        import keras
        import numpy as np
        from keras import layers, ops

        from chapter07_sgan import networks, train
        from common import data

        random = np.random.default_rng(0)
        batch_size, labeled = train.BOOK["batch_size"], train.BOOK["labeled"]
        images, labels = data.scale(dataset.x_train), np.eye(10)[dataset.y_train]
        real, fake = np.ones((batch_size, 1)), np.zeros((batch_size, 1))

        def probability(logits):
            return 1 - 1 / (ops.sum(ops.exp(logits), axis=-1, keepdims=True) + 1)

        generator, core = networks.build_generator(), networks.build_discriminator()
        classifier = keras.Sequential([core, layers.Activation("softmax")])
        classifier.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
        detector = keras.Sequential([core, layers.Lambda(probability)])
        detector.compile("adam", "binary_crossentropy")
        classifier.train_on_batch(images[:batch_size], labels[:batch_size])
        detector.train_on_batch(images[:batch_size], real)  # both traced while trainable
        core.trainable = False
        combined = keras.Sequential([generator, detector])
        combined.compile("adam", "binary_crossentropy")

        def train_loop(iterations):
            for _ in range(iterations):
                chosen = random.integers(0, labeled, batch_size)
                unlabeled = images[random.integers(labeled, len(images), batch_size)]
                noise = random.normal(0, 1, (batch_size, 100))
                generated = generator.predict(noise, verbose=0)
                classifier.train_on_batch(images[chosen], labels[chosen])
                detector.train_on_batch(unlabeled, real)
                detector.train_on_batch(generated, fake)
                noise = random.normal(0, 1, (batch_size, 100))
                combined.train_on_batch(noise, real)

        return train_loop

    @staticmethod
    def ours(dataset):
        import keras
        import tensorflow as tf

        from chapter07_sgan import networks, train
        from chapter07_sgan.sgan import SGAN
        from common import stream
        from common.batch_norm import fuse

        gan = SGAN(fuse(networks.build_generator()), fuse(networks.build_discriminator()))
        adams = {f"{name}_optimizer": keras.optimizers.Adam() for name in ("c", "d", "g")}
        gan.compile(**adams, steps_per_execution=20)
        n, settings = train.BOOK["labeled"], {"seed": 0, "block": 20}
        batch_size = train.BOOK["batch_size"]
        images, labels = dataset.x_train, dataset.y_train
        batches = tf.data.Dataset.zip(
            stream.batches(images[:n], batch_size, labels=labels[:n], **settings),
            stream.batches(images[n:], batch_size, **settings),
        )
        return lambda iterations: gan.fit(
            batches, steps_per_epoch=iterations, shuffle=False, verbose=0
        )


class Chapter08:
    precisions = ("float32", "mixed_bfloat16")
    books_iterations = 20
    our_iterations = 60
    short = ("--iterations", "40")

    @staticmethod
    def books(dataset):
        import keras
        import numpy as np

        from chapter08_cgan import networks, train
        from common import data

        random = np.random.default_rng(0)
        batch_size = train.BOOK["batch_size"]
        images = data.scale(dataset.x_train)
        real, fake = np.ones((batch_size, 1)), np.zeros((batch_size, 1))
        generator, core = networks.build_generator(), networks.build_discriminator()
        sigmoid = keras.layers.Activation("sigmoid")
        discriminator = keras.Model(core.inputs, sigmoid(core.output))
        discriminator.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        discriminator.train_on_batch(  # traced while trainable
            [images[:batch_size], dataset.y_train[:batch_size]], real
        )
        discriminator.trainable = False
        noise, label = generator.inputs
        combined = keras.Model([noise, label], discriminator([generator([noise, label]), label]))
        combined.compile("adam", "binary_crossentropy")

        def train_loop(iterations):
            for _ in range(iterations):
                chosen = random.integers(0, len(images), batch_size)
                labels = dataset.y_train[chosen]
                noise = random.normal(0, 1, (batch_size, 100))
                generated = generator.predict([noise, labels], verbose=0)
                discriminator.train_on_batch([images[chosen], labels], real)
                discriminator.train_on_batch([generated, labels], fake)
                noise = random.normal(0, 1, (batch_size, 100))
                labels = random.integers(0, 10, batch_size)
                combined.train_on_batch([noise, labels], real)

        return train_loop

    @staticmethod
    def ours(dataset):
        from chapter08_cgan import networks, train
        from chapter08_cgan.cgan import CGAN
        from common.batch_norm import fuse

        gan = CGAN(fuse(networks.build_generator()), fuse(networks.build_discriminator()))
        return our_gan(gan, train.BOOK, dataset.x_train, block=10, labels=dataset.y_train)


class Chapter09:
    """The book's U-Net at 64×64×3, batch 1, on images of noise: they take as long as any."""

    precisions = ("float32", "mixed_bfloat16")
    books_iterations = 10
    our_iterations = 20
    short = ("--dataset", "fashion_sample:sneaker:ankle-boot", "--validation-images", "790")
    short += ("--size", "64", "--batch-size", "1", "--epochs", "2")
    batch_size = 1

    @staticmethod
    def networks():
        from chapter09_cyclegan import networks

        return [networks.build_unet() for _ in "AB"] + [
            networks.build_discriminator() for _ in "AB"
        ]

    @staticmethod
    def images():
        import numpy as np

        return np.random.default_rng(0).integers(0, 256, (2, 100, 64, 64, 3), dtype=np.uint8)

    @classmethod
    def books(cls, dataset):
        """Its discriminators are traced while they are trainable, as in `books_gan_loop`."""
        import keras
        import numpy as np

        from chapter09_cyclegan.train import BOOK
        from common import data

        def adam():
            return keras.optimizers.Adam(BOOK["learning_rate"], BOOK["beta_1"])

        random = np.random.default_rng(0)
        images_A, images_B = data.scale(cls.images())
        g_AB, g_BA, d_A, d_B = cls.networks()
        g_BA.name, d_B.name = "g_BA", "d_B"  # Keras wants another for each network of a model
        real, fake = np.ones((cls.batch_size, 4, 4, 1)), np.zeros((cls.batch_size, 4, 4, 1))
        for discriminator in (d_A, d_B):
            discriminator.compile(loss="mse", optimizer=adam(), metrics=["accuracy"])
            discriminator.train_on_batch(images_A[: cls.batch_size], real)
            discriminator.trainable = False
        A, B = keras.Input((64, 64, 3)), keras.Input((64, 64, 3))
        fake_B, fake_A = g_AB(A), g_BA(B)
        combined = keras.Model(
            [A, B], [d_A(fake_A), d_B(fake_B), g_BA(fake_B), g_AB(fake_A), g_BA(A), g_AB(B)]
        )
        weights = [1, 1] + 2 * [BOOK["lambda_cycle"]] + 2 * [BOOK["lambda_identity"]]
        combined.compile(loss=["mse"] * 2 + ["mae"] * 4, loss_weights=weights, optimizer=adam())

        def train_loop(iterations):
            for _ in range(iterations):
                chosen = random.integers(0, 100, (2, cls.batch_size))
                A, B = images_A[chosen[0]], images_B[chosen[1]]
                fake_B, fake_A = g_AB.predict(A, verbose=0), g_BA.predict(B, verbose=0)
                for discriminator, images, generated in ((d_A, A, fake_A), (d_B, B, fake_B)):
                    discriminator.train_on_batch(images, real)
                    discriminator.train_on_batch(generated, fake)
                combined.train_on_batch([A, B], [real, real, A, B, A, B])

        return train_loop

    @classmethod
    def ours(cls, dataset):
        import keras
        import tensorflow as tf

        from chapter09_cyclegan.cyclegan import CycleGAN
        from chapter09_cyclegan.train import BOOK
        from common import stream

        gan = CycleGAN(*cls.networks(), (64, 64, 3))
        adams = [keras.optimizers.Adam(BOOK["learning_rate"], BOOK["beta_1"]) for _ in range(3)]
        gan.compile(*adams, steps_per_execution=10)
        batches = tf.data.Dataset.zip(
            *(
                stream.batches(part, cls.batch_size, seed=seed, block=10)
                for seed, part in enumerate(cls.images())
            )
        )
        return lambda iterations: gan.fit(
            batches, steps_per_epoch=iterations, shuffle=False, verbose=0
        )


class Chapter09Batch8(Chapter09):
    short = (*Chapter09.short[:-4], "--batch-size", "8", "--epochs", "20")
    batch_size = 8


class Chapter10:
    """PGD-40 on 1,000 images, against the adversarial-robustness-toolbox: the book's own library,
    foolbox 2, does not run on today's TensorFlow. An iteration is all 1,000 images.
    """

    precisions = ("float32",)
    books_iterations = 1
    our_iterations = 1
    short = ("--epochs", "1", "--attacked-images", "500", "--restarts", "1", "--noise-tries", "1")
    epsilon = 0.3
    batch_size = 500

    @staticmethod
    def network_and_images(dataset):
        import numpy as np

        from chapter10_adversarial import networks, train

        network = networks.build_classifier(train.BOOK["filters"], train.BOOK["units"])
        return network, dataset.x_test[:1000].astype(np.float32) / 255, dataset.y_test[:1000]

    @classmethod
    def books(cls, dataset):
        network, images, labels = cls.network_and_images(dataset)
        generate = toolbox_pgd(network, cls.epsilon, cls.batch_size)

        def attack(iterations):
            for _ in range(iterations):
                generate(images, labels)

        return attack

    @classmethod
    def ours(cls, dataset):
        from chapter10_adversarial import attacks

        network, images, labels = cls.network_and_images(dataset)

        def attack(iterations):
            for _ in range(iterations):
                attacks.pgd(
                    logits=network,
                    images=images,
                    labels=labels,
                    epsilon=cls.epsilon,
                    bounds=(0, 1),
                    batch_size=cls.batch_size,
                ).numpy()

        return attack


def toolbox_pgd(network, epsilon, batch_size):
    """The adversarial-robustness-toolbox's PGD with the settings of ours: 40 steps of epsilon / 30
    from a random start, L∞. A function of images and labels.
    """
    import keras
    from art.attacks.evasion import ProjectedGradientDescent
    from art.estimators.classification import TensorFlowV2Classifier

    classifier = TensorFlowV2Classifier(
        model=network,
        nb_classes=network.output_shape[-1],
        input_shape=network.input_shape[1:],
        loss_object=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        clip_values=(0, 1),
    )
    attack = ProjectedGradientDescent(
        classifier,
        eps=epsilon,
        eps_step=epsilon / 30,
        max_iter=40,
        num_random_init=1,
        batch_size=batch_size,
        verbose=False,
    )
    return attack.generate


CHAPTERS = {
    "chapter02_autoencoder": Chapter02,
    "chapter03_gan": Chapter03,
    "chapter04_dcgan": Chapter04,
    "chapter07_sgan": Chapter07,
    "chapter08_cgan": Chapter08,
    "chapter09_cyclegan": Chapter09,
    "chapter09_cyclegan batch 8": Chapter09Batch8,
    "chapter10_adversarial": Chapter10,
}
