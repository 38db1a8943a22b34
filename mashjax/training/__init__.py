"""Mesh, state and step, loop, checkpoints, metrics: for any task."""
