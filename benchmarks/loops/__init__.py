"""The two loops of each chapter that `speed.py` compares: the book's own, and ours.

"The book's loop" is the loop of the published notebooks, with the one change that makes a GAN's
learn on Keras 3: the discriminator is traced while it is trainable. (Its batch normalisation is
frozen with it in the generator's update, which leaves that loop less to do.)

A chapter's class makes both, each a function of the iterations to do, and says what is measured:
the iterations of each in one turn, what ours may compute in (the book's loop is float32), and
train.py's flags for a run that is long enough to reach its peak of memory.
"""

from .chapter02 import Chapter02
from .chapter03 import Chapter03
from .chapter04 import Chapter04
from .chapter07 import Chapter07
from .chapter08 import Chapter08
from .chapter09 import Chapter09, Chapter09Batch8
from .chapter10 import Chapter10

CHAPTERS = {
    "chapter02_autoencoder": Chapter02,
    "chapter03_gan": Chapter03,
    "chapter04_dcgan": Chapter04,
    "chapter07_sgan": Chapter07,
    "chapter08_cgan": Chapter08,
    "chapter09_cyclegan": Chapter09,
    "chapter09_cyclegan batch 8": Chapter09Batch8,
    "chapter10_adversarial": Chapter10,
}
