"""Serving a finished model over HTTP."""

from typing import TYPE_CHECKING, Annotated

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Count, Pattern, Positive, PositiveInt, Range
from malaria_exp.deployment.explanations.occlusion import OCCLUSION
from malaria_exp.utils.errors import ConfigError

if TYPE_CHECKING:
    from malaria_exp.config.app import App

Host = Annotated[str, Pattern(r"[\w.:-]+", "an address or a name of this machine")]
Port = Annotated[int, Range(low=0, high=65535)]


@register("task", "serve")
def serve(
    app: "App",
    /,
    *,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    token_file: str | None = None,
    threads: Count = 1,
    max_cells: PositiveInt = 2000,
    max_waiting: PositiveInt = 4000,
    timeout: Positive = 60.0,
    method: str = OCCLUSION,
) -> None:
    """Serves a finished run or a bundle (run=...) over HTTP: predictions, and a page for the browser.

    Args:
        host: address to listen on; 127.0.0.1 is reached from this machine alone, 0.0.0.0 from others too.
        port: 0 takes any that is free.
        token_file: a file with the token that requests have to bring; null takes the environment's MALARIA_EXP_SERVE_TOKEN, or none.
        threads: that compute the scores of a bundle; 0 takes one a core.
        max_cells: images in a request.
        max_waiting: images of all requests that may wait to be scored; more are answered with 429.
        timeout: seconds from a request to its answer.
        method: how maps of cells are made, an option of the group explanation. Others than occlusion need a run, which is then served on TensorFlow.
    """
    from malaria_exp.deployment.explanations.draw_one import map_drawer
    from malaria_exp.deployment.local_model import local_model
    from malaria_exp.deployment.service.limits import Limits
    from malaria_exp.deployment.service.serve import check_packages, read_token
    from malaria_exp.deployment.service.serve import serve as start

    config = app.config
    if config.run is None:
        raise ConfigError("run: received null; task=serve needs a finished run or a bundle: run=outputs/...")
    if max_waiting < max_cells:
        raise ConfigError(
            f"task.max_waiting: received {max_waiting}; expected at least task.max_cells, {max_cells}, or no request of that fits."
        )
    check_packages()
    start(
        local_model(config.run, config.cache.path),
        host=host,
        port=port,
        token=read_token(token_file),
        limits=Limits(max_cells, max_waiting, timeout),
        threads=threads,
        drawer_of=None if method == OCCLUSION else lambda model: map_drawer(model, method, config),
    )
