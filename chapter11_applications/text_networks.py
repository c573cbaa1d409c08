"""The networks of StackGAN (Zhang et al. 2017), small: text encoder, two generators, discriminator.

Captions come as words, numbers in `captions.VOCABULARY`, seven a caption. The paper's encoder is a
network over the characters of free text that was trained before, with other captions; here the
grammar has a place for each word, and embeddings with a dense layer are learned with the GAN.
"""

import keras
from keras import layers

from chapter11_applications.captions import FACTS, PLACES, VOCABULARY

WORDS = len(PLACES)
EMBEDDING = 64
FEATURES = 256  # of a caption, and of an image
SLOPE = 0.2


def build_text_encoder(condition_dim: int) -> keras.Model:
    """Words to a normal distribution of conditions: n×7 to n×2·condition_dim.

    The first half of the outputs are means, the second half logarithms of variances, as in a VAE's
    encoder.
    """
    words = keras.Input((WORDS,), dtype="int32", name="words")
    x = layers.Reshape((WORDS * EMBEDDING,))(_words_in_relation(words))
    distribution = layers.Dense(2 * condition_dim, dtype="float32")(x)
    return keras.Model(words, distribution, name="text_encoder")


def build_first_generator(latent_dim: int, condition_dim: int) -> keras.Model:
    """Stage I: noise, n×latent_dim, and condition, n×condition_dim, to n×16×16×1 in (-1, 1)."""
    noise = keras.Input((latent_dim,), name="noise")
    condition = keras.Input((condition_dim,), name="condition")
    x = layers.Concatenate()([noise, condition])
    x = layers.Dense(4 * 4 * 128)(x)
    x = _normalize(layers.Reshape((4, 4, 128))(x))  # → 4×4×128
    x = _normalize(layers.Conv2DTranspose(64, 4, strides=2, padding="same")(x))  # → 8×8×64
    x = _normalize(layers.Conv2D(64, 3, padding="same")(x))
    x = _normalize(layers.Conv2DTranspose(32, 4, strides=2, padding="same")(x))  # → 16×16×32
    return keras.Model([noise, condition], _image(x), name="first_generator")


def build_second_generator(condition_dim: int) -> keras.Model:
    """Stage II: stage I's image, n×16×16×1, and condition to n×32×32×1 in (-1, 1).

    It has no noise of its own: what the caption leaves open, stage I has chosen.
    """
    small = keras.Input((16, 16, 1), name="small_image")
    condition = keras.Input((condition_dim,), name="condition")
    fine = _normalize(layers.Conv2D(32, 3, padding="same")(small))  # → 16×16×32
    coarse = _normalize(layers.Conv2D(64, 4, strides=2, padding="same")(fine))  # → 8×8×64
    # The paper has the same condition at each place; here each place has its own share of it.
    said = layers.Reshape((8, 8, 32))(layers.Dense(8 * 8 * 32)(condition))
    x = layers.Concatenate()([coarse, said])  # → 8×8×96
    x = _normalize(layers.Conv2D(64, 3, padding="same")(x))
    x = _residual_block(x)
    x = _normalize(layers.Conv2DTranspose(32, 4, strides=2, padding="same")(x))  # → 16×16×32
    x = layers.Add()([x, fine])  # what stage I has drawn, past the coarse layers
    x = _normalize(layers.Conv2D(32, 3, padding="same")(x))
    x = _normalize(layers.Conv2DTranspose(16, 4, strides=2, padding="same")(x))  # → 32×32×16
    return keras.Model([small, condition], _image(x), name="second_generator")


def build_discriminator(side: int) -> keras.Model:
    """How well captions fit an image, and what the image shows.

    Takes images, n×side×side×1 in [-1, 1], and the words of k captions for each, n×k×7. Gives their
    logits, n×k, whose sigmoid is the probability that the image is real and the caption is its own;
    and logits of all values of `captions.FACTS`, n×30.

    Args:
        side: 16 or 32.
    """
    image = keras.Input((side, side, 1), name="image")
    words = keras.Input((None, WORDS), dtype="int32", name="words")
    x = image
    for filters, strides in ((32, side // 16), (64, 2), (128, 2)):  # 32×32 → 16×16 → 8×8 → 4×4
        x = layers.Conv2D(filters, 3, strides, padding="same")(x)
        x = layers.LeakyReLU(negative_slope=SLOPE)(x)
    x = layers.Flatten()(x)  # → 2048
    facts = layers.Dense(sum(FACTS.values()), dtype="float32", name="facts")(x)
    x = layers.LeakyReLU(negative_slope=SLOPE)(layers.Dense(FEATURES)(x))
    captions = layers.Reshape((-1, WORDS * EMBEDDING))(_words_in_relation(words))  # n×k×448
    captions = layers.LeakyReLU(negative_slope=SLOPE)(layers.Dense(FEATURES)(captions))
    captions = layers.Dense(FEATURES)(captions)  # n×k×256
    # A projection (Miyato & Koyama 2018): captions fit that point where the image's features do.
    fit = layers.Dot(axes=(2, 1), dtype="float32")([captions, x]) / FEATURES**0.5  # n×k
    real = layers.Dense(1, dtype="float32", name="real")(x)  # n×1, the same for all captions
    return keras.Model([image, words], [fit + real, facts], name=f"discriminator_{side}")


def _words_in_relation(words):
    """Words, …×7, to vectors, …×7×64: each word's own, multiplied by that of the relation.

    Which digit "a three" is, the left or the right one, depends on the relation, and on no other
    word. An encoder that cannot mix the two digits has nothing to learn by heart for two of them
    together, and so draws those that it has never seen so combined as well as others.
    """
    # Keras' own initial embeddings are tiny, and their products would be more so.
    normal = keras.initializers.RandomNormal(stddev=1.0)
    vectors = layers.Embedding(len(VOCABULARY), EMBEDDING, normal)(words)
    relation = layers.Embedding(len(VOCABULARY), EMBEDDING, normal)(words[..., 3:4])  # …×1×64
    return layers.Multiply()([vectors, relation])


def _normalize(x):
    return layers.ReLU()(layers.BatchNormalization()(x))


def _residual_block(x):
    """Two convolutions whose result is added to what comes in (He et al. 2016)."""
    filters = x.shape[-1]
    change = _normalize(layers.Conv2D(filters, 3, padding="same")(x))
    change = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(change))
    return layers.ReLU()(layers.Add()([x, change]))


def _image(x):
    x = layers.Conv2D(1, 3, padding="same")(x)
    return layers.Activation("tanh", dtype="float32")(x)
