"""Files, resampling, stretching, loudness, STFT: sound, without knowing that it is music."""
