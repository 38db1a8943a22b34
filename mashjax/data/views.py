"""The students' arrays: magnitude and phase of every example, as views of the stored audio.

    labels[part, song, frame, bin]              float32
    inputs[part, song, original, frame, bin]    float32

Part 0 is the STFT's magnitude, part 1 its phase in radians; song is the number of an example. They
are TensorStore arrays that hold nothing: what is read of them is computed from the store at that
moment, by SciPy, so that a reader's process starts no JAX. `materialise` makes files of them.
"""

import dataclasses

import numpy as np
import tensorstore as ts

from mashjax.data.store import PAIR, Store, decode

N_FFT = 2048  # samples per window, as the students had it
HOP_LENGTH = 512  # samples from frame to frame


def labels(
    store: Store, split: str, *, n_fft: int = N_FFT, hop_length: int = HOP_LENGTH
) -> ts.TensorStore:
    """The mashups of a split as they should be: a view [part, song, frame, bin].

    Where rows are songs, a label is lead 1 + backing 2 of the example and its best partner.
    The STFT is `mashjax.audio.stft`'s: periodic Hann window, centred, padded with zeros.

    One example is one chunk: whatever is read of it, all of it is computed, and the last two are
    kept. Reading raises what `Store.read` raises, a UserError, where a row is missing or damaged.
    """
    return _view(_Chunks(store, split, "labels", n_fft, hop_length))


def inputs(
    store: Store, split: str, *, n_fft: int = N_FFT, hop_length: int = HOP_LENGTH
) -> ts.TensorStore:
    """The two songs of each mashup: a view [part, song, original, frame, bin]; see `labels`."""
    return _view(_Chunks(store, split, "inputs", n_fft, hop_length))


def label(sources: np.ndarray) -> np.ndarray:
    """The mashup [samples] of an example's decoded sources, as `Store.read` orders them."""
    if len(sources) == len(PAIR):
        return sources[0] + sources[3]
    return sources[0]


def originals(sources: np.ndarray) -> np.ndarray:
    """Both songs [2, samples] of an example's decoded sources, as `Store.read` orders them."""
    if len(sources) == len(PAIR):
        return sources[0::2] + sources[1::2]
    return sources[1:]


def spectrum(y: np.ndarray, *, n_fft: int, hop_length: int) -> np.ndarray:
    """`mashjax.audio.stft.stft` without JAX: [..., samples] -> complex64 [..., frames, bins]."""
    from scipy import fft

    edges = [(0, 0)] * (y.ndim - 1) + [(n_fft // 2, n_fft // 2)]
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(y, edges), n_fft, axis=-1)
    window = np.hanning(n_fft + 1)[:-1].astype(np.float32)
    return fft.rfft(frames[..., ::hop_length, :] * window, overwrite_x=True)


@dataclasses.dataclass(frozen=True)
class _Chunks:
    """What TensorStore calls for an example's chunk; picklable, as views then are."""

    store: Store
    split: str
    kind: str  # "labels" or "inputs"
    n_fft: int
    hop_length: int

    @property
    def dimensions(self) -> tuple[str, ...]:
        original = ("original",) if self.kind == "inputs" else ()
        return ("part", "song", *original, "frame", "bin")

    @property
    def shape(self) -> tuple[int, ...]:
        samples = self.store.settings.samples
        frames = 1 + (samples + 2 * (self.n_fft // 2) - self.n_fft) // self.hop_length
        original = (2,) if self.kind == "inputs" else ()
        return (2, self.store.count(self.split), *original, frames, self.n_fft // 2 + 1)

    def __call__(
        self, domain: ts.IndexDomain, chunk: np.ndarray, _: ts.VirtualChunkedReadParameters
    ) -> None:
        example = domain[1].inclusive_min
        sources = decode(self.store.read(self.split, np.array([example]))[0])
        y = label(sources) if self.kind == "labels" else originals(sources)
        x = spectrum(y, n_fft=self.n_fft, hop_length=self.hop_length)
        np.abs(x, out=chunk[0, 0])
        np.arctan2(x.imag, x.real, out=chunk[1, 0])


def _view(chunks: _Chunks) -> ts.TensorStore:
    one = (2, 1, *chunks.shape[2:])
    context = ts.Context(
        {
            # Its own threads: those of the store's arrays would wait for themselves.
            "data_copy_concurrency": {"limit": 2},
            "cache_pool": {"total_bytes_limit": 2 * 4 * int(np.prod(one)) + 4096},
        }
    )
    return ts.virtual_chunked(
        chunks,
        dtype=ts.float32,
        domain=ts.IndexDomain(labels=chunks.dimensions, shape=chunks.shape),
        chunk_layout=ts.ChunkLayout(read_chunk_shape=one),
        context=context,
    )
