"""The command of a trial: a list of words with W&B's macros, filled in for this machine."""

import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from malaria_exp.utils.errors import ConfigError, did_you_mean

MACRO = re.compile(r"\$\{(\w+)(?::(\w+))?\}")
# ${args} and its like are flags, --key=value, which Hydra does not read.
MACROS = ("env", "interpreter", "program", "args_no_hyphens", "envvar:NAME")
ARGUMENTS = "${args_no_hyphens}"
USUAL = ("${env}", "${interpreter}", "${program}", ARGUMENTS)


def read_command(path: Path, command: Any) -> tuple[str, ...]:
    """Returns the command that stands in a sweep's file, with its macros, the usual one for None; a ConfigError if it cannot be used."""
    if command is None:
        return USUAL
    default = f"[{', '.join(USUAL)}]"
    if not isinstance(command, list) or not command:
        raise ConfigError(f"{path}: command: expected a list such as {default}, received {command!r}.")
    parts = [str(part) for part in command]
    for part in parts:
        for found in MACRO.finditer(part):
            known = bool(found[2]) if found[1] == "envvar" else found[1] in MACROS and not found[2]
            if not known or (found[1] in ("args_no_hyphens", "env") and found[0] != part):
                raise ConfigError(
                    f"{path}: command: '{part}' cannot be used here.{did_you_mean(found[1], MACROS)} Macros: {', '.join(f'${{{name}}}' for name in MACROS)}."
                )
    if ARGUMENTS not in parts:
        raise ConfigError(f"{path}: command: lacks {ARGUMENTS}, which stands for the trial's overrides. A usual command: {default}")
    return tuple(parts)


def need_command(path: Path, command: Any) -> None:
    """Raises a ConfigError if a sweep's file has no command, which W&B's agents need."""
    if command is None:
        raise ConfigError(
            f"{path}: command: missing; engine=wandb needs it, as W&B's agents would give --seed=1, which Hydra does not read. Add:"
            f" command: [{', '.join(USUAL)}]"
        )


def filled_command(path: Path, command: Sequence[str], program: str, overrides: list[str]) -> list[str]:
    """Returns the command of a trial on this machine, with the macros filled in.

    Args:
        path: of the sweep's file, for messages.
        command: with macros.
        program: what ${program} stands for.
        overrides: what ${args_no_hyphens} stands for.

    Raises:
        ConfigError: an environment variable that the command names is not set.
    """

    def value(found: "re.Match[str]") -> str:
        if found[1] != "envvar":
            return {"interpreter": sys.executable, "program": program}[found[1]]
        if found[2] not in os.environ:
            raise ConfigError(f"{path}: command: the environment variable {found[2]} is not set.")
        return os.environ[found[2]]

    filled: list[str] = []
    for part in command:
        # ${env} is /usr/bin/env, which sets nothing here, and only some systems have it.
        if part != "${env}":
            filled += overrides if part == ARGUMENTS else [MACRO.sub(value, part)]
    return filled


def shown_command(parts: list[str]) -> str:
    """Returns a command as it is typed in a shell."""
    return shlex.join(parts)
