"""The names of the games, and each game's own settings: its paper's, and those chosen here."""

from typing import Any, Literal, get_args

GameName = Literal[
    "minimax", "non-saturating", "least-squares", "wgan", "wgan-gp", "hinge", "relativistic"
]
NAMES: tuple[GameName, ...] = get_args(GameName)

KERAS_BETA_2 = {"adam": 0.999, "rmsprop": 0.9}  # Keras' defaults; RMSprop calls it rho

# What every game has unless its own settings, or a flag, say otherwise.
COMMON: dict[str, Any] = {
    "batch_size": 64,
    "optimizer": "adam",
    "beta_1": 0.0,
    "beta_2": KERAS_BETA_2["adam"],
    "critic_steps": 1,
    "learning_rate_decay": True,
    "r1": 0.0,
    "gradient_penalty": 0.0,
    "normalization": "none",
}

# What each paper, or its authors' code, trains with; on chapter 4's networks, not on theirs.
PAPER: dict[str, dict[str, Any]] = {
    # Goodfellow et al. 2014 name none: these two games have Radford et al. 2016's settings.
    "minimax": {
        "generator_learning_rate": 2e-4,
        "discriminator_learning_rate": 2e-4,
        "batch_size": 128,
        "normalization": "batch",
    },
    "non-saturating": {
        "generator_learning_rate": 2e-4,
        "discriminator_learning_rate": 2e-4,
        "batch_size": 128,
        "normalization": "batch",
    },
    # Mao et al. 2017, authors' code
    "least-squares": {
        "generator_learning_rate": 1e-3,
        "discriminator_learning_rate": 1e-3,
        "normalization": "batch",
    },
    # Arjovsky et al. 2017, algorithm 1
    "wgan": {
        "generator_learning_rate": 5e-5,
        "discriminator_learning_rate": 5e-5,
        "optimizer": "rmsprop",
        "beta_2": 0.99,  # PyTorch's default
        "critic_steps": 5,
        "clip": 0.01,
        "normalization": "batch",
    },
    # Gulrajani et al. 2017, authors' code for MNIST
    "wgan-gp": {
        "generator_learning_rate": 1e-4,
        "discriminator_learning_rate": 1e-4,
        "beta_2": 0.9,
        "batch_size": 50,
        "critic_steps": 5,
        "gradient_penalty": 10.0,
    },
    # Miyato et al. 2018, authors' code for CIFAR-10
    "hinge": {
        "generator_learning_rate": 2e-4,
        "discriminator_learning_rate": 2e-4,
        "beta_1": 0.0,
        "beta_2": 0.9,
        "critic_steps": 5,
        "normalization": "spectral",
        "learning_rate_decay": True,
    },
    # Jolicoeur-Martineau 2019, with one update of the discriminator; authors' code
    "relativistic": {
        "generator_learning_rate": 2e-4,
        "discriminator_learning_rate": 2e-4,
        "batch_size": 32,
        "normalization": "spectral",
    },
}
OF_PAPERS = {"learning_rate_decay": False, "beta_1": 0.5}

# Chosen on validation images, each from six: the chapter's README says how.
TUNED: dict[str, dict[str, Any]] = {
    "minimax": {
        "generator_learning_rate": 5e-3,
        "discriminator_learning_rate": 5e-3,
        "r1": 1.0,
    },
    "non-saturating": {
        "generator_learning_rate": 5e-3,
        "discriminator_learning_rate": 5e-3,
        "r1": 1.0,
    },
    "least-squares": {
        "generator_learning_rate": 5e-3,
        "discriminator_learning_rate": 2e-3,
        "r1": 10.0,
    },
    "wgan": {
        "generator_learning_rate": 5e-3,
        "discriminator_learning_rate": 2e-3,
        "optimizer": "rmsprop",
        "beta_2": KERAS_BETA_2["rmsprop"],
        "critic_steps": 2,
        "clip": 0.1,
    },
    "wgan-gp": {
        "generator_learning_rate": 5e-3,
        "discriminator_learning_rate": 2e-3,
        "gradient_penalty": 10.0,
    },
    "hinge": {
        "generator_learning_rate": 5e-3,
        "discriminator_learning_rate": 2e-3,
        "normalization": "spectral",
    },
    "relativistic": {
        "generator_learning_rate": 5e-3,
        "discriminator_learning_rate": 2e-3,
        "r1": 1.0,
    },
}
