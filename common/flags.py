"""Flags made from settings. Imports no TensorFlow."""

import argparse
from collections.abc import Iterable, Mapping
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from common import UserError, machine
from common.opening import DEFAULT_PRESET
from common.settings import Frozen, Settings

POSITIONAL = "positional"  # Annotated[str, POSITIONAL] marks an argument without a flag
METAVARS = {int: "N", float: "X", str: "TEXT"}
F = TypeVar("F", bound=Frozen)


class _Parser(argparse.ArgumentParser):
    def __init__(self, description: str, add_help: bool = True):
        super().__init__(
            description=description,
            allow_abbrev=False,
            add_help=add_help,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message):
        raise UserError(f"{message} (see --help)")


def read(description: str, settings: type[F], argv: list[str] | None) -> F:
    """The settings of a program without presets, as those that use what a run has trained.

    Raises:
        UserError: a flag is unknown, or its value is not one that it takes.
    """
    parser = _Parser(description)
    fields = settings.model_fields
    defaults = {
        name: field.get_default(call_default_factory=True, validated_data={})
        for name, field in fields.items()
        if not field.is_required()
    }
    _add_flags(parser, settings, fields, defaults)
    return settings.check(vars(parser.parse_args(argv)))


def parse(
    description: str, presets: Mapping[str, Settings], argv: list[str] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A run's options (preset, output_dir, resume, dry_run), and the settings that were typed."""
    preset: dict[str, Any] = {"choices": list(presets)}
    first = _Parser(description, add_help=False)  # for --help, which shows that preset's values
    first.add_argument("--preset", default=DEFAULT_PRESET, **preset)
    name = first.parse_known_args(argv)[0].preset
    chosen = presets[name]

    parser = _Parser(description)
    preset["help"] = (
        f"named settings, which the flags below override one by one (default: {DEFAULT_PRESET})"
    )
    parser.add_argument("--preset", **preset)
    fields = type(chosen).model_fields
    own = type(chosen).__annotations__
    shared = [name for name in fields if name not in own]
    for title, names in (("data and training", shared), ("this chapter", own)):
        group = parser.add_argument_group(title)
        _add_flags(group, type(chosen), names, chosen.model_dump(), name)
    run = parser.add_argument_group("run")
    run.add_argument(
        "--output-dir", metavar="DIR", help="the run's folder (default: runs/CHAPTER/NUMBER)"
    )
    run.add_argument(
        "--resume",
        nargs="?",
        const="latest",
        metavar="RUN",
        help="go on with the latest unfinished run, or with RUN, its folder or number; auto: as "
        "--resume, or begin a run if there is none; stop if the one in --output-dir is finished",
    )
    run.add_argument("--dry-run", action="store_true", help="print the settings and stop")
    machine.add_options(parser)
    options = vars(parser.parse_args(argv))
    return options, {name: options.pop(name) for name in list(options) if name in fields}


def _add_flags(
    parser: Any,
    settings: type[Frozen],
    names: Iterable[str],
    defaults: Mapping[str, Any],
    source: str = "default",
) -> None:
    """Adds a flag for each field of these names; its type, choices and help are the field's.

    Values are left as they were typed, for pydantic to convert and check.

    Args:
        parser: argparse's, or a group of one.
        defaults: for `--help`, by name; a positional argument without one must be given.
        source: what `--help` calls the defaults, as the preset's name.
    """
    for name in names:
        field = settings.model_fields[name]
        kind = _kind(field.annotation)
        counts: dict[str, Any] = {}
        if get_origin(kind) is tuple:  # so many values
            kind, counts = _kind(get_args(kind)[0]), {"nargs": len(get_args(kind))}
        elif get_origin(kind) is list:
            kind, counts = _kind(get_args(kind)[0]), {"nargs": "*" if name in defaults else "+"}
        if kind is bool:
            form: dict[str, Any] = {"action": argparse.BooleanOptionalAction}
        elif get_origin(kind) is Literal:
            form = {"choices": get_args(kind), "type": type(get_args(kind)[0])}
        else:
            form = {"metavar": "DIR" if name.endswith("_dir") else METAVARS[kind]}
        text = " ".join((field.description or "").split())
        if defaults.get(name) not in (None, []):
            text += f" ({source}: {shown(defaults[name])})"
        form |= {"help": text.replace("%", "%%"), "default": argparse.SUPPRESS, **counts}
        if POSITIONAL not in field.metadata:
            flag = "--" + (field.alias or name).replace("_", "-")
            parser.add_argument(flag, dest=name, required=name not in defaults, **form)
            continue
        if name in defaults:
            form.setdefault("nargs", "?")
        parser.add_argument(name, **(form | {"metavar": name.removesuffix("s").upper()}))


def _kind(annotation):
    """The type of a value, without `| None` and without its bounds."""
    if NoneType in get_args(annotation):
        annotation = get_args(annotation)[0]
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def shown(value):
    """A value for people to read."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return " ".join(map(str, value)) if isinstance(value, (tuple, list)) else value
