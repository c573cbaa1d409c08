"""The loops of chapter 7, SGAN."""


class Chapter07:
    precisions = ("float32", "mixed_bfloat16")
    books_iterations = 20
    our_iterations = 60
    short = ("--iterations", "40", "--baseline-epochs", "1")

    @staticmethod
    def books(dataset):
        """The notebook's: a network compiled once for each head, and the generator through it."""
        import keras
        import numpy as np
        from keras import layers, ops

        from chapter07_sgan import networks, train
        from common import data

        random = np.random.default_rng(0)
        batch_size, labeled = train.BOOK.batch_size, train.BOOK.labeled
        images, labels = data.scale(dataset.x_train), np.eye(10)[dataset.y_train]
        real, fake = np.ones((batch_size, 1)), np.zeros((batch_size, 1))

        def probability(logits):
            return 1 - 1 / (ops.sum(ops.exp(logits), axis=-1, keepdims=True) + 1)

        generator = networks.build_generator()
        core = networks.build_discriminator(batch_norm=train.BOOK.discriminator_batch_norm)
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

        discriminator = networks.build_discriminator(batch_norm=train.BOOK.discriminator_batch_norm)
        gan = SGAN(fuse(networks.build_generator()), fuse(discriminator))
        adams = {f"{name}_optimizer": keras.optimizers.Adam() for name in ("c", "d", "g")}
        gan.compile(**adams, steps_per_execution=20)
        n, batch_size = train.BOOK.labeled, train.BOOK.batch_size
        settings = {"seed": 0}
        images, labels = dataset.x_train, dataset.y_train
        batches = tf.data.Dataset.zip(
            stream.batches(images[:n], batch_size, labels=labels[:n], **settings),
            stream.batches(images[n:], batch_size, **settings),
        )
        return lambda iterations: gan.fit(
            batches, steps_per_epoch=iterations, shuffle=False, verbose=0
        )


LOOPS = {"": Chapter07}
MEASURED = ["quick", "feature-matching", "book"]
PUBLISHED = {
    # By the Korean edition's notebook; the English edition's has 0.8941 and 0.6922.
    "book": {"test_accuracy": "0.9103", "baseline_test_accuracy": "0.6702"},
    "feature-matching": {"test_accuracy": "0.9907 (Salimans et al. 2016)"},
}
