"""A page about this machine for a bug report."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from malaria_exp.config.registry import register
from malaria_exp.utils.atomic_files import write_text
from malaria_exp.utils.errors import ConfigError, UserError

if TYPE_CHECKING:
    from malaria_exp.config.app import App


@register("task", "doctor")
def doctor(app: "App", /, *, to: str | None = None) -> None:
    """Prints a page about this machine for a bug report: versions, devices, precision, cache, accounts, settings; no keys, no names.

    Args:
        to: a Markdown file to write the page to, instead of the terminal.

    Raises:
        ConfigError: the file cannot be written.
        UserError: nothing at all could be found out.
    """
    from malaria_exp.runs.doctor import examine, page

    chapters = examine(app.config)
    text = page(chapters)
    if to is None:
        sys.stdout.write(text)
    else:
        try:
            write_text(Path(to).expanduser(), text)
        except OSError as error:
            raise ConfigError(f"task.to: cannot write '{to}': {error.strerror or error}.") from None
    if all(line.problem for lines in chapters.values() for line in lines):
        raise UserError("Nothing works here: every line of the page is a problem.")
