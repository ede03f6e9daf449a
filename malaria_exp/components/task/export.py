"""Exporting a finished run for other runtimes."""

import sys
from typing import TYPE_CHECKING, Annotated

from rich.console import Console

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Positive, Range
from malaria_exp.deployment.bundle import Format, Numbers

if TYPE_CHECKING:
    from malaria_exp.config.app import App


@register("task", "export")
def export(
    app: "App",
    /,
    *,
    formats: list[Format] = ["onnx"],  # noqa: B006 - never changed
    numbers: list[Numbers] = ["float32"],  # noqa: B006
    to: str | None = None,
    cells: Annotated[int, Range(low=2, high=100_000)] = 500,
    tolerance: Positive = 1e-4,
    int8_tolerance: Positive = 0.2,
) -> None:
    """Writes a finished run (run=outputs/...) as a bundle for other runtimes: raw images to scores, checked against Keras.

    Args:
        formats: saved_model, onnx, litert, openvino; at least one.
        numbers: what the models compute with - float32; int8 is smaller and faster, and calibrated on training cells.
        to: the bundle's folder, which must not exist; null for `bundle` in the run's folder.
        cells: how many cells each model is compared with Keras on.
        tolerance: largest difference of a score from Keras', of float32 models; one that differs more fails.
        int8_tolerance: the same of int8 models.

    Raises:
        DataError: an export says something else than Keras.
    """
    from malaria_exp.deployment.export import ExportSettings, export_run
    from malaria_exp.deployment.export_table import rich_table

    app.config.check_components(("dataset",))
    settings = ExportSettings(formats, numbers, cells, tolerance, int8_tolerance)
    folder, rows, checked_with = export_run(app.config, app.overrides, to, settings)
    # A file or a pipe has no width of its own.
    out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 130)
    out.print(rich_table(rows, checked_with))
    out.print(f"bundle: {folder}", markup=False)
