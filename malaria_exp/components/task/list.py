"""The groups and their options, on the terminal."""

import inspect
from typing import TYPE_CHECKING

from rich.console import Console

from malaria_exp.config.registry import GROUPS, component, options, register
from malaria_exp.config.run_config import COMMON_KEYS
from malaria_exp.config.validation import describe
from malaria_exp.utils.errors import ConfigError, did_you_mean
from malaria_exp.utils.program import program

if TYPE_CHECKING:
    from malaria_exp.config.app import App


@register("task", "list")
def list_options(app: "App", /, *, show: str | None = None) -> None:  # noqa: ARG001
    """Shows every group with its options, a line of help each.

    Args:
        show: a group, or group/option, to show with its keys, types, ranges and defaults.
    """
    out = Console(highlight=False, soft_wrap=True)
    if show is None:
        for group in GROUPS:
            _show_group(out, group)
        out.print(f"Choose with group=option; details: {program()} task=list task.show=group/option")
        return
    group, _, name = show.partition("/")
    if group not in GROUPS:
        raise ConfigError(f"task.show: no group '{group}'.{did_you_mean(group, GROUPS)} Groups: {', '.join(GROUPS)}.")
    if name:
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
