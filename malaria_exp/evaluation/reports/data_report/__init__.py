"""The data report: the cells, the split, every augmentation and a training batch in pictures."""
