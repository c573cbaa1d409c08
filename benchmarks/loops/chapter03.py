"""The loops of chapter 3, the GAN."""

from .gan import books_gan, our_gan


class Chapter03:
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
        return our_gan(gan, train.BOOK, dataset.x_train, steps_per_execution=100)


LOOPS = {"": Chapter03}
PUBLISHED = {  # by the notebooks of the English and the Korean edition
    "book": {"d_loss": "0.367, 0.375", "d_accuracy": "0.828, 0.844", "g_loss": "2.97, 2.51"}
}
