"""Several finished runs as one model (Lakshminarayanan et al. 2017, arXiv 1612.01474)."""

from typing import TYPE_CHECKING, Any, Literal

from malaria_exp.config.registry import register
from malaria_exp.config.validation import PositiveInt
from malaria_exp.runs.ensemble_members import load_members, rebuild_members
from malaria_exp.utils.errors import ConfigError

if TYPE_CHECKING:
    import keras


@register("model", "ensemble")
def ensemble(
    *,
    runs: list[str] = [],  # noqa: B006 - never changed, and shown as the default by task=list
    average: Literal["probability", "logit"] = "probability",
    image_size: PositiveInt | None = None,
    members: list[dict[str, Any]] = [],  # noqa: B006
) -> "keras.Model":
    """Averages finished runs: model.runs=[outputs/a,outputs/b]; not trained further, evaluated and saved like any model.

    The runs must share dataset and split, so that none was trained on another's test patients; runs of different folds of a
    cross-validation can be averaged on other patients' cells. The saved model holds all of them and no longer needs their folders.

    Args:
        runs: folders of finished runs, or patterns such as 'outputs/multirun-x/*'.
        average: probability: the mean of the members' scores; logit: the mean of their logits, which gives a very certain member more weight.
        image_size: edge of the input in pixels; null for that of the members.
        members: not for users; a saved ensemble is rebuilt from it.
    """
    import keras

    from malaria_exp.components.model.layers.mean_logit import MeanLogit

    if runs and members:
        raise ConfigError("model.members: received some beside model.runs. It is what a saved ensemble is rebuilt from; leave it [].")
    models, records = (rebuild_members(members), members) if members else load_members(runs)
    size = models[0].input_shape[1]
    if image_size not in (None, size):
        raise ConfigError(f"model.image_size: received {image_size}, but the members take images of {size} px. Leave it null.")
    for number, member in enumerate(models, start=1):
        member.name = f"member_{number}"
    inputs = keras.Input((size, size, 3))
    model = keras.Model(inputs, MeanLogit(average, name="mean")([member(inputs) for member in models]), name="ensemble")
    model.trainable = False
    model.rebuild_params = {"runs": [], "members": records, "image_size": size}
    return model
