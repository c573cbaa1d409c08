"""A chapter's train.py where the chapter has several programs: it runs them one after the other.

Imports no TensorFlow.
"""

import importlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from common import UserError, flags, folders
from common.files import Files
from common.replicas import find_cluster
from common.settings import Frozen, Precision
from common.training import command_line


class Settings(Frozen):
    """How to run the chapter's programs."""

    preset: Literal["quick", "smoke"] = "quick"
    """named settings, which each program has; its own --help shows them, and what else it takes"""
    output_dir: str | None = None
    """where each program's run gets a folder (default: runs/CHAPTER/NUMBER); with the folder of a
    run that was stopped, that run goes on"""
    precision: Precision | None = None
    """of all programs, in place of their presets': float32 on CPUs without instructions for
    bfloat16"""
    dry_run: bool = False
    """print the settings and stop"""


def program(
    chapter: str, description: str, names: Sequence[str]
) -> Callable[[list[str] | None], dict | None]:
    """A `main` that calls those of several programs, with the same preset.

    Args:
        chapter: the name of its folder.
        description: what `--help` begins with.
        names: of the programs' modules, in their order.
    """

    def main(argv: list[str] | None = None) -> dict | None:
        config = flags.read(description, Settings, argv)
        modules = {name: importlib.import_module(f"{chapter}.{name}") for name in names}
        chosen = ["--preset", config.preset]
        chosen += ["--precision", config.precision] if config.precision else []
        if config.dry_run:
            for name, module in modules.items():
                print(f"\n{name}.py")
                module.main([*chosen, "--dry-run"])
            return None
        if find_cluster():
            raise UserError(
                f"{chapter}/train.py runs on one machine; on several, run one of "
                f"{', '.join(f'{name}.py' for name in names)} by itself"
            )
        run = Files()
        run.path = folder = open_folder(chapter, config.output_dir, names)
        for number, (name, module) in enumerate(modules.items(), start=1):
            print(f"\n{name}.py, {number} of {len(modules)}")
            try:
                module.main([*chosen, "--output-dir", str(folder / name), "--resume", "auto"])
            except KeyboardInterrupt:  # its text would go on with this program alone
                command = command_line(chapter, *chosen, "--output-dir", str(folder))
                raise KeyboardInterrupt(
                    f"Stopped in {name}.py; what was done up to its last checkpoint is kept. "
                    f"Go on with\n  {command}"
                ) from None
        results = {name: run.read_json(f"{name}/results.json") for name in modules}
        run.write_json("results.json", results)
        return results

    return main


def open_folder(chapter: str, output_dir: str | None, names: Sequence[str]) -> Path:
    """The folder that was named, or a new one.

    Args:
        names: of the programs; one that holds none of their folders has to be empty.

    Raises:
        UserError: the run in it is finished, it holds something else, or there can be no new one.
    """
    folder = folders.named(output_dir)
    if folder is None:
        home = Path("runs") / chapter
        try:
            return folders.make_next(home)
        except OSError as error:
            raise UserError(f"{home}: cannot be written to: {error.strerror}") from error
    begun = any(os.path.isdir(folder / name) for name in names)
    if os.path.lexists(folder) and (os.path.exists(folder / "results.json") or not begun):
        folders.refuse_used(folder, resumable=False)
    return folder
