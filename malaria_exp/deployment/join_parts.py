"""The parts of a prediction, which jobs of a multirun have computed, as the one result that a single job would have written."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from malaria_exp.config.run_config import Config
from malaria_exp.deployment.bundle import read_facts
from malaria_exp.deployment.image_sources import open_images
from malaria_exp.deployment.predict_images import images_of, model_folder, write_results
from malaria_exp.runs.read_files import PREDICTIONS, read_config
from malaria_exp.utils.atomic_files import new_folder
from malaria_exp.utils.errors import RunFolderError


def join_parts(jobs: Sequence[Path], target: Path) -> None:
    """Joins the predictions of jobs, byte for byte as one job writes them.

    Args:
        jobs: the folders of all parts, in their order.
        target: a new folder.

    Raises:
        RunFolderError: a job's folder is damaged, or the parts are not all of the images.
        DataError: the images are no longer there; their pictures are needed.
    """
    config = Config.from_plain(read_config(jobs[0]))
    facts = read_facts(model_folder(config))
    with open_images(images_of(config)) as images, new_folder(target) as folder:
        with (folder / PREDICTIONS).open("wb") as joined:
            for number, job in enumerate(jobs):
                with (job / PREDICTIONS).open("rb") as part:
                    header = part.readline()
                    if not number:
                        joined.write(header)
                    shutil.copyfileobj(part, joined)
        with (folder / PREDICTIONS).open("rb") as joined:
            rows = sum(1 for _ in joined) - 1
        if rows != len(images.names):
            raise RunFolderError(f"'{jobs[0].parent}' has predictions of {rows:,} images where {len(images.names):,} are there now.")
        write_results(folder, folder / PREDICTIONS, facts, images, range(rows), config, shown_at=target)
