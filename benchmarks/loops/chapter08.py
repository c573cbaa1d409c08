"""The loops of chapter 8, the conditional GAN."""

from .gan import our_gan


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
        batch_size = train.BOOK.batch_size
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
        return our_gan(
            gan, train.BOOK, dataset.x_train, steps_per_execution=10, labels=dataset.y_train
        )


LOOPS = {"": Chapter08}
PUBLISHED = {  # by the notebooks of the English and the Korean edition
    "book": {"d_loss": "0.013, 0.718", "d_accuracy": "1, 0.125", "g_loss": "4.4, 0.67"}
}
