"""Exporting a finished run for other runtimes."""

from typing import TYPE_CHECKING, Annotated

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Positive, Range
from malaria_exp.deployment.bundle import Format

if TYPE_CHECKING:
    from malaria_exp.config.app import App


@register("task", "export")
def export(
    app: "App",
    /,
    *,
    formats: list[Format] = ["onnx"],  # noqa: B006 - never changed
    to: str | None = None,
    cells: Annotated[int, Range(low=2, high=100_000)] = 500,
    tolerance: Positive = 1e-4,
) -> None:
    """Writes a finished run (run=outputs/...) as a bundle for other runtimes: raw images to scores, checked against Keras.

    Args:
        formats: saved_model, onnx, litert, openvino; at least one.
        to: the bundle's folder, which must not exist; null for `bundle` in the run's folder.
        cells: how many cells each model is compared with Keras on.
        tolerance: largest difference of a score from Keras'; one that differs more fails.

    Raises:
        DataError: an export says something else than Keras.
    """
    from malaria_exp.deployment.export import ExportSettings, export_run

    app.config.check_components(("dataset",))
    export_run(app.config, app.overrides, to, ExportSettings(formats, cells, tolerance))
