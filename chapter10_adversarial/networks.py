"""The small classifier of chapter 10: pure, no data, no files, no flags."""

import keras
from keras import layers

CLASSES = 10


def build_classifier(
    filters: int = 32, units: int = 128, binarization: float = 0, convolutions: int = 2
) -> keras.Model:
    """Images, n×28×28×1 in [0, 1], to logits, n×10.

    With 16 filters, 100 units and two convolutions that of Wong et al. (2020), but for the kernels:
    theirs are 4×4. Strides in place of pooling make it fast: an attack goes through it 40 times.

    Args:
        filters: of the first half of the convolutions; those of the second half have twice as many.
        units: of the hidden dense layer.
        binarization: k of the sigmoid 1 / (1 + exp(-k(x - 0.5))) that pixels go through first. It
            makes dark grey black and light grey white ("differentiable binarization", Liao et al.
            2020). Above 33, white pixels have no gradient in float32 any more, which would mask the
            gradient instead of making the network robust. With 0 there is no sigmoid.
        convolutions: 2, of 5×5, each with a stride of 2; or 4, of 3×3, the second and fourth with a
            stride of 2.

    Raises:
        ValueError: another number of convolutions.
    """
    if convolutions not in (2, 4):
        raise ValueError(f"{convolutions} convolutions: there are networks with 2 and with 4")
    images = x = keras.Input((28, 28, 1))
    if binarization:
        x = layers.Rescaling(binarization, -binarization / 2, dtype="float32")(x)
        x = layers.Activation("sigmoid", dtype="float32")(x)
    for features in (filters, 2 * filters):  # 28×28 → 14×14, 14×14 → 7×7
        if convolutions == 4:
            x = layers.Conv2D(features, 3, padding="same", activation="relu")(x)
            x = layers.Conv2D(features, 3, 2, padding="same", activation="relu")(x)
        else:
            x = layers.Conv2D(features, 5, 2, padding="same", activation="relu")(x)
    x = layers.Dense(units, activation="relu")(layers.Flatten()(x))
    logits = layers.Dense(CLASSES, dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name="classifier")
