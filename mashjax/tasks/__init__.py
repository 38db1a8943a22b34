"""One module per task; a task is features, init_model, loss_fn and evaluate."""
