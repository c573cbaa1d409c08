"""PGD of chapter 10, against the adversarial-robustness-toolbox's."""


class Chapter10:
    """PGD-40 on 1,000 images, against the adversarial-robustness-toolbox: the book's own library,
    foolbox 2, does not run on today's TensorFlow. An iteration is all 1,000 images.
    """

    precisions = ("float32",)
    books_iterations = 1
    our_iterations = 1
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

        network = networks.build_classifier(train.BOOK.filters, train.BOOK.units)
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


def toolbox_pgd(network, epsilon, batch_size):
    """The adversarial-robustness-toolbox's PGD with the settings of ours: 40 steps of epsilon / 30
    from a random start, L∞. A function of images and labels.
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
        eps=epsilon,
        eps_step=epsilon / 30,
        max_iter=40,
        num_random_init=1,
        batch_size=batch_size,
        verbose=False,
    )
    return attack.generate


LOOPS = {"": Chapter10}
PUBLISHED = {  # by Madry et al. (2018); ours with --flags=--defend
    "book": {"defended_accuracy": "0.988", "defended_pgd_accuracy": "0.932"}
}
