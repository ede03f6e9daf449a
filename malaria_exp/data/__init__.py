"""From a source to batches: the table of cells, the split manifest, the pixel cache, batches and augmentation chain."""
