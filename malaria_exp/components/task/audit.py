"""Which labels are doubtful, by models that never saw the cells' patients."""

from typing import TYPE_CHECKING, Annotated

from malaria_exp.config.registry import register
from malaria_exp.config.run_config import Views
from malaria_exp.config.validation import Range
from malaria_exp.runs.run_folder import claim_run

if TYPE_CHECKING:
    from malaria_exp.config.app import App


@register("task", "audit")
def audit(
    app: "App",
    /,
    *,
    views: Views = 4,
    cells: Annotated[int, Range(low=1, high=1000)] = 60,
    neighbors: Annotated[int, Range(low=0, high=8)] = 3,
) -> None:
    """Ranks cells by how much folds' models contradict their labels (runs=outputs/multirun-...): pictures, and CSVs for dataset.csv.

    Args:
        views: logits are averaged over so many views of a cell: 1, 2 (mirrored), 4 (flipped) or 8 (turned, too).
        cells: of each class on the page, those that contradict their label most; audit.csv has all.
        neighbors: of each class that stand beside each of them on the page.
    """
    with claim_run(app.output_dir, config_text=app.config_text, overrides=app.overrides, task="audit") as folder:
        from malaria_exp.runs.audit_labels import audit_labels

        audit_labels(app.config, folder, views=views, shown=cells, neighbors=neighbors)
