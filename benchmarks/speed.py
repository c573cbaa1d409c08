"""Compares the speed of a chapter's training with the book's own loop, in turns in one run.

    python benchmarks/speed.py                       every chapter
    python benchmarks/speed.py chapter03_gan         one

"The book's loop" is the loop of the published notebooks, with the one change that makes a GAN's
learn on Keras 3: the discriminator is traced while it is trainable. (Its batch normalisation is
frozen with it in the generator's update, which leaves that loop less to do.) Both train on the same
images: the bundled sample, unless --data-dir names a folder with MNIST. Times depend on the machine
and on what else it does, so the two take turns, and what counts is their ratio. Each has a process
of its own, as ours runs with deterministic operations and the book's loop does not.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))
ROUNDS = 5


def books_gan_loop(generator, discriminator, images, batch_size):
    """The iteration of the notebooks of chapters 3 and 4.

    Args:
        generator, discriminator: built networks; the discriminator ends in a sigmoid.
        images: float, in [-1, 1].

    Returns:
        A function of the iterations to do.
    """
    import keras
    import numpy as np

    random = np.random.default_rng(0)
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
        images / 127.5 - 1.0,
        settings["batch_size"],
    )


def our_gan(gan, settings, images, block):
    """Our loop with the book's optimisers."""
    import keras

    from common import stream

    gan.compile(
        keras.optimizers.Adam(),
        keras.optimizers.Adam(),
        steps_per_execution=block,
        jit_compile=settings.get("xla", False),
    )
    batches = stream.batches(images, settings["batch_size"], seed=0, block=block)
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
    def books(images):
        from chapter03_gan import networks, train

        return books_gan(networks, train.BOOK, images)

    @staticmethod
    def ours(images):
        from chapter03_gan import networks, train
        from chapter03_gan.gan import GAN

        gan = GAN(networks.build_generator(), networks.build_discriminator())
        return our_gan(gan, train.BOOK, images, block=100)


class Chapter02:
    precisions = ("float32",)
    books_iterations = 600
    our_iterations = 2400
    short = ("--epochs", "2")

    @staticmethod
    def books(images):
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
    def ours(images):
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
        batches = stream.batches(images, size, seed=0, block=block, value_range=(0.0, 1.0))
        return lambda iterations: vae.fit(
            batches, steps_per_epoch=iterations, shuffle=False, verbose=0
        )


class Chapter04:
    precisions = ("float32", "mixed_bfloat16")
    books_iterations = 20
    our_iterations = 30
    short = ("--iterations", "20")

    @staticmethod
    def books(images):
        from chapter04_dcgan import networks, train

        return books_gan(networks, train.BOOK, images)

    @staticmethod
    def ours(images):
        from chapter04_dcgan import networks, train
        from chapter04_dcgan.dcgan import DCGAN
        from common.batch_norm import fuse

        gan = DCGAN(fuse(networks.build_generator()), fuse(networks.build_discriminator()))
        return our_gan(gan, train.BOOK, images, block=10)


CHAPTERS = {
    "chapter02_autoencoder": Chapter02,
    "chapter03_gan": Chapter03,
    "chapter04_dcgan": Chapter04,
}


def prepare(chapter, which, precision, data_dir):
    """In a process of its own: makes one of the two loops and compiles it."""
    global train
    from common import data, device

    if which == "ours":
        device.setup(seed=0, precision=precision)
    images = data.load("mnist" if data_dir else "sample", data_dir).x_train
    train = getattr(CHAPTERS[chapter], which)(images)
    train(CHAPTERS[chapter].our_iterations if which == "ours" else 5)


def milliseconds(iterations):
    """In the same process: milliseconds an iteration."""
    started = time.perf_counter()
    train(iterations)
    return (time.perf_counter() - started) * 1000 / iterations


def take_turns(chapter, precision, data_dir):
    """Pairs of milliseconds an iteration, the book's loop and ours, one a round."""
    with (
        ProcessPoolExecutor(1, get_context("spawn")) as books,
        ProcessPoolExecutor(1, get_context("spawn")) as ours,
    ):
        books.submit(prepare, chapter, "books", precision, data_dir).result()
        ours.submit(prepare, chapter, "ours", precision, data_dir).result()
        return [
            (
                books.submit(milliseconds, CHAPTERS[chapter].books_iterations).result(),
                ours.submit(milliseconds, CHAPTERS[chapter].our_iterations).result(),
            )
            for _ in range(ROUNDS)
        ]


def peak_memory(chapter, precision, data_dir):
    """GiB that the chapter's train.py holds at its peak, with the book's settings."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, REPOSITORY / chapter / "train.py", "--preset", "book"]
        command += ["--output-dir", f"{folder}/run", *CHAPTERS[chapter].short]
        command += ["--precision", precision]
        command += ["--data-dir", data_dir] if data_dir else ["--dataset", "sample"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{chapter}/train.py failed")
    return usage.ru_maxrss / 2**20


def main():
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flags.add_argument("chapters", nargs="*", metavar="CHAPTER", help=", ".join(CHAPTERS))
    flags.add_argument("--data-dir", metavar="DIR", help="a folder with MNIST")
    arguments = flags.parse_args()
    for name in arguments.chapters:
        if name not in CHAPTERS:
            flags.error(f"there is no chapter {name}; choose from {', '.join(CHAPTERS)}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"

    row = "{:<22}{:<16}{:>16}{:>10}{:>24}{:>10}"
    print(f"milliseconds an iteration, medians of {ROUNDS} turns; the book's loop is in float32")
    print(row.format("", "ours in", "the book's loop", "ours", "times as fast (range)", "peak GiB"))
    for name in arguments.chapters or CHAPTERS:
        for precision in CHAPTERS[name].precisions:
            turns = take_turns(name, precision, arguments.data_dir)
            ratios = [books / ours for books, ours in turns]
            print(
                row.format(
                    name,
                    precision,
                    f"{statistics.median(books for books, _ in turns):.1f}",
                    f"{statistics.median(ours for _, ours in turns):.2f}",
                    f"{statistics.median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f})",
                    f"{peak_memory(name, precision, arguments.data_dir):.2f}",
                ),
                flush=True,
            )


if __name__ == "__main__":
    main()
