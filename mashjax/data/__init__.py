"""The TensorStore store: made of songs, read in batches."""
