"""Chapter 11, text to image: captions, what they say, and the images that are composed for them."""

import numpy as np
import pytest
from conftest import error_of

from chapter11_applications import captions, composition, drawing, text_settings
from common import UserError


def said(*texts):
    return captions.facts_of(np.stack([captions.parse(text) for text in texts])).tolist()


def test_captions_and_words_are_inverse():
    words = captions.draw(300, np.random.default_rng(0))
    assert words.shape == (300, 7) and words.dtype == np.int32
    texts = [captions.text_of(each) for each in words]
    assert np.array_equal(words, [captions.parse(text) for text in texts])
    assert captions.text_of(captions.parse("a  THIN three left of a eight")) == (
        "a thin three left of an eight"
    )


def test_facts_are_of_the_image_not_of_the_order_of_words():
    first, second = (0, -1, 0, 3), (1, 1, 7)  # side by side; a thin three; a large bold seven
    assert (
        said(
            "a thin three left of a large bold seven",
            "a large bold seven right of a thin three",
            "a thin three above a large bold seven",
            "a large bold seven below a thin three",
        )
        == [[*first, *second]] * 2 + [[1, *first[1:], *second]] * 2
    )


def test_held_out_combinations_leave_each_digit_beside_eight_others():
    facts = np.array(
        [[s, -1, -1, a, -1, -1, b] for s in (0, 1) for a in range(10) for b in range(10)]
    )
    kept = ~captions.held_out(facts).reshape(2, 10, 10)
    assert np.all(kept.sum(axis=1) == 8) and np.all(kept.sum(axis=2) == 8)
    for unseen in (False, True):
        words = captions.draw(500, np.random.default_rng(1), unseen=unseen)
        assert np.all(captions.held_out(captions.facts_of(words)) == unseen)


def test_each_word_is_drawn_as_often_as_the_others_of_its_place():
    words = captions.draw(9000, np.random.default_rng(2))
    for place, names in enumerate(captions.PLACES):
        numbers, counts = np.unique(words[:, place], return_counts=True)
        adjective = names in (captions.SIZES, captions.STROKES)
        assert len(numbers) == len(names) + adjective and (0 in numbers) == adjective
        assert counts.max() < 1.25 * counts.min()


@pytest.mark.parametrize(
    "caption, words",
    [
        ("a tin three left of a seven", "'tin' is no word of it; the nearest: thin"),
        ("a three left of a sevn", "the nearest: seven"),
        ("a 3 left of a seven", "'3' is no word of it; a caption reads: a [small|large]"),
        ("a bold large three left of a seven", "a caption reads: a [small|large] [thin|bold]"),
        ("a three", "a caption reads"),
        ("", "a caption reads"),
        ("a three left a seven", "a caption reads"),
    ],
)
def test_mistakes_in_a_caption_are_one_line(caption, words, capsys):
    assert words in error_of(drawing.main, ["--caption", caption], capsys)


def test_without_a_finished_run_nothing_is_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    error = error_of(drawing.main, ["--caption", "a three left of a seven"], capsys)
    assert "there is no finished run in runs/chapter11_applications/text_to_image" in error


def test_a_batch_has_another_image_whose_caption_is_wrong():
    with pytest.raises(UserError, match="--batch-size 1: should be greater than or equal to 2"):
        text_settings.PRESETS["smoke"].with_flags({"batch_size": "1"})


def test_stages_must_be_filled_by_intervals():
    smoke = text_settings.PRESETS["smoke"]
    assert smoke.schedule(1000) == (8, 2)
    with pytest.raises(UserError, match="--second-iterations 5 is not a multiple of"):
        smoke.replace(second_iterations=5)


def test_thinning_leaves_lines_of_one_pixel_and_closes_no_loop():
    strokes = np.zeros((2, 28, 28), bool)
    strokes[0, 4:24, 12:17] = True  # a bar
    y, x = np.mgrid[:28, :28]
    radius = np.hypot(y - 13.5, x - 13.5)
    strokes[1] = (radius > 5) & (radius < 10)  # a ring
    bar, ring = composition.thin(strokes)
    assert np.all(bar.sum(axis=1) <= 1) and 14 <= bar.sum() <= 20
    assert np.all(ring <= strokes[1]) and not ring[13, 13]
    for row in (ring[13], ring[:, 13]):  # once on each side of the middle
        assert row[:13].sum() in (1, 2) and row[14:].sum() in (1, 2)
    assert ring.sum() < 70  # the circle of radius 7.5 is 47 long


def test_redrawn_digits_have_the_sizes_and_pens():
    digit = np.zeros((1, 28, 28, 1), np.uint8)
    digit[0, 4:24, 12:16] = 255  # a one, upright
    drawn = composition.redraw(digit)
    assert drawn.shape == (1, 2, 2, 16, 16) and drawn.dtype == np.uint8
    ink = drawn[0].astype(float) / 255
    for size, extent in enumerate(composition.EXTENTS):
        for stroke, pen in enumerate(composition.PENS):
            across = ink[size, stroke, 8].sum()
            along = np.sum(ink[size, stroke].max(axis=1) > 0.3)
            assert across == pytest.approx(pen, abs=0.35)
            assert along == pytest.approx(extent + pen, abs=1)


def test_images_show_what_the_facts_say():
    """Patches of one shade for each digit, size and stroke, so that each can be read off."""
    labels = np.arange(10)
    drawn = np.zeros((10, 2, 2, 16, 16), np.uint8)
    for digit, size, stroke in np.ndindex(10, 2, 2):
        drawn[digit, size, stroke, 6:10, 6:10] = 50 + 20 * digit + 4 * size + 2 * stroke
    facts = captions.facts_of(captions.draw(200, np.random.default_rng(0)))
    images = composition.compose(facts, drawn, labels, np.random.default_rng(1))
    assert images.shape == (200, 32, 32, 1) and images.dtype == np.uint8
    places = set()
    for image, fact in zip(images[..., 0], facts, strict=True):
        for number, half in enumerate(np.split(image, 2, axis=0 if fact[0] else 1)):
            size, stroke, digit = fact[1 + 3 * number : 4 + 3 * number]
            shade = half.max() - 50
            assert np.sum(half > 0) == 16  # the whole patch, in its own half
            assert shade // 20 == digit
            assert size in (-1, shade % 20 // 4) and stroke in (-1, shade % 4 // 2)
            places.add(tuple(np.argwhere(image == half.max())[0]))
    assert len(places) > 30  # not always in the same place
