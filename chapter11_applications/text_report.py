"""What a run of text_to_image.py shows and measures."""

import numpy as np
from matplotlib.figure import Figure

from chapter11_applications import captions, reading, scenes
from common import data, images

SHOWN = 16  # captions in a sample
AT_INTERVAL = 500  # captions


class Report:
    """Measures both stages' images: is in them what their captions say?

    Args:
        gan: the `StackGAN`.
        classifier: of digits, see `reading.py`.
        digits: `scenes.Digits` that no network was trained on.
        count: captions of each kind.
        random: draws them.
    """

    def __init__(self, gan, classifier, digits, count: int, random: np.random.Generator):
        self.gan = gan
        self.classifier = classifier
        self.seen = scenes.draw_scenes(digits, count, random)
        self.unseen = scenes.draw_scenes(digits, count, random, unseen=True)
        half = SHOWN // 2
        self.shown = np.concatenate([self.seen.words[:half], self.unseen.words[:half]])

    def sample_images(self) -> np.ndarray:
        """For eight captions of seen combinations stage I and stage II, and for eight unseen."""
        rows = []
        for part in np.split(self.shown, 2):
            small, large = self.gan.generate(part)
            rows += [small.repeat(2, axis=1).repeat(2, axis=2), large]
        return images.grid(np.concatenate(rows), columns=SHOWN // 2)

    def at_interval(self) -> dict[str, float]:
        """For history.csv: the share of images, of the stage in training, that are right."""
        words, facts = self.seen.words[:AT_INTERVAL], self.seen.facts[:AT_INTERVAL]
        small, large = self.gan.generate(words)
        made = large if self.gan.stage else images.enlarge(small)
        return {"all_right": self.shares(made, facts)["all"]}

    def shares(self, made: np.ndarray, facts: np.ndarray) -> dict[str, float]:
        """See `reading.shares_right`."""
        return reading.shares_right(reading.read(made, self.classifier), facts)

    def at_end(self, run) -> dict[str, float]:
        """Writes measured.csv and captions.png. Gives what results.json says: shares of images."""
        real = np.concatenate([self.seen.images, self.unseen.images])
        facts = np.concatenate([self.seen.facts, self.unseen.facts])
        small, large = self.gan.generate(self.seen.words)
        small_unseen, large_unseen = self.gan.generate(self.unseen.words)
        halved = images.enlarge(data.scale(scenes.halve(real)))
        rows = {
            "real": self.shares(real, facts),
            "real_halved_enlarged": self.shares(halved, facts),
            "stage_1_seen": self.shares(images.enlarge(small), self.seen.facts),
            "stage_1_unseen": self.shares(images.enlarge(small_unseen), self.unseen.facts),
            "stage_2_seen": self.shares(large, self.seen.facts),
            "stage_2_unseen": self.shares(large_unseen, self.unseen.facts),
            # What a generator would have that does not look at its caption.
            "stage_2_captions_exchanged": self.shares(large, np.roll(self.seen.facts, 1, axis=0)),
        }
        run.write_csv("measured.csv", [{"images": name, **row} for name, row in rows.items()])
        run.write("captions.png", self.draw_captions())
        return {f"{name}_right": row["all"] for name, row in rows.items()}

    def draw_captions(self) -> bytes:
        """The shown captions, each over its image of stage I and of stage II, as PNG."""
        small, large = self.gan.generate(self.shown)
        figure = Figure(figsize=(12, 8), layout="constrained")
        axes = figure.subplots(4, SHOWN // 4)
        for i, (ax, words) in enumerate(zip(axes.flat, self.shown, strict=True)):
            pair = np.stack([small[i].repeat(2, axis=0).repeat(2, axis=1), large[i]])
            ax.imshow(images.grid(pair, columns=2), cmap="gray", vmin=0, vmax=255)
            ax.axis("off")
            caption = captions.text_of(words)
            unseen = "*" if captions.held_out(captions.facts_of(words[None]))[0] else ""
            ax.set_title(wrapped(caption) + unseen, fontsize=9)
        figure.suptitle("stage I, stage II; * digits that training never saw so combined")
        return images.figure_png(figure)


def wrapped(caption: str) -> str:
    """A caption in two lines, the second from its relation on."""
    for relation in captions.RELATIONS:
        caption = caption.replace(f" {relation} ", f"\n{relation} ")
    return caption
