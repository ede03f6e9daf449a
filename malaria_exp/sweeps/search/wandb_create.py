"""Creating a sweep at W&B's server by its own client, in a process of its own.

The client tries for minutes to reach a server that does not answer, changes the environment, prints to standard output and leaves a process
running; the search shall be spared this. python -m malaria_exp.sweeps.search.wandb_create reads a JSON object with config, entity and
project from standard input and writes a JSON object to standard output.
"""

import io
import json
import os
import re
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

from malaria_exp.utils.errors import DataError
from malaria_exp.utils.redaction import redact

SECONDS = 60.0


@dataclass(frozen=True)
class Created:
    """A sweep at the server.

    Attributes:
        id: its id.
        entity: the user or team it belongs to.
        project: its project.
        url: its page; None if the client does not print it.
    """

    id: str
    entity: str | None
    project: str | None
    url: str | None

    @property
    def path(self) -> str:
        """The name that agents find it by."""
        return "/".join(part for part in (self.entity, self.project, self.id) if part)


def create(config: dict[str, Any], entity: str | None, project: str) -> tuple[Created, str]:
    """Creates a sweep; returns it and the client's warnings.

    Args:
        config: the sweep, as its file has it.
        entity: user or team; None for the account's own.
        project: its project.

    Raises:
        DataError: the server cannot be reached or refuses.
    """
    request = json.dumps({"config": config, "entity": entity, "project": project})
    server = os.environ.get("WANDB_BASE_URL", "the server of W&B")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "malaria_exp.sweeps.search.wandb_create"],
            input=request,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            start_new_session=True,
        )
        answer = json.loads(done.stdout.strip().rpartition("\n")[2] or "null")
    except subprocess.TimeoutExpired:
        raise DataError(
            f"engine: {server} has not answered for {SECONDS:.0f} s, so no sweep was begun. engine=local runs the same file without it."
        ) from None
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or "error" in answer:
        reason = answer["error"] if isinstance(answer, dict) else done.stderr.strip().rpartition("\n")[2]
        raise DataError(
            f"engine: {server} has not taken the sweep: {redact(' '.join(reason.split()))[:500].rstrip('.')}. engine=local runs the same file without it."
        )
    warnings = done.stderr.partition("WARNING ")[2]
    return Created(**answer), redact(" ".join(warnings.split()))


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    import wandb

    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            sweep = wandb.sweep(request["config"], entity=request["entity"], project=request["project"])
    except Exception as error:  # noqa: BLE001 - whatever the client raises becomes a message
        return {"error": f"{type(error).__name__}: {error}"}
    url = re.search(r"Sweep URL: (\S+)", printed.getvalue())
    # The client stores the names that the server chose in the environment.
    return {
        "id": sweep,
        "entity": os.environ.get("WANDB_ENTITY"),
        "project": os.environ.get("WANDB_PROJECT"),
        "url": url[1] if url else None,
    }


if __name__ == "__main__":
    print(json.dumps(_answer(json.load(sys.stdin))), flush=True)  # noqa: T201 - the engine reads it
