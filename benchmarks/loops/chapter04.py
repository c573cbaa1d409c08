"""The loops of chapter 4, DCGAN."""

from .gan import books_gan, our_gan


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
        return our_gan(gan, train.BOOK, dataset.x_train, steps_per_execution=10)


LOOPS = {"": Chapter04}
PUBLISHED = {  # by the notebooks of the English and the Korean edition
    "book": {"d_loss": "0.058, 0.380", "d_accuracy": "0.984, 0.832", "g_loss": "4.25, 2.05"}
}
