"""What is compared of each chapter: two training loops, the book's own and ours; published figures.

"The book's loop" is the loop of the published notebooks, with the one change that makes a GAN's
learn on Keras 3: the discriminator is traced while it is trainable. (Its batch normalisation is
frozen with it in the generator's update, which leaves that loop less to do.)

A chapter has a module `chapterNN.py` here, if there is something to compare it with. It may define

    LOOPS       what `speed.py` compares: by a name to tell them apart ("" for the only one), a
                class whose `books` and `ours` make the two loops, each a function of the iterations
                to do. It says what is measured, too: the iterations of each in one turn, what ours
                may compute in (the book's loop is float32), train.py's flags for a run that is long
                enough to reach its peak of memory, and its preset, if that is not "book"
    PUBLISHED   for `quality.py`: of each preset, the published figures beside which ours are
                printed, by their names in results.json
    MEASURED    the presets that `quality.py` trains by default; otherwise quick and book
"""

import importlib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def chapters() -> list[str]:
    """The names of all chapters' folders."""
    return sorted(path.parent.name for path in REPOSITORY.glob("chapter*/train.py"))


def programs() -> list[str]:
    """What can be trained: "CHAPTER"; of a chapter whose train.py runs several, "CHAPTER/NAME"."""
    names = {
        chapter: getattr(importlib.import_module(f"{chapter}.train"), "PROGRAMS", None)
        for chapter in chapters()
    }
    return [
        program
        for chapter, several in names.items()
        for program in ([f"{chapter}/{name}" for name in several] if several else [chapter])
    ]


def compared() -> dict[str, type]:
    """What `speed.py` compares, by "CHAPTER" or "CHAPTER NAME"."""
    return {
        f"{chapter} {name}".strip(): loop
        for chapter in chapters()
        for name, loop in _defined(chapter, "LOOPS", {}).items()
    }


def published(program: str, preset: str) -> dict[str, str]:
    """Published figures by their names in results.json."""
    return _defined(program, "PUBLISHED", {}).get(preset, {})


def presets(program: str) -> dict:
    """The settings by name, of one of `programs`."""
    module = program.replace("/", ".") if "/" in program else f"{program}.train"
    return importlib.import_module(module).PRESETS


def measured_presets(program: str) -> list[str]:
    """The presets that are measured by default: once, where two are the same."""
    known = presets(program)
    usual = [name for name in ("quick", "book") if name in known]
    if len(usual) == 2 and known["quick"] == known["book"]:
        usual = ["book"]
    return _defined(program, "MEASURED", usual)


def _defined(chapter, name, default):
    module = chapter.split("_")[0]
    if not (Path(__file__).parent / f"{module}.py").exists():
        return default
    return getattr(importlib.import_module(f".{module}", __name__), name, default)
