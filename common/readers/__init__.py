"""One file a dataset: the official on-disk format in, plain arrays out."""
