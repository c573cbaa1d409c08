"""What chapter 9 measures of an image and of its translation, and of which runs."""

import json

import numpy as np
import pytest
from conftest import error_of

from chapter09_cyclegan import relations, train
from chapter09_cyclegan.properties import properties, rank_correlation, silhouette_overlap

GREY = np.array([[[0.0, 0.0, 0.05], [0.25, 0.75, 1.0]], [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
IMAGES = (GREY * 2 - 1)[..., np.newaxis].astype("float32")


def test_properties_are_of_the_object_alone():
    found = properties(IMAGES)
    assert found["shade"] == pytest.approx([(0.25 + 0.75 + 1) / 3, 0])
    assert found["contrast"] == pytest.approx([np.std([0.25, 0.75, 1]), 0])
    assert found["size"] == pytest.approx([3 / 6, 0])


def test_overlap_is_what_two_silhouettes_share_of_both():
    moved = np.roll(IMAGES, 1, axis=1)  # the other row
    assert silhouette_overlap(IMAGES[:1], (IMAGES[:1] + 1) / 2 - 1) == 1  # half as light
    assert silhouette_overlap(IMAGES[:1], moved[:1]) == 0
    assert silhouette_overlap(IMAGES, IMAGES) == 0.5  # of nothing and nothing, 0
    part = np.where(IMAGES > 0.9, IMAGES, -1)
    assert silhouette_overlap(IMAGES[:1], part[:1]) == pytest.approx(1 / 3)


def test_rank_correlation_is_spearmans():
    values = np.random.default_rng(0).normal(size=50)
    assert rank_correlation(values, np.exp(values)) == pytest.approx(1)
    assert rank_correlation(values, -(values**3)) == pytest.approx(-1)
    assert rank_correlation(values, np.ones(50)) == 0
    a, b = np.array([1.0, 2, 2, 3]), np.array([10.0, 30, 20, 40])
    ranks = [1, 2.5, 2.5, 4], [1, 3, 2, 4]
    assert rank_correlation(a, b) == pytest.approx(np.corrcoef(*ranks)[0, 1])


def make_run(folder, dataset):
    settings = train.PRESETS["smoke"].replace(dataset=dataset, augmentation="cut").model_dump()
    record = {"chapter": "chapter09_cyclegan", "preset": "smoke", "settings": settings}
    record |= {"data": {"source": "", "sha256": "1"}, "versions": {}}
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(record))
    (folder / "results.json").write_text("{}")
    return str(folder)


def test_runs_that_cannot_be_compared_are_one_line(tmp_path, capsys):
    digits, others, photos = (
        make_run(tmp_path / name, dataset)
        for name, dataset in (("a", "sample:3:8"), ("b", "sample:3:5"), ("c", "apple2orange"))
    )
    assert "is a run of sample:3:5" in error_of(relations.main, [digits, others], capsys)
    assert "apple2orange, which has no classes" in error_of(relations.main, [photos], capsys)
    assert "none" in error_of(relations.main, [str(tmp_path / "none")], capsys)


def test_table_has_means_and_deviations():
    def measured(shade):
        made = {kind: dict.fromkeys(relations.FIGURES, 0.5) for kind in relations.TRANSLATORS}
        made["translated"] = made["translated"] | {"shade": shade}
        del made["unrelated"]["retrieval"]
        return {"AB": made, "BA": made}

    both = relations.table(["shoe", "bag"], [measured(0.2), measured(0.4)]).splitlines()
    assert both[0].split() == ["shoe", "to", "bag", "bag", "to", "shoe"]
    shade = next(line for line in both if "shade" in line)
    assert shade.split()[4:] == ["0.30", "±", "0.14", *["0.50", "±", "0.00"] * 2] * 2
    one = relations.table(["shoe", "bag"], [measured(0.2)]).splitlines()
    assert one[-1].split()[-4:] == ["50.0%"] * 4  # of unrelated images, nothing comes back
