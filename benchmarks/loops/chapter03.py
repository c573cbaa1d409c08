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
        return our_gan(gan, train.BOOK, dataset.x_train, block=100)
