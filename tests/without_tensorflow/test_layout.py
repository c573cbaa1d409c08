"""The way imports point: chapter → common → third party, no chapter to another, no circles."""

import ast
import graphlib

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


def imported_by(path):
    """The names of modules, and of what is imported from them, inside of functions too."""
    imported, ours = set(), path.parent.name
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level < 2, "there is nothing above a chapter"
            parts = [ours] if node.level else []  # "from .runs import Run" is of common.runs
            module = ".".join(parts + ([node.module] if node.module else []))
            imported |= {f"{module}.{alias.name}" for alias in node.names} | {module}
    return imported


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_imports_point_one_way(path):
    ours = path.parent.name
    for name in imported_by(path):
        top = name.split(".")[0]
        assert not top.startswith("chapter") or top == ours
        if ours == "common":
            assert path.stem in ABOVE.get(name, {path.stem}), name


def test_no_modules_of_common_import_each_other():
    modules = {f"common.{path.stem}": path for path in FILES if path.parent.name == "common"}
    graph = {name: imported_by(path) & modules.keys() for name, path in modules.items()}
    graphlib.TopologicalSorter(graph).prepare()  # a CycleError names those in a circle
