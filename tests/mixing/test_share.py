import numpy as np

from mashjax.mixing.share import song2_share


def test_the_share_is_of_energy():
    sr, hop, window = 1000, 100, 400
    parts = np.zeros((2, 2, 10 * sr), np.float32)
    parts[0, :, : 6 * sr] = 1.0
    parts[1, :, 4 * sr : 8 * sr] = 3.0
    times, share = song2_share(parts, sr=sr, hop=hop, window=window)
    assert len(times) == 101 and times[10] == 1.0
    expected = {2.0: 0.0, 5.0: 0.9, 7.0: 1.0, 9.0: 0.5}  # the last: both silent
    for at, value in expected.items():
        np.testing.assert_allclose(share[times == at], value, atol=1e-9)


def test_the_order_of_the_songs_is_the_curves_direction():
    parts = np.random.default_rng(0).normal(size=(2, 1, 5000)).astype(np.float32)
    _, share = song2_share(parts, sr=1000, hop=100, window=400)
    _, other = song2_share(parts[::-1], sr=1000, hop=100, window=400)
    np.testing.assert_allclose(share, 1 - other, atol=1e-9)
