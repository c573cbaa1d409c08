"""Chapter 6's progressive growing, against PyTorch in eager mode, at each level.

Its loop does what ours does at a level that has been faded in: the same networks, WGAN-GP with
drift, new noise for each update, and the average of the generator's weights.
"""

import itertools
import math


def compared_with_torch(level: int) -> type:
    """The two loops at one level; an iteration is a training step."""

    class Chapter06:
        precisions = ("float32", "mixed_bfloat16")
        books_iterations = 5
        our_iterations = 10
        preset = "quick"
        short = ("--phase-images", "640", "--last-images", "640")
        short += ("--sample-images", "640", "--size", str(max(8, 4 * 2**level)))

        @staticmethod
        def books(dataset):
            return torch_loop(level, real_images(level, dataset))

        @staticmethod
        def ours(dataset):
            from chapter06_progan import train
            from chapter06_progan.build import build_model
            from common import stream

            config = train.PRESETS["quick"]
            gan = build_model(config, channels=1, total=10**9)
            phase = next(x for x in config.plan if x.level == level and not x.fading)
            gan.begin(phase, steps_per_execution=10)
            batches = stream.batches(real_images(level, dataset), phase.batch_size, seed=0)
            return lambda iterations: gan.fit(
                batches, steps_per_epoch=iterations, shuffle=False, verbose=0
            )

    return Chapter06


def real_images(level: int, dataset):
    """MNIST at a level's size, uint8, n×size×size×1."""
    from chapter06_progan import training_images
    from chapter06_progan.levels import size_of

    padded = training_images.pad(dataset.x_train)
    return training_images.shrink(padded, padded.shape[1] // size_of(level))


def torch_loop(level: int, x_train):
    """A level's training in PyTorch. A function of the iterations to do."""
    import numpy as np
    import torch

    from chapter06_progan import train
    from chapter06_progan.levels import filters_of

    config = train.PRESETS["quick"]
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    filters = [filters_of(i, config.total_filters, config.most_filters) for i in range(level + 1)]
    generator = torch_generator(config.latent_dim, filters)
    averaged = torch_generator(config.latent_dim, filters)
    discriminator = torch_discriminator(filters)
    d_optimizer, g_optimizer = (
        torch.optim.Adam(network.parameters(), config.learning_rate, (0.0, 0.99), eps=1e-8)
        for network in (discriminator, generator)
    )

    def generate():
        noise = torch.randn(config.batch_size, config.latent_dim)
        return generator(torch_pixel_norm()(noise))

    def step():
        chosen = random.integers(0, len(x_train), config.batch_size)
        real = torch.from_numpy(x_train[chosen].astype(np.float32) / 127.5 - 1)
        real = real.permute(0, 3, 1, 2)
        with torch.no_grad():
            fake = generate()
        scores = discriminator(real)
        between = torch.lerp(real, fake, torch.rand(len(real), 1, 1, 1)).requires_grad_()
        (slopes,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
        slopes = slopes.square().sum(dim=(1, 2, 3)).clamp(min=1e-12).sqrt()
        loss = discriminator(fake).mean() - scores.mean()
        loss = loss + config.gradient_penalty * (slopes - 1).square().mean()
        loss = loss + config.drift * scores.square().mean()
        d_optimizer.zero_grad()
        loss.backward()
        d_optimizer.step()
        discriminator.requires_grad_(False)  # whose gradients this update does not need
        loss = -discriminator(generate()).mean()
        g_optimizer.zero_grad()
        loss.backward()
        g_optimizer.step()
        discriminator.requires_grad_(True)
        with torch.no_grad():
            pairs = zip(averaged.parameters(), generator.parameters(), strict=True)
            for average, weight in pairs:
                average.lerp_(weight, 1 - config.average)

    def train_steps(iterations):
        for _ in range(iterations):
            step()

    return train_steps


def torch_equalized(layer, gain: float = math.sqrt(2)):
    """A layer whose weights are drawn from N(0, 1), and scaled when they are used."""
    from torch import nn
    from torch.nn.utils import parametrize

    scale = gain / math.sqrt(layer.weight[0].numel())

    class Scale(nn.Module):
        def forward(self, weight):
            return weight * scale

    nn.init.normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    parametrize.register_parametrization(layer, "weight", Scale())
    return layer


def torch_pixel_norm():
    from torch import nn

    class PixelNorm(nn.Module):
        def forward(self, x):
            return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()

    return PixelNorm()


def torch_generator(latent_dim: int, filters: list[int]):
    """Up to a level, with so many features at each."""
    from torch import nn

    def activate():
        return [nn.LeakyReLU(0.2), torch_pixel_norm()]

    def convolution(before, after):
        return [torch_equalized(nn.Conv2d(before, after, 3, padding=1)), *activate()]

    dense = torch_equalized(nn.Linear(latent_dim, 16 * filters[0]), math.sqrt(2) / 4)
    parts = [dense, nn.Unflatten(1, (filters[0], 4, 4)), *activate()]
    parts += convolution(filters[0], filters[0])
    for before, after in itertools.pairwise(filters):
        parts += [nn.Upsample(scale_factor=2), *convolution(before, after)]
        parts += convolution(after, after)
    return nn.Sequential(*parts, torch_equalized(nn.Conv2d(filters[-1], 1, 1), 1.0))


def torch_discriminator(filters: list[int]):
    """From a level down, with so many features at each."""
    import torch
    from torch import nn

    class MinibatchDeviation(nn.Module):
        def forward(self, x):
            n, _, height, width = x.shape
            deviation = (x.reshape(4, n // 4, -1).var(dim=0, correction=0) + 1e-8).sqrt()
            mean = deviation.mean(dim=1).repeat(4)
            return torch.cat([x, mean[:, None, None, None].expand(n, 1, height, width)], dim=1)

    def convolution(before, after, size=3):
        layer = torch_equalized(nn.Conv2d(before, after, size, padding=size // 2))
        return [layer, nn.LeakyReLU(0.2)]

    parts = convolution(1, filters[-1], size=1)
    for before, after in zip(filters[::-1], filters[-2::-1], strict=False):
        parts += [*convolution(before, before), *convolution(before, after), nn.AvgPool2d(2)]
    parts += [MinibatchDeviation(), *convolution(filters[0] + 1, filters[0]), nn.Flatten()]
    parts += [torch_equalized(nn.Linear(16 * filters[0], filters[0])), nn.LeakyReLU(0.2)]
    return nn.Sequential(*parts, torch_equalized(nn.Linear(filters[0], 1), 1.0))


LOOPS = {f"{4 * 2**level}×{4 * 2**level}": compared_with_torch(level) for level in range(4)}
MEASURED = ["quick"]
