"""Layers: LSTM, attention, encoder-decoder."""
