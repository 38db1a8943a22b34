"""Segments that sound alike, found without labels."""

import dataclasses

import numpy as np

MOST_GROUPS = 10  # that a map's colours can still be told apart
JUDGED = 2_000  # segments, at least, by which a number of groups is judged
KEPT = 0.9  # share of the variance that groups are found in
SEED = 0


@dataclasses.dataclass(frozen=True)
class Groups:
    """positions [segments, 2]: the first two principal components, which explain so much of the
    variance, `explained`; labels [segments]: groups from 0, the largest first; silhouette: -1..1,
    how well they are apart (Rousseeuw, 1987), 0 where there is one."""

    positions: np.ndarray
    explained: tuple[float, float]
    labels: np.ndarray
    silhouette: float

    @property
    def count(self) -> int:
        return int(self.labels.max(initial=-1)) + 1


def group(x: np.ndarray) -> Groups:
    """Place segments in two dimensions and put them into groups.

    x: [segments, numbers], see `features.vectors`. The number of groups is the one with the
    highest silhouette, of at most the root of half the segments (Mardia et al. 1979): few segments
    are best apart with a song in each group, which says nothing new. Fewer than 4 different
    segments are one group. Equal input gives equal groups.
    """
    from sklearn.decomposition import PCA

    x = np.asarray(x, float)
    distinct = len(np.unique(x, axis=0))
    if distinct < 2:
        return Groups(np.zeros((len(x), 2)), (0.0, 0.0), np.zeros(len(x), int), 0.0)
    axes = PCA(n_components=min(x.shape[1], distinct), svd_solver="full").fit(x)
    shares = axes.explained_variance_ratio_
    kept = max(2, int(np.searchsorted(shares.cumsum(), KEPT)) + 1)
    # A component's sign means nothing: the largest entry is positive, or maps would be mirrored.
    signs = np.sign(np.take_along_axis(axes.components_, _largest(axes.components_), axis=1))[:, 0]
    placed = (axes.transform(x) * signs)[:, :kept]
    labels, silhouette = _groups(placed, distinct)
    shown = np.zeros((len(x), 2))
    shown[:, : placed.shape[1]] = placed[:, :2]
    first, second = [*shares[:2].tolist(), 0.0][:2]
    return Groups(shown, (first, second), labels, silhouette)


def _groups(x: np.ndarray, distinct: int) -> tuple[np.ndarray, float]:
    """Labels of all segments, and their silhouette."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    judged = slice(None, None, max(1, len(x) // JUDGED))
    best: tuple[float, np.ndarray] = (0.0, np.zeros(len(x), int))
    most = min(MOST_GROUPS, max(2, round((distinct / 2) ** 0.5)), distinct - 2)
    for count in range(2, most + 1):
        labels = KMeans(count, n_init=4, random_state=SEED).fit_predict(x)
        if len(np.unique(labels[judged])) > 1:
            score = float(silhouette_score(x[judged], labels[judged]))
            best = max(best, (score, labels), key=lambda found: found[0])
    silhouette, labels = best
    order = np.argsort(-np.bincount(labels), kind="stable")
    return np.argsort(order)[labels], silhouette


def _largest(rows: np.ndarray) -> np.ndarray:
    return np.abs(rows).argmax(axis=1)[:, None]
