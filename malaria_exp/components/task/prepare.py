"""Writing a dataset as shards to stream from, or a sample of it in the official layout."""

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Literal

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Count, Pattern, PositiveInt
from malaria_exp.runs.run_folder import claim_run
from malaria_exp.utils.errors import ConfigError

if TYPE_CHECKING:
    from malaria_exp.config.app import App


@register("task", "prepare")
def prepare(
    app: "App",
    /,
    *,
    to: Annotated[str, Pattern(r".+", "the folder or URL to write to")],
    what: Literal["shards", "sample"] = "shards",
    shard_mb: PositiveInt = 64,  # noqa: ARG001
    size: PositiveInt | None = None,  # noqa: ARG001
    cells: PositiveInt | None = 600,
    seed: Count = 0,
    parts: PositiveInt = 1,
    part: Count = 0,  # noqa: ARG001
) -> None:
    """Writes the dataset as shards to stream from (dataset=shards), or a sample of it as image files in the official layout.

    Args:
        to: folder or URL; shards go anywhere gfile or fsspec write (a path, gs://, s3://), a sample to a local folder.
        what: shards, which go on where a killed run stopped and never replace another set; or sample, a new folder.
        shard_mb: shards - megabytes of a shard, about.
        size: shards - edge of the images in pixels; null for the model's.
        cells: sample - at most so many cells, thinned out evenly over patients and classes; null for all.
        seed: of the order in which cells are dealt to shards, or of which cells the sample takes.
        parts: shards - so many jobs share them; -m task=prepare task.parts=64 'task.part=range(64)' runs them and finishes the set.
        part: shards - which of the jobs this one is, from 0.

    Raises:
        DataError: bad images (all of them listed), or the folder cannot be written or holds something else.
    """
    from malaria_exp.data.write_sample import new_sample_folder, write_sample
    from malaria_exp.runs.load_data import load_table
    from malaria_exp.runs.prepare_shards import prepare_shards

    app.config.check_components(("dataset", "model"))
    if what == "sample":
        if parts > 1:
            raise ConfigError(
                f"task.parts: received {parts}; a sample is written by one job. Give task.what=shards, or leave task.parts out."
            )
        folder = new_sample_folder(to)
        write_sample(load_table(app.config), folder, cells, seed)
        return
    # Only a job of a multirun has a folder of its own, by which the multirun knows how it ended.
    claim = claim_run(app.output_dir, config_text=app.config_text, overrides=app.overrides, task="prepare")
    with claim if app.may_resume else nullcontext():
        prepare_shards(app.config)
