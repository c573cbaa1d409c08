"""What the loops of chapters 3, 4 and 8 have in common."""


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
        settings.batch_size,
    )


def our_gan(gan, settings, images, steps_per_execution, labels=None):
    """Our loop with the book's optimisers."""
    import keras

    from common import stream

    gan.compile(
        keras.optimizers.Adam(),
        keras.optimizers.Adam(),
        steps_per_execution=steps_per_execution,
        jit_compile=getattr(settings, "xla", False),
    )
    batches = stream.batches(images, settings.batch_size, labels=labels, seed=0)
    return lambda iterations: gan.fit(batches, steps_per_epoch=iterations, shuffle=False, verbose=0)
