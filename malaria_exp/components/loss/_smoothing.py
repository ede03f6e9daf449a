"""Label smoothing (Szegedy et al. 2016, https://arxiv.org/abs/1512.00567)."""

from typing import Annotated, Any

from malaria_exp.config.validation import Range

Smoothing = Annotated[float, Range(low=0, below=1)]


def smoothed(labels: Any, label_smoothing: float) -> Any:
    """Returns labels in [0, 1] squeezed towards 0.5: 0 and 1 become s/2 and 1 - s/2."""
    return labels * (1 - label_smoothing) + label_smoothing / 2
