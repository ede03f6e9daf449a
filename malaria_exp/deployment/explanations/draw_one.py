"""The map of one cell as a picture, for the page of new images."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np

from malaria_exp.config.registry import build
from malaria_exp.config.run_config import Config
from malaria_exp.data.resize import ResizeRule
from malaria_exp.deployment.deployed_model import DeployedModel
from malaria_exp.deployment.explanations.explained_model import ExplainedModel, Explanation
from malaria_exp.deployment.explanations.occlusion import draw_map
from malaria_exp.deployment.explanations.overlay import to_cell
from malaria_exp.deployment.open_model import KerasModel
from malaria_exp.utils.errors import ConfigError

COLORS = "Orange places speak for parasitized, blue places against it: the stronger the color, the more. Gray places hardly count."


class Drawer(NamedTuple):
    """Draws maps.

    Attributes:
        draw: from a cell as the model takes it, uint8 (size, size, 3), to a PNG of its map.
        meaning: what a map shows, in words.
    """

    draw: Callable[[np.ndarray], bytes]
    meaning: str


class _ScoresAlone:
    """What an exported model is to a method of explanation: it has scores, and no layers or gradients."""

    def __init__(self, score: Callable[[np.ndarray], np.ndarray]) -> None:
        self.score = score

    def __getattr__(self, name: str) -> Any:
        raise ConfigError(
            "task.method: it needs the run's own model, as a bundle gives scores alone. Give the run's folder, or task.method=occlusion."
        )


def map_drawer(model: DeployedModel, name: str, config: Config) -> Drawer:
    """Returns what draws maps by a method.

    Args:
        model: whose scores are explained.
        name: option of the group `explanation`; its keys are those of the configuration, if they are there.
        config: of the job.

    Raises:
        ConfigError: there is no such method, or it cannot work with this model.
    """
    params = next((choice.params for choice in config.choices["explanation"] if choice.name == name), {})
    method: Explanation = build("explanation", name, params, path=f"explanation.{name}")
    explained = ExplainedModel.of(model.saved) if isinstance(model, KerasModel) else _ScoresAlone(lambda images: model(images).score)
    size = model.facts.rule.size

    def draw(image: np.ndarray) -> bytes:
        values = method(cast("ExplainedModel", explained), image[None])[0]
        return draw_map(image, to_cell(values, (size, size), ResizeRule(size, "stretch")), least=method.least)

    # Whether it works with this model is known before thousands of cells are scored.
    draw(np.full((size, size, 3), 128, np.uint8))
    return Drawer(draw, f"{COLORS} {method.caption}")
