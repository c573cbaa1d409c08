"""The way imports point: chapter → common → third party, no chapter to another, no circles."""

import ast

import pytest
from conftest import REPOSITORY

# Within `common`: which modules may import these; all others are below them.
ABOVE = {
    "common.cli": set(),
    "common.flags": {"cli", "series"},
    "common.machine": {"flags", "cli"},
    "common.opening": {"parts", "machine", "flags", "cli"},
    "common.training": {"opening", "series"},
    "common.runs": {"training", "opening", "machine", "parts"},
    "common.checkpoints": {"training"},
    "common.callbacks": {"training"},
}
FILES = sorted(REPOSITORY.glob("chapter*/*.py")) + sorted(REPOSITORY.glob("common/*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_imports_point_one_way(path):
    imported, ours = set(), path.parent.name
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level < 2, "there is nothing above a chapter"
            parts = [ours] if node.level else []  # "from .runs import Run" is of common.runs
            module = ".".join(parts + ([node.module] if node.module else []))
            imported |= {f"{module}.{alias.name}" for alias in node.names} | {module}
    for name in imported:
        top = name.split(".")[0]
        assert not top.startswith("chapter") or top == ours
        if ours == "common":
            assert path.stem in ABOVE.get(name, {path.stem}), name
