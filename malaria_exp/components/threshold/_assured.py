"""What the thresholds with a target share."""

from typing import Annotated

from malaria_exp.config.validation import Range

Assurance = Annotated[float, Range(above=0, below=1)] | None


def on_which(assurance: float | None) -> str:
    """Returns in words on which patients the target is reached."""
    return "the validation patients" if assurance is None else f"{assurance:.0%} of resampled validation patients"
