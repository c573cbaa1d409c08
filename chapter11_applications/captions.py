"""Captions of a small closed grammar, and what each says of its image. Imports no TensorFlow.

    caption:  PHRASE left of | right of | above | below PHRASE
    phrase:   a [small | large] [thin | bold] zero | one | … | nine

As "a thin three left of a large bold seven": what is not said, as the size of this three, is free.
"""

import difflib
import re

import numpy as np

from common import UserError

SIZES = ("small", "large")
STROKES = ("thin", "bold")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RELATIONS = ("left of", "right of", "above", "below")
VOCABULARY = ("", *SIZES, *STROKES, *DIGITS, *RELATIONS)  # 0: nothing is said
PHRASE = (SIZES, STROKES, DIGITS)
PLACES = (*PHRASE, RELATIONS, *PHRASE)  # of a caption's words, each of which may be one of these

# What a caption says: whether the digits stand one above the other, then size, stroke and digit of
# the left or upper one, and of the right or lower one. How many values each of these has:
FACTS = {
    "stacked": 2,
    **{f"first_{name}": count for name, count in (("size", 2), ("stroke", 2), ("digit", 10))},
    **{f"second_{name}": count for name, count in (("size", 2), ("stroke", 2), ("digit", 10))},
}
UNSAID = -1

GRAMMAR = (
    "a caption reads: a [small|large] [thin|bold] DIGIT left of|right of|above|below "
    "a [small|large] [thin|bold] DIGIT, where DIGIT is zero, one, … or nine"
)
_PHRASE = rf"an? (?:({'|'.join(SIZES)}) )?(?:({'|'.join(STROKES)}) )?({'|'.join(DIGITS)})"
_CAPTION = re.compile(rf"{_PHRASE} ({'|'.join(RELATIONS)}) {_PHRASE}")
_KNOWN = sorted({"a", "an", *" ".join(VOCABULARY).split()})


def parse(caption: str) -> np.ndarray:
    """A caption's words, 7, int32: numbers in VOCABULARY, one for each of PLACES.

    Raises:
        UserError: a word is unknown, or the caption is not of the grammar.
    """
    words = caption.lower().split()
    for word in words:
        if word not in _KNOWN:
            near = ", ".join(difflib.get_close_matches(word, _KNOWN))
            hint = f"the nearest: {near}" if near else GRAMMAR
            raise UserError(f"--caption: {word!r} is no word of it; {hint}")
    found = _CAPTION.fullmatch(" ".join(words))
    if found is None:
        raise UserError(f"--caption {caption!r}: {GRAMMAR}")
    return np.array([VOCABULARY.index(word or "") for word in found.groups()], np.int32)


def text_of(words: np.ndarray) -> str:
    """The caption of its words, 7: the inverse of `parse`."""
    said = [VOCABULARY[word] for word in words]
    phrases = [" ".join(filter(None, part)) for part in (said[:3], said[4:])]
    first, second = (("an " if text[0] == "e" else "a ") + text for text in phrases)  # an eight
    return f"{first} {said[3]} {second}"


def facts_of(words: np.ndarray) -> np.ndarray:
    """What captions say of their images: n×7, the order of FACTS, from words, n×7.

    "A three left of a seven" and "a seven right of a three" say the same.

    Returns:
        int32, the number of each value; UNSAID where the caption leaves it free.
    """
    relation = words[:, 3:4] - VOCABULARY.index(RELATIONS[0])
    swapped = relation % 2 == 1  # right of, below
    offsets = [VOCABULARY.index(names[0]) for names in PHRASE]
    phrases = [np.where(part > 0, part - offsets, UNSAID) for part in (words[:, :3], words[:, 4:])]
    first = np.where(swapped, phrases[1], phrases[0])
    second = np.where(swapped, phrases[0], phrases[1])
    return np.concatenate([relation // 2, first, second], axis=1).astype(np.int32)


def held_out(facts: np.ndarray) -> np.ndarray:
    """Which captions are kept from training: n, bool, by two digits and how they stand.

    A fifth of these combinations, so chosen that training sees each digit at each place beside
    eight others.
    """
    stacked, first, second = facts[:, 0], facts[:, 3], facts[:, 6]
    return (stacked + first + 2 * second) % 5 == 0


def draw(count: int, random: np.random.Generator, *, unseen: bool = False) -> np.ndarray:
    """Words of random captions, count×7: each of a place's words, and none, equally often.

    Digits and relation are never left out.

    Args:
        unseen: of those that are held out of training, instead of the others.
    """
    drawn: list[np.ndarray] = []
    while sum(map(len, drawn)) < count:
        columns = []
        for names in PLACES:
            numbers = [VOCABULARY.index(name) for name in names]
            if names in (SIZES, STROKES):
                numbers.append(0)
            columns.append(random.choice(numbers, count))
        words = np.stack(columns, axis=1).astype(np.int32)
        drawn.append(words[held_out(facts_of(words)) == unseen])
    return np.concatenate(drawn)[:count]
