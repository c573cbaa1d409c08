"""Ten training steps of each chapter on one device and on several; what the weights differ by.

    python tests/replicas_step.py 2 10

prints a line of JSON for each case: by how much the weights of two devices differ after ten steps
from those of one device, in the variable where that is most, as a share of how far the steps have
moved it; and by how much the reported means differ, as a share of the larger of these and 1. It is
a program of its own, as TensorFlow divides a CPU into devices only when it starts. The optimiser is
plain SGD: Adam would hide a gradient that is summed where it should be averaged.

Where rounding turns the sign of an activation or of an attacked pixel, a network takes another way;
that makes a share of some hundredths in a few steps. A wrong factor makes one of a half or more.
"""

import json
import os
import sys
from pathlib import Path

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
os.environ["CUDA_VISIBLE_DEVICES"] = ""
sys.path[0] = str(Path(__file__).resolve().parent.parent)

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from common import device, stream  # noqa: E402
from common.batch_norm import fuse  # noqa: E402
from common.replicas import ONE, Replicas  # noqa: E402

BATCH = 16
RATE = 1e-3
LEAST = 1e-6  # a weight: movements below this are rounding, as of biases before a normalisation


def sgd(rate=RATE):
    return keras.optimizers.SGD(rate)


def digits(size=28, channels=1, seed=0):
    shape = (64, size, size, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


LABELS = np.arange(64) % 10


def batches(replicas, images=None, labels=None, size=BATCH, **settings):
    images = digits() if images is None else images
    return stream.batches(images, size, labels=labels, seed=3, replicas=replicas, **settings)


def vae():
    from chapter02_autoencoder.networks import build_decoder, build_encoder
    from chapter02_autoencoder.vae import VAE

    model = VAE(build_encoder(2), build_decoder(2))
    model.compile(sgd(1e-5))
    return model, lambda replicas: batches(replicas, value_range=(0.0, 1.0))


def gan():
    from chapter03_gan.gan import GAN
    from chapter03_gan.networks import build_discriminator, build_generator

    model = GAN(build_generator(8), build_discriminator())
    model.compile(sgd(), sgd())
    return model, batches


def averaged_gan():
    from chapter03_gan.averaging import AveragedGAN
    from chapter03_gan.networks import build_discriminator, build_generator

    networks = build_generator(8), build_discriminator()
    model = AveragedGAN(*networks, decay=0.5)
    model.compile(sgd(), sgd())
    return model, batches


def dcgan():
    from chapter04_dcgan.dcgan import DCGAN
    from chapter04_dcgan.networks import build_discriminator, build_generator

    model = DCGAN(fuse(build_generator(8)), fuse(build_discriminator()))
    model.compile(sgd(), sgd())
    return model, batches


def dcgan_with_r1():
    from chapter04_dcgan.networks import build_discriminator, build_generator
    from chapter04_dcgan.variants import RegularizedDCGAN

    networks = fuse(build_generator(8)), fuse(build_discriminator(batch_norm=False))
    model = RegularizedDCGAN(*networks, r1=1.0, shared_fakes=True)
    model.compile(sgd(), sgd())
    return model, batches


def game(name, steps=1, **changes):
    from chapter05_training import train as program

    config = program.PRESETS["smoke"].replace(game=[name], batch_size=BATCH, **changes).of(name)
    model = program.build(config)
    model.compile(sgd(), sgd())
    return model, lambda replicas: batches(replicas, size=BATCH * config.critic_steps)


def wgan_gp():
    return game("wgan-gp")


def wgan_with_clipped_weights():
    return game("wgan")


def hinge_with_spectral_normalization():
    return game("hinge")


def relativistic():
    return game("relativistic")


def hacks():
    return game(
        "non-saturating",
        label_noise=0.3,
        label_smoothing=0.1,
        image_noise=0.2,
        minibatch_discrimination=True,
        r1=0.0,
        feature_matching=True,
    )


def grown(model, **settings):
    from chapter06_progan.build import build_model
    from chapter06_progan.train import PRESETS

    config = PRESETS["smoke"].replace(
        model=model, batch_size=BATCH, phase_images=320, last_images=320, sample_images=160
    )
    model = build_model(config, 1, 1000)
    model.compile(sgd(), sgd(), decay=0.5, total=1000)
    model.begin(config.plan[1])
    model.images_seen.assign(config.plan[1].begin + 160)  # in the middle of the fade
    model.begin(config.plan[1])
    return model, lambda replicas: batches(replicas, digits(size=8))


def progan():
    return grown("progan")


def stylegan():
    return grown("stylegan")


def semi_supervised(**changes):
    from chapter07_sgan import variants
    from chapter07_sgan.train import PRESETS

    config = PRESETS["smoke"].replace(shift=2, **changes)
    model = variants.choose_model(config)(
        variants.choose_generator(config),
        variants.choose_discriminator(config),
        variants.choose_augmentation(config),
    )
    model.compile(*(sgd() for _ in variants.choose_optimizers(config)))

    def both(replicas):
        labeled = batches(replicas, labels=LABELS, size=8)
        return tf.data.Dataset.zip(labeled, batches(replicas))

    return model, both


def sgan():
    return semi_supervised()


def feature_matching():
    return semi_supervised(networks="dense", feature_matching=True, discriminator_batch_norm=False)


def pseudo_labels():
    return semi_supervised(
        networks="noisy-convolutional",
        rotation=12.0,
        zoom=0.1,
        feature_matching=True,
        discriminator_batch_norm=False,
        pseudo_labels=100.0,  # in the first steps, of which a part counts
        confidence=0.05,
        align_classes=True,
    )


def conditional(name):
    from chapter08_cgan import train as program

    model = program.build_gan(program.PRESETS["smoke"].replace(model=name, r1=0.0))
    model.compile(sgd(), sgd())
    return model, lambda replicas: batches(replicas, labels=LABELS)


def cgan():
    return conditional("cgan")


def acgan():
    return conditional("acgan")


def translation(**changes):
    from chapter09_cyclegan.build import build_model
    from chapter09_cyclegan.train import PRESETS

    config = PRESETS["smoke"].replace(batch_size=BATCH, pool_size=32).replace(**changes)
    model = build_model(config, (32, 32, 1))
    model.compile(sgd(), sgd(), sgd())

    def both(replicas):
        of_a, of_b = (batches(replicas, digits(32, seed=seed)) for seed in (1, 2))
        return tf.data.Dataset.zip(of_a, of_b)

    return model, both


def cyclegan():
    return translation(pool_size=0, augmentation="flip")


def cyclegan_of_the_paper():  # with pools and jitter
    return translation(separate_updates=False)


def discogan():
    from chapter09_cyclegan.train import DISCOGAN

    return translation(**DISCOGAN, model="discogan", augmentation="none")


def defended():
    from chapter10_adversarial.networks import build_classifier
    from chapter10_adversarial.training import BOUNDS, AdversarialTraining

    classifiers = [build_classifier(4, 16) for _ in range(3)]
    model = AdversarialTraining(
        *classifiers, epsilon=0.3, warmup=5, steps=2, step_size=0.1, trades=1.0
    )
    averaging = keras.optimizers.SGD(RATE, use_ema=True, ema_momentum=0.9)
    model.compile(sgd(), sgd(), averaging)
    return model, lambda replicas: batches(replicas, labels=LABELS, value_range=BOUNDS)


def few_images_gan():
    from chapter11_applications import networks
    from chapter11_applications.few_images_gan import FewImagesGAN
    from chapter11_applications.transforms import Augmentation

    shape, seed = (28, 28, 1), tf.Variable(0, trainable=False, dtype=tf.int32)
    pair = fuse(networks.build_generator(shape, 10)), networks.build_discriminator(shape, 10)
    model = FewImagesGAN(*pair, Augmentation(), r1=1.0, seed=seed)
    model.compile(sgd(), sgd())
    return model, lambda replicas: batches(replicas, labels=LABELS)


def four_classifiers():
    from chapter11_applications import networks
    from chapter11_applications.four_classifiers import WAYS, FourClassifiers
    from chapter11_applications.transforms import Augmentation

    shape, seed = (28, 28, 1), tf.Variable(0, trainable=False, dtype=tf.int32)
    model = FourClassifiers(
        {way: networks.build_classifier(shape, 10) for way in WAYS},
        networks.build_generator(shape, 10),
        Augmentation(),
        generated=BATCH // 2,
        seed=seed,
    )
    model.compile({way: sgd() for way in WAYS})
    return model, lambda replicas: batches(replicas, labels=LABELS)


def creative():
    from chapter11_applications import networks
    from chapter11_applications.creative import CreativeGAN

    shape = (28, 28, 1)
    pair = (
        fuse(networks.build_generator(shape, 10)),
        networks.build_naming_discriminator(shape, 10, 4),
    )
    model = CreativeGAN(*pair)
    model.compile(sgd(), sgd())
    labels = np.stack([LABELS, np.arange(64) % 4], axis=1).astype(np.int32)
    return model, lambda replicas: batches(replicas, labels=labels)


def stackgan():
    from chapter11_applications import captions
    from chapter11_applications.text_settings import PRESETS
    from chapter11_applications.text_to_image import build_model

    model = build_model(PRESETS["smoke"])
    # Embeddings are large beside such steps as the others take: most of these would be rounding.
    model.compile(*([sgd(0.03), sgd(0.03)] for _ in range(2)))
    model.begin(1)  # stage II, which uses stage I
    words = captions.draw(64, np.random.default_rng(0))
    labels = np.stack([words, captions.facts_of(words)], axis=1)
    return model, lambda replicas: batches(replicas, digits(32), labels)


def sagan():
    from chapter12_looking_ahead.networks import build_discriminator, build_generator
    from chapter12_looking_ahead.sagan import SAGAN

    model = SAGAN(fuse(build_generator(8)), build_discriminator())
    for network in (model.generator, model.discriminator):
        network.get_layer("gamma").gamma.assign(0.5)  # for the attention to have a part in it
    model.compile(sgd(), sgd())
    return model, batches


def attacked_gan():
    from chapter12_looking_ahead.target_networks import build_discriminator, build_generator
    from chapter12_looking_ahead.targets import GAN

    model = GAN(fuse(build_generator(8)), build_discriminator())
    model.compile(sgd(), sgd())
    return model, batches


def attacked_vae():
    from chapter12_looking_ahead.target_networks import build_decoder, build_encoder
    from chapter12_looking_ahead.targets import VAE

    model = VAE(build_encoder(2), build_decoder(2))
    model.compile(sgd(1e-5))
    return model, lambda replicas: batches(replicas, value_range=(0.0, 1.0))


CASES = (
    vae,
    gan,
    averaged_gan,
    dcgan,
    dcgan_with_r1,
    wgan_gp,
    wgan_with_clipped_weights,
    hinge_with_spectral_normalization,
    relativistic,
    hacks,
    progan,
    stylegan,
    sgan,
    feature_matching,
    pseudo_labels,
    cgan,
    acgan,
    cyclegan,
    cyclegan_of_the_paper,
    discogan,
    defended,
    few_images_gan,
    four_classifiers,
    creative,
    stackgan,
    sagan,
    attacked_gan,
    attacked_vae,
)


def train(case, strategy, steps):
    """Weights before and after some steps, and what is reported."""
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model, data = case()
    # Which is faster, for so few steps; these two are compiled, as training is.
    model.run_eagerly = case not in (gan, defended)
    model.make_train_function(force=True)  # chapter 6's has one already
    before = values_of(model)
    count = strategy.num_replicas_in_sync
    replicas = Replicas(count, range(count)) if count > 1 else ONE
    history = model.fit(
        data(replicas), epochs=1, steps_per_epoch=steps, shuffle=False, verbose=0
    ).history
    if case is defended:
        model.take_averages()
    return before, values_of(model), {name: values[-1] for name, values in history.items()}


def values_of(model):
    return [np.array(keras.ops.convert_to_numpy(weight), np.float64) for weight in model.weights]


def size(array):
    """The root mean square."""
    return float(np.sqrt(np.mean(np.square(array))))


def main(count, steps, *names):
    strategy = device.mirrored(int(count))
    device.setup(seed=0)
    for case in CASES:
        if names and case.__name__ not in names:
            continue
        before, weights, logs = train(case, tf.distribute.get_strategy(), int(steps))
        _, others, other_logs = train(case, strategy, int(steps))
        share = max(
            size(after - other) / max(LEAST, size(after - first))
            for first, after, other in zip(before, weights, others, strict=True)
        )
        reported = max(abs(logs[k] - other_logs[k]) / max(1, abs(logs[k])) for k in logs)
        print(json.dumps([case.__name__, share, reported]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
