"""The choice between training batches from memory, from the memory-mapped pixel cache, and from shards."""

from malaria_exp.data.augmentation_chain import Augmentation, Chain
from malaria_exp.data.batches import TrainingBatches
from malaria_exp.data.sampling import UNIFORM, Sampling
from malaria_exp.data.seeds import Batches
from malaria_exp.data.shards.shard_cache import ShardCache
from malaria_exp.data.streamed_batches import StreamedBatches
from malaria_exp.data.subsets import Cells


def training_batches(
    cells: Cells,
    *,
    batch_size: int,
    augmentations: list[Augmentation],
    seed: int,
    resident_gb: float,
    sampling: Sampling = UNIFORM,
    epochs: int = 0,
) -> Batches:
    """Returns the training batches that fit the cells' pixel cache: streamed from shards, or taken from memory or a memory-mapped file.

    `epochs` is the length of the run, for augmentations that end at a percentage of it.
    """
    chain = Chain(augmentations)
    if isinstance(cells.pixel_cache, ShardCache):
        return StreamedBatches(cells, batch_size=batch_size, chain=chain, seed=seed, sampling=sampling, epochs=epochs)
    return TrainingBatches(cells, batch_size=batch_size, chain=chain, seed=seed, resident_gb=resident_gb, sampling=sampling, epochs=epochs)
