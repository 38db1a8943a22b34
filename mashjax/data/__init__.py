"""Song folders, the TensorStore store, batches."""
