"""One module per task; a task is features, init_model, loss_fn and evaluate.

What the training room calls, on every task alike (see `mashjax.tasks.mashup`):
Config, config_from_dict, fitted, a config with what its store knows, example_samples, read_samples,
init_model, statistics, loss_fn, samples; evaluate, VALIDATION, the measures of it that are quick,
SCORE, the name of the score that says which checkpoint is best, derived, what follows from the
means of scores, headline, these in a few words, and draw_scores.
"""

from types import ModuleType

from mashjax.tasks import autoencoder, genre, mashup, melody, melody_spectrogram

TASKS: dict[str, ModuleType] = {
    "mashup": mashup,
    "autoencoder": autoencoder,
    "genre": genre,
    "melody": melody,
    "melody_spectrogram": melody_spectrogram,
}
