"""The games of chapter 5, against PyTorch in eager mode, on the same networks.

Its loop does what ours does: the same game with the same settings, fresh real images for each
update of the discriminator, the same generated images for its last update and the generator's.
"""

from chapter05_training.tables import NAMES


def compared_with_torch(name: str) -> type:
    """The two loops of one game; an iteration is an update of the generator."""

    class Chapter05:
        precisions = ("float32", "mixed_bfloat16")
        books_iterations = 10
        our_iterations = 20
        short = ("--game", name, "--images", "1280", "--measurements", "1")

        @staticmethod
        def books(dataset):
            from chapter05_training import train

            return torch_loop(train.QUICK.of(name), dataset.x_train)

        @staticmethod
        def ours(dataset):
            from chapter05_training import train
            from common import stream

            config = train.QUICK.of(name)
            gan = train.build(config)
            gan.compile(
                train.optimizer(config, config.discriminator_learning_rate, 10**6),
                train.optimizer(config, config.generator_learning_rate, 10**6),
                steps_per_execution=10,
            )
            batches = stream.batches(
                dataset.x_train, config.batch_size * config.critic_steps, seed=0
            )
            return lambda iterations: gan.fit(
                batches, steps_per_epoch=iterations, shuffle=False, verbose=0
            )

    return Chapter05


def torch_loop(config, x_train):
    """One game in PyTorch. A function of the iterations to do."""
    import numpy as np
    import torch

    torch.manual_seed(0)
    random = np.random.default_rng(0)
    generator, discriminator = torch_networks(config.latent_dim, config.normalization == "spectral")
    d_optimizer = torch_optimizer(config, discriminator, config.discriminator_learning_rate)
    g_optimizer = torch_optimizer(config, generator, config.generator_learning_rate)
    d_loss, g_loss = torch_games()[config.game[0]]

    def generate():
        return generator(torch.randn(config.batch_size, config.latent_dim))

    def train(iterations):
        for _ in range(iterations):
            chosen = random.integers(0, len(x_train), (config.critic_steps, config.batch_size))
            batches = torch.from_numpy(x_train[chosen].astype(np.float32) / 127.5 - 1)
            for number, images in enumerate(batches.permute(0, 1, 4, 2, 3)):
                last = number == config.critic_steps - 1
                with torch.set_grad_enabled(last):
                    fake = generate()
                images.requires_grad_(bool(config.r1))
                real_logits = discriminator(images)
                loss = d_loss(real_logits, discriminator(fake.detach()))
                if config.r1:
                    squares = torch_squared_slopes(real_logits, images)
                    loss = loss + config.r1 / 2 * squares.mean()
                if config.gradient_penalty:
                    alpha = torch.rand(len(images), 1, 1, 1)
                    between = torch.lerp(images, fake.detach(), alpha).requires_grad_()
                    slopes = torch_squared_slopes(discriminator(between), between)
                    slopes = slopes.clamp(min=1e-12).sqrt()
                    loss = loss + config.gradient_penalty * ((slopes - 1) ** 2).mean()
                d_optimizer.zero_grad()
                loss.backward()
                d_optimizer.step()
                if config.clip:
                    with torch.no_grad():
                        for weight in discriminator.parameters():
                            weight.clamp_(-config.clip, config.clip)
            with torch.no_grad():
                real_logits = discriminator(images) if config.game == ["relativistic"] else None
            loss = g_loss(real_logits, discriminator(fake))
            g_optimizer.zero_grad()
            loss.backward()
            g_optimizer.step()

    return train


def torch_squared_slopes(logits, images):
    """|∂logit/∂image|², n."""
    import torch

    (gradients,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradients.square().sum(dim=(1, 2, 3))


def torch_optimizer(config, network, learning_rate):
    import torch

    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(network.parameters(), learning_rate, alpha=0.9)
    betas = (config.beta_1, config.beta_2)
    return torch.optim.Adam(network.parameters(), learning_rate, betas)


def torch_games():
    """Of each game, by its name, the losses of the logits of real and of generated images."""
    from torch.nn.functional import relu, softplus

    def cross_entropy(real, fake):
        return softplus(-real).mean() + softplus(fake).mean()

    def critic(real, fake):
        return fake.mean() - real.mean()

    def relativistic(real, fake):
        return cross_entropy(real - fake.mean(), fake - real.mean())

    return {
        "minimax": (cross_entropy, lambda real, fake: -softplus(fake).mean()),
        "non-saturating": (cross_entropy, lambda real, fake: softplus(-fake).mean()),
        "least-squares": (
            lambda real, fake: ((real - 1) ** 2).mean() / 2 + (fake**2).mean() / 2,
            lambda real, fake: ((fake - 1) ** 2).mean() / 2,
        ),
        "wgan": (critic, lambda real, fake: -fake.mean()),
        "wgan-gp": (critic, lambda real, fake: -fake.mean()),
        "hinge": (
            lambda real, fake: relu(1 - real).mean() + relu(1 + fake).mean(),
            lambda real, fake: -fake.mean(),
        ),
        "relativistic": (relativistic, lambda real, fake: relativistic(fake, real)),
    }


def torch_networks(latent_dim: int, spectral: bool):
    """The networks of `chapter05_training.networks`, without switches, in PyTorch."""
    from torch import nn
    from torch.nn.utils.parametrizations import spectral_norm

    def normalized(layer):
        return spectral_norm(layer) if spectral else layer

    # Padding of 1 makes "same"; an output padding of 1 doubles the size exactly.
    generator = nn.Sequential(
        nn.Linear(latent_dim, 7 * 7 * 256),
        nn.Unflatten(1, (256, 7, 7)),
        nn.ConvTranspose2d(256, 128, 3, 2, padding=1, output_padding=1),
        nn.BatchNorm2d(128),
        nn.LeakyReLU(0.01),
        nn.ConvTranspose2d(128, 64, 3, 1, padding=1),
        nn.BatchNorm2d(64),
        nn.LeakyReLU(0.01),
        nn.ConvTranspose2d(64, 1, 3, 2, padding=1, output_padding=1),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        normalized(nn.Conv2d(1, 32, 3, 2, padding=1)),
        nn.LeakyReLU(0.01),
        normalized(nn.Conv2d(32, 64, 3, 2, padding=1)),
        nn.LeakyReLU(0.01),
        normalized(nn.Conv2d(64, 128, 3, 2, padding=1)),
        nn.LeakyReLU(0.01),
        nn.Flatten(),
        normalized(nn.Linear(2048, 1)),
    )
    return generator, discriminator


LOOPS = {name: compared_with_torch(name) for name in NAMES}
MEASURED = ["quick"]
