"""Area under the ROC curve of the training batches."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register

if TYPE_CHECKING:
    import keras


@register("metric", "auc")
def auc() -> "keras.metrics.Metric":
    """Area under the ROC curve on the training cells so far in the epoch, from a histogram of their logits."""
    from malaria_exp.components.metric._ranking import AUC

    return AUC(name="auc")
