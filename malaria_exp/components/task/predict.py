"""Scoring new images, of which nothing is known, with a finished run or a bundle."""

from typing import TYPE_CHECKING

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Count, PositiveInt
from malaria_exp.deployment.predict_images import Pictures
from malaria_exp.deployment.prediction_counts import Patients
from malaria_exp.deployment.predictions_file import has_part
from malaria_exp.runs.run_folder import claim_run

if TYPE_CHECKING:
    from malaria_exp.config.app import App


@register("task", "predict")
def predict(
    app: "App",
    /,
    *,
    parts: PositiveInt = 1,  # noqa: ARG001
    part: Count = 0,  # noqa: ARG001
    patients: Patients = "names",  # noqa: ARG001
    pictures: Pictures = 24,  # noqa: ARG001
    explain: Pictures = 0,  # noqa: ARG001
    method: str = "occlusion",  # noqa: ARG001
) -> None:
    """Scores new images (run=outputs/... or a bundle, images=a file, folder, zip, list, pattern or URL): a CSV, counts, a page.

    Args:
        parts: so many jobs share the images; -m task=predict task.parts=64 'task.part=range(64)' runs them and joins their results.
        part: which of them this job is, from 0.
        patients: whose cells the images are: names (told by names in the NIH grammar), folders (a folder of images is a patient), or one (all
            are of one patient).
        pictures: cells in each group of the page: the highest and lowest scores, the least certain, and those unlike the training data.
        explain: so many of them have a map of what speaks for parasitized and what against; a map takes as long as about 300 cells.
        method: how maps are made, an option of the group explanation; a bundle gives scores alone, of which occlusion makes maps.
    """
    from malaria_exp.deployment.predict_images import predict_images
    from malaria_exp.runs.storage import keep_copy

    again = app.may_resume and has_part(app.output_dir)
    with claim_run(app.output_dir, config_text=app.config_text, overrides=app.overrides, task="predict", again=again) as folder:
        predict_images(app.config, folder, app.overrides)
    # Only now, because the copy includes the final status.
    keep_copy(app.config, folder.path)
