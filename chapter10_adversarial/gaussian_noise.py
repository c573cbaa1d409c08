"""Images of Gaussian noise, and what an ImageNet classifier sees in them, as GANs in Action shows.

They are images to be attacked like photos; a GAN's noise vector z has no part here.
"""

import numpy as np

from chapter10_adversarial import applications, figures
from common.files import Files

# In 0 to 255: the ranges of GANs in Action, chapter 10.
MEANS = (50, 85, 120, 155, 190)
DEVIATIONS = (10, 17, 24, 31, 38)


def draw(size: int, seed: int) -> np.ndarray:
    """An image for each mean and standard deviation: float32, 25×size×size×3, 0 to 255."""
    random = np.random.default_rng(seed)
    noise = [random.normal(m, d, (size, size, 3)) for m in MEANS for d in DEVIATIONS]
    return np.clip(np.round(noise), 0, 255).astype(np.float32)


def classify(
    classifier, classes: applications.Classes, noise: np.ndarray, files: Files
) -> list[dict]:
    """noise_grid.png and a table: what is seen in the images, by mean and standard deviation.

    Args:
        noise: of `draw`.

    Returns:
        A dict for each image: mean, deviation, class, confidence.
    """
    rows = []
    for i, probabilities in enumerate(applications.probabilities(classifier, noise)):
        mean, deviation = MEANS[i // len(DEVIATIONS)], DEVIATIONS[i % len(DEVIATIONS)]
        ((name, confidence),) = classes.likeliest(probabilities, count=1).items()
        rows.append({"mean": mean, "deviation": deviation, "class": name, "confidence": confidence})
        print(f"noise, mean {mean:>3}, deviation {deviation:>2}: {name}, {confidence:.0%}")
    captions = [f"{row['class']}\n{row['confidence']:.0%}" for row in rows]
    files.write(
        "noise_grid.png", figures.noise_grid(noise.astype(np.uint8), captions, MEANS, DEVIATIONS)
    )
    return rows
