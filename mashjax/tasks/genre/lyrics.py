"""What words are about: a vector for each, and how much it says."""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds


def rarity(counts: sparse.csr_matrix) -> np.ndarray:
    """The inverse document frequency of each word, smoothed: float32 [words].

    counts: [songs, words]. A word of every song has 1, and one of no song the most.
    """
    songs = counts.shape[0]
    with_it = np.bincount(counts.indices, minlength=counts.shape[1])
    return (1 + np.log((1 + songs) / (1 + with_it))).astype(np.float32)


def topics(counts: sparse.csr_matrix, idf: np.ndarray, *, number: int) -> np.ndarray:
    """Vectors of words by latent semantic analysis (Deerwester et al., 1990): [words, number].

    The right singular vectors of the songs' TF-IDF rows, each of unit length, of the largest
    singular values first; words that come together in songs have vectors that look alike. Where
    there are fewer than `number`, the rest is 0.
    """
    tf_idf = counts.astype(np.float64)
    tf_idf.data = (1 + np.log(tf_idf.data)) * idf[tf_idf.indices]
    lengths = np.sqrt(np.asarray(tf_idf.multiply(tf_idf).sum(axis=1)).ravel())
    tf_idf = sparse.diags_array(1 / np.maximum(lengths, 1e-9)) @ tf_idf
    most = min(number, min(tf_idf.shape) - 1)
    vectors = np.zeros((counts.shape[1], number), np.float32)
    if most < 1 or not tf_idf.nnz:
        return vectors
    _, strengths, axes = svds(tf_idf, k=most, rng=np.random.default_rng(0))
    axes = axes[np.argsort(-strengths)]
    # Axes have no sign of their own: the largest entry is positive, or runs would differ.
    axes *= np.sign(np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1))
    # Scaled so that a word's number is of order 1 in a topic of its own.
    vectors[:, :most] = (axes * np.sqrt(counts.shape[1])).T
    return vectors
