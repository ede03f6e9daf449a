"""Writing a dataset as shards to stream from, or a sample of it in the official layout."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from malaria_exp.config.registry import register
from malaria_exp.config.validation import Count, Pattern, PositiveInt

if TYPE_CHECKING:
    from malaria_exp.config.app import App


@register("task", "prepare")
def prepare(
    app: "App",
    /,
    *,
    to: Annotated[str, Pattern(r".+", "the folder or URL to write to")],
    what: Literal["shards", "sample"] = "shards",
    shard_mb: PositiveInt = 64,
    size: PositiveInt | None = None,
    cells: PositiveInt | None = 600,
    seed: Count = 0,
) -> None:
    """Writes the dataset as shards to stream from (dataset=shards), or a sample of it as image files in the official layout.

    Args:
        to: folder or URL; shards go anywhere gfile or fsspec write (a path, gs://, s3://), a sample to a local folder.
        what: shards, which go on where a killed run stopped and never replace another set; or sample, a new folder.
        shard_mb: shards - megabytes of a shard, about.
        size: shards - edge of the images in pixels; null for the model's.
        cells: sample - at most so many cells, thinned out evenly over patients and classes; null for all.
        seed: of the order in which cells are dealt to shards, or of which cells the sample takes.

    Raises:
        DataError: bad images (all of them listed), or the folder cannot be written or holds something else.
    """
    from malaria_exp.data.shards.write_shards import write_shards
    from malaria_exp.data.write_sample import new_sample_folder, write_sample
    from malaria_exp.runs.load_data import load_table, resize_rule
    from malaria_exp.utils.filesystems import open_filesystem

    app.config.check_components(("dataset", "model"))
    if what == "sample":
        folder = new_sample_folder(to)
        write_sample(load_table(app.config), folder, cells, seed)
        return
    filesystem, cache = open_filesystem(to, "task.to"), app.config.cache
    rule = resize_rule(app.config)
    rule = replace(rule, size=size or rule.size)
    write_shards(load_table(app.config), filesystem, rule, shard_mb=shard_mb, seed=seed, workers=cache.workers, root=cache.path)
