"""One file a dataset: writes a small, seeded, learnable stand-in in the dataset's official on-disk format."""
