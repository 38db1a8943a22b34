"""Beats, keys and the alignment of two songs."""
