"""The groups and their options, on the terminal."""

import inspect
import itertools
from typing import TYPE_CHECKING

from rich.console import Console

from malaria_exp.config.app import CONF, PRESETS
from malaria_exp.config.registry import GROUPS, component, options, register
from malaria_exp.config.run_config import COMMON_KEYS
from malaria_exp.config.suggestions import suggest_option
from malaria_exp.config.validation import describe
from malaria_exp.utils.errors import ConfigError, did_you_mean
from malaria_exp.utils.program import program

if TYPE_CHECKING:
    from malaria_exp.config.app import App


@register("task", "list")
def list_options(app: "App", /, *, show: str | None = None) -> None:  # noqa: ARG001
    """Shows every group with its options, and the presets, a line of help each.

    Args:
        show: a group, or group/option, to show with its keys, types, ranges and defaults; of a preset what it teaches and sets.
    """
    out = Console(highlight=False, soft_wrap=True)
    if show is None:
        for group in GROUPS:
            _show_group(out, group)
        for group in PRESETS:
            _show_presets(out, group)
        out.print(f"Choose with group=option; details: {program()} task=list task.show=group/option")
        return
    group, _, name = show.partition("/")
    if group not in {*GROUPS, *PRESETS}:
        known = [*GROUPS, *PRESETS]
        raise ConfigError(f"task.show: no group '{group}'.{did_you_mean(group, known)} Groups: {', '.join(known)}.")
    if group in PRESETS:
        _show_preset(out, group, name) if name else _show_presets(out, group)
    elif name:
        _show_option(out, group, name)
    else:
        _show_group(out, group)


def _show_group(out: Console, group: str) -> None:
    several = "; several: " + group + "=[first,second]" if GROUPS[group].many else ""
    out.print(f"[bold]{group}[/]  {GROUPS[group].help}{several}".replace("=[", "=\\["))
    names = options(group)
    width = max(map(len, names))
    for name, text in names.items():
        out.print(f"  {name:<{width}}  {text}", markup=False)
    out.print()


def _presets(group: str) -> dict[str, list[str]]:
    """Returns the lines of every preset of a group, by its name."""
    return {path.stem: path.read_text(encoding="utf-8").splitlines() for path in sorted((CONF / group).glob("*.yaml"))}


def _teaches(lines: list[str]) -> list[str]:
    """Returns what a preset's file says of itself: the comments at its beginning, without the command."""
    comments = itertools.takewhile(lambda line: line.startswith("#"), lines)
    return [line[2:] for line in comments if not line.startswith(("# @package", "# python run.py"))]


def _show_presets(out: Console, group: str) -> None:
    out.print(f"[bold]{group}[/]  {PRESETS[group]}")
    found = _presets(group)
    width = max(map(len, found))
    for name, lines in found.items():
        out.print(f"  {name:<{width}}  {' '.join(_teaches(lines)).partition('. ')[0].removesuffix('.')}.", markup=False)
    out.print()


def _show_preset(out: Console, group: str, name: str) -> None:
    found = _presets(group)
    if name not in found:
        raise ConfigError(f"task.show: no preset '{name}'.{suggest_option(group, name, found)} Presets of {group}: {', '.join(found)}.")
    lines = found[name]
    out.print(f"[bold]{group}={name}[/]")
    out.print("\n".join(_teaches(lines)), markup=False)
    out.print("\nSets:", markup=False)
    for line in itertools.dropwhile(lambda line: line.startswith("#"), lines):
        out.print(f"  {line}", markup=False)


def _show_option(out: Console, group: str, name: str) -> None:
    found = component(group, name)
    out.print(f"[bold]{group}={name}[/]")
    out.print(inspect.getdoc(found.builder).partition("\nArgs:")[0].strip(), markup=False)  # type: ignore[union-attr]
    prefix = f"{group}.{name}" if GROUPS[group].many else group
    for key, parameter in {**found.parameters, **COMMON_KEYS.get(group, {})}.items():
        default = "must be given" if parameter.default is inspect.Parameter.empty else f"default {parameter.default!r}"
        out.print(f"\n  {prefix}.{key}: {describe(parameter.annotation)}, {default}", markup=False)
        if parameter.help:
            out.print(f"      {parameter.help}", markup=False)
