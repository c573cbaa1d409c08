"""The loops of chapter 9, CycleGAN."""


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
            return keras.optimizers.Adam(BOOK.learning_rate, BOOK.beta_1)

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
        weights = [1, 1] + 2 * [BOOK.lambda_cycle] + 2 * [BOOK.lambda_identity]
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

        gan = CycleGAN(*cls.networks())
        adams = [keras.optimizers.Adam(BOOK.learning_rate, BOOK.beta_1) for _ in range(3)]
        gan.compile(*adams, steps_per_execution=10)
        batches = tf.data.Dataset.zip(
            *(
                stream.batches(part, cls.batch_size, seed=seed)
                for seed, part in enumerate(cls.images())
            )
        )
        return lambda iterations: gan.fit(
            batches, steps_per_epoch=iterations, shuffle=False, verbose=0
        )


class Chapter09Batch8(Chapter09):
    short = (*Chapter09.short[:-4], "--batch-size", "8", "--epochs", "20")
    batch_size = 8


LOOPS = {"": Chapter09, "batch 8": Chapter09Batch8}
MEASURED = ["quick"]  # book takes a GPU
