"""PGD of chapter 10, against the adversarial-robustness-toolbox's."""


class Chapter10:
    """PGD-40 on 1,000 images, against the adversarial-robustness-toolbox: the book's own library,
    foolbox 2, does not run on today's TensorFlow. An iteration is all 1,000 images.
    """

    precisions = ("float32",)
    books_iterations = 1
    our_iterations = 1
    preset = "quick"
    short = (
        "--epochs",
        "1",
        "--attacked-images",
        "500",
        "--apgd-steps",
        "1",
        "--random-tries",
        "1",
    )
    epsilon = 0.3
    batch_size = 500

    @staticmethod
    def network_and_images(dataset):
        import numpy as np

        from chapter10_adversarial import networks, train

        network = networks.build_classifier(train.BOOK.filters, train.BOOK.units, convolutions=2)
        return network, dataset.x_test[:1000].astype(np.float32) / 255, dataset.y_test[:1000]

    @classmethod
    def books(cls, dataset):
        network, images, labels = cls.network_and_images(dataset)
        generate = toolbox_pgd(network, cls.epsilon, cls.batch_size)

        def attack(iterations):
            for _ in range(iterations):
                generate(images, labels)

        return attack

    @classmethod
    def ours(cls, dataset):
        from chapter10_adversarial import attacks

        network, images, labels = cls.network_and_images(dataset)

        def attack(iterations):
            for _ in range(iterations):
                attacks.pgd(
                    logits=network,
                    images=images,
                    labels=labels,
                    epsilon=cls.epsilon,
                    bounds=(0, 1),
                    step_size=1 / 30,
                    batch_size=cls.batch_size,
                ).numpy()

        return attack


def toolbox_pgd(network, epsilon, batch_size, norm="inf"):
    """The adversarial-robustness-toolbox's PGD with the settings of ours: 40 steps of epsilon / 30
    from a random start. A function of images and labels.
    """
    import keras
    from art.attacks.evasion import ProjectedGradientDescent
    from art.estimators.classification import TensorFlowV2Classifier

    classifier = TensorFlowV2Classifier(
        model=network,
        nb_classes=network.output_shape[-1],
        input_shape=network.input_shape[1:],
        loss_object=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        clip_values=(0, 1),
    )
    attack = ProjectedGradientDescent(
        classifier,
        norm=norm if norm == "inf" else int(norm),
        eps=epsilon,
        eps_step=epsilon / 30,
        max_iter=40,
        num_random_init=1,
        batch_size=batch_size,
        verbose=False,
    )
    return attack.generate


def attack_in_turn(images, labels, attacks, given):
    """Attacks, each on the images that withstood those before it, as in AutoAttack.

    Args:
        attacks: pairs of a function of `chapter10_adversarial.attacks` and settings of its own.
        given: the settings of all, with `logits`.

    Yields:
        After each attack, the images: those that fooled the network, and the others as they were.
    """
    import numpy as np

    from chapter10_adversarial.evaluation import is_right

    adversarial = images.copy()
    for attack, settings in attacks:
        left = np.flatnonzero(is_right(given["logits"], adversarial, labels))
        if len(left):
            found = attack(images=images[left], labels=labels[left], **given, **settings).numpy()
            fooled = ~is_right(given["logits"], found, labels[left])
            adversarial[left[fooled]] = found[fooled]
        yield adversarial.copy()


def autoattack(network, epsilon, norm, attacks=None):
    """Croce and Hein's own AutoAttack, standard: APGD-CE, APGD-T, FAB-T and Square; or those of its
    attacks that are named. A function of images and labels. It needs PyTorch, as does its FAB; so
    the network is copied there.
    """
    import numpy as np
    import torch
    from autoattack import AutoAttack

    attack = AutoAttack(
        in_torch(network),
        norm={"inf": "Linf", "2": "L2"}[norm],
        eps=epsilon,
        device="cpu",
        verbose=False,
        seed=0,
    )
    if attacks:  # with the standard version's settings
        attack.attacks_to_run = attacks

    def generate(images, labels):
        channels_first = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        whole_numbers = torch.from_numpy(labels.astype(np.int64))
        # On a CPU, larger batches leave the cache: 500 images take 1.4 times as long.
        adversarial = attack.run_standard_evaluation(channels_first, whole_numbers, bs=125)
        return adversarial.numpy().transpose(0, 2, 3, 1)

    return generate


def in_torch(network):
    """The chapter's classifier as a function of PyTorch's images, n×1×28×28, with the same weights.

    Raises:
        AssertionError: its logits differ from the network's.
    """
    import keras
    import numpy as np
    import torch
    import torch.nn.functional as F

    functions = {"linear": lambda x: x, "relu": F.relu, "sigmoid": torch.sigmoid}

    def weights(layer):
        return [torch.tensor(np.array(value)) for value in layer.get_weights()]

    def conv(layer):
        kernel, bias = weights(layer)
        kernel, stride = kernel.permute(3, 2, 0, 1), layer.strides[0]
        # Channels last: on a CPU, forward and backward together take a fifth less.
        kernel = kernel.contiguous(memory_format=torch.channels_last)
        size = kernel.shape[-1]

        def run(x):
            # TensorFlow's "same": what is missing, half of it on each side, the odd one at the end.
            missing = max((-(-x.shape[-1] // stride) - 1) * stride + size - x.shape[-1], 0)
            before, after = missing // 2, missing - missing // 2
            x = F.conv2d(F.pad(x, (before, after, before, after)), kernel, bias, stride)
            return functions[layer.activation.__name__](x)

        return run

    def dense(layer):
        kernel, bias = weights(layer)
        return lambda x: functions[layer.activation.__name__](x @ kernel + bias)

    converted = {
        keras.layers.InputLayer: lambda layer: lambda x: x,
        keras.layers.Rescaling: lambda layer: lambda x: x * layer.scale + layer.offset,
        keras.layers.Activation: lambda layer: functions[layer.activation.__name__],
        keras.layers.Conv2D: conv,
        keras.layers.Flatten: lambda layer: lambda x: x.permute(0, 2, 3, 1).flatten(1),
        keras.layers.Dense: dense,
    }
    layers = [converted[type(layer)](layer) for layer in network.layers]

    def logits(x):
        x = x.contiguous(memory_format=torch.channels_last)
        for layer in layers:
            x = layer(x)
        return x

    noise = np.random.default_rng(0).uniform(size=(8, 28, 28, 1)).astype(np.float32)
    with torch.no_grad():
        copied = logits(torch.from_numpy(noise).permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(copied, network(noise), rtol=1e-3, atol=1e-3)
    return logits


LOOPS = {"": Chapter10}
PUBLISHED = {  # by Madry et al. (2018); ours with --flags=--defend
    "book": {"defended_accuracy": "0.988", "defended_pgd_accuracy": "0.932"}
}
