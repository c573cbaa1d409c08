"""Which level is trained when, and how far it is faded in: functions of the images seen so far.

Karras et al. 2018, section 2 and appendix A.1: training begins with images of 4×4; then each new
level is faded in over some number of images, and trained as it is over as many. The phases are
those of 4×4; 8×8, fading in; 8×8; 16×16, fading in; 16×16; … No TensorFlow.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Phase:
    """A part of training, in which one level is faded in or trained as it is."""

    level: int  # 0 for 4×4
    fading: bool
    begin: int  # training images seen before it
    images: int  # that it sees
    level_begin: int  # training images seen before its level
    batch_size: int

    @property
    def end(self) -> int:
        return self.begin + self.images

    def fade(self, images_seen):
        """How far its level is faded in, from 0 to 1; None, if wholly. Of a number or a tensor."""
        return (images_seen - self.begin) / self.images if self.fading else None


def phases(
    levels: int,
    phase_images: int,
    last_images: int,
    batch_size: int,
    *,
    grow: bool = True,
    smaller_batches: bool = False,
) -> list[Phase]:
    """All phases of a training.

    Args:
        levels: how many.
        phase_images: of every phase but the last.
        last_images: of the last phase, of the largest images.
        batch_size: images of a training step.
        grow: begin with 4×4; or with the largest images, for as many images.
        smaller_batches: halve batches at each level above 16×16, down to 4, as the authors' code
            does for memory.
    """

    def batch(level):
        if not smaller_batches:
            return batch_size
        return min(batch_size, max(4, batch_size >> max(0, level - 2)))

    last = levels - 1
    if not grow:
        total = 2 * last * phase_images + last_images
        return [Phase(last, False, 0, total, 0, batch(last))]
    found: list[Phase] = []
    seen = 0
    for level in range(levels):
        level_begin = seen
        for fading in (True, False) if level else (False,):
            images = last_images if level == last and not fading else phase_images
            found.append(Phase(level, fading, seen, images, level_begin, batch(level)))
            seen += images
    return found
