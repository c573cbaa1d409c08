"""The loops of chapter 2, the VAE."""


class Chapter02:
    precisions = ("float32",)
    books_iterations = 600
    our_iterations = 2400
    short = ("--epochs", "2")

    @staticmethod
    def books(dataset):
        """The notebook's model with its layers and loss and a sigmoid at its end, in Keras' fit."""
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
        size = train.BOOK.batch_size

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

        size = train.BOOK.batch_size
        vae = VAE(networks.build_encoder(), networks.build_decoder())
        vae.compile(keras.optimizers.RMSprop(), steps_per_execution=100, jit_compile=train.BOOK.xla)
        batches = stream.batches(dataset.x_train, size, seed=0, value_range=(0.0, 1.0))
        return lambda iterations: vae.fit(
            batches, steps_per_epoch=iterations, shuffle=False, verbose=0
        )


LOOPS = {"": Chapter02}
PUBLISHED = {"book": {"loss": "149.19, 149.0"}}  # by the English and the Korean edition's notebook
