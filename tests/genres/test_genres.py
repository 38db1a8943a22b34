"""A network of genres in use: scores beside floors, calibration, vectors, maps, a library."""

import concurrent.futures
import csv
import dataclasses
import importlib.util
import json
import pathlib

import numpy as np
import pytest

from mashjax.data.building import build_store
from mashjax.data.store import Settings
from mashjax.data.track_rows import planned
from mashjax.data.tracks import Track
from mashjax.errors import UserError
from mashjax.genres import embedding
from mashjax.genres.evaluating import evaluate
from mashjax.genres.measures import calibrated, calibration_error, measured, of_popularity
from mashjax.genres.models import read_model
from mashjax.genres.similar import similar
from mashjax.genres.telling import told

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"


@dataclasses.dataclass(frozen=True)
class Made:
    """A song of one of two genres: one has high timbre, words of its own and is popular."""

    number: int
    files: dict[str, list[pathlib.Path]] = dataclasses.field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"song{self.number:02}"

    @property
    def group(self) -> str:
        return self.id

    @property
    def split(self) -> str:
        return ("test", "valid", "train", "train")[self.number // 2 % 4]

    @property
    def genre(self) -> str:
        return ("high", "low")[self.number % 2]

    @property
    def words(self) -> dict[str, int] | None:
        return {("sky", "sea")[self.number % 2]: 2, "and": 1}

    def load(self) -> Track:
        rng = np.random.default_rng(self.number)
        timbre = rng.normal(60 if self.genre == "high" else -60, 40, (24, 12))
        return Track(
            self.id, "", self.id, 6.0, rng.random((24, 12)).astype(np.float32),
            timbre.astype(np.float32), np.arange(24) / 4, words=self.words, genre=self.genre,
            popularity=float(self.number + 50 * (self.genre == "high")), split=self.split,
        )  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("genres") / "store")
    tracks, left_out, settings = planned(
        [Made(n) for n in range(64)], Settings(layout="genre", sample_rate=4, seconds=6.0)
    )
    build_store(tracks, path, settings=settings, left_out=left_out)
    return path


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    """A few steps of configs/genre_dense.py, smaller."""
    from mashjax.training.loop import train

    spec = importlib.util.spec_from_file_location("genre_dense", CONFIGS / "genre_dense.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cfg = module.get_config()
    cfg.model = dataclasses.replace(cfg.model, dense=16, embedding=8, topics=2, dropout=0.0)
    cfg.optim = dataclasses.replace(cfg.optim, learning_rate=1e-2, warmup=5, ema=0.9)
    for name, value in {"batch_size": 16, "steps": 60, "eval_every": 30,
                        "log_every": 10, "statistics_batches": 4}.items():  # fmt: skip
        setattr(cfg, name, value)
    workdir = tmp_path_factory.mktemp("genres") / "run"
    assert train(cfg, data=store, workdir=workdir).step == 60
    return workdir


@pytest.fixture(scope="module")
def export(run, store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("genres") / "export"
    plots = folder.with_name("plots")
    return folder, plots, evaluate(run, data=store, plots=plots, export=folder)


def test_scores_stand_beside_their_floors(export):
    from matplotlib.image import imread

    _, plots, result = export
    assert result["songs"] == 16 and result["genres"] == {"high": 8, "low": 8}
    assert result["model"]["accuracy"] == result["logistic_regression"]["accuracy"] == 1
    assert result["majority"]["accuracy"] == 0.5 and result["majority"]["macro_f1"] < 0.34
    popularity = result["popularity"]
    assert popularity["rank_correlation"] > 0.5 > popularity["chance"]["rank_correlation"]
    assert 0 < result["calibration"]["threshold"] <= 1
    assert sorted(p.name for p in plots.iterdir()) == sorted(result["plots"])
    assert "learning.png" in result["plots"]
    assert all(imread(plots / name).std() > 0.02 for name in result["plots"])
    json.dumps(result)


def test_an_export_names_songs_and_knows_what_it_does_not_know(export):
    state = read_model(export[0])
    assert state.calibrated and state.cfg.names == ["high", "low"]
    songs = [Made(n).load() for n in (0, 1)]
    found = told(state, songs, top=1)
    assert [one["genre"] for one in found] == ["high", "low"]
    assert found[0]["words"] == 2 and found[0]["popularity_decile"] > found[1]["popularity_decile"]
    between = dataclasses.replace(
        songs[0], timbre=np.zeros((24, 12), np.float32), words=None, popularity=None
    )
    unsure = told(state, [between], top=2)[0]
    assert max(unsure["genres"].values()) < 0.9999
    assert told(state, [between], top=2, threshold=1.0)[0]["genre"] == "unknown"


def test_vectors_and_maps_are_written(export, store, tmp_path):
    state = read_model(export[0])
    found = embedding.embed_store(state, store, split="train")
    assert found.vectors.shape == (32, 8) and found.right == found.named
    written = embedding.write_vectors(found, str(tmp_path / "v.npy"))
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), found.vectors)
    with open(written[1]) as file:
        rows = list(csv.DictReader(file))
    assert [row["song"] for row in rows] == found.songs and rows[0]["genre"] == found.right[0]
    parquet = pytest.importorskip("pyarrow.parquet")
    embedding.write_vectors(found, str(tmp_path / "v.parquet"))
    table = parquet.read_table(tmp_path / "v.parquet").to_pydict()
    assert table["song"] == found.songs
    np.testing.assert_array_equal(np.float32(table["vector"]), found.vectors)
    odd = found._replace(songs=["<b>$x$", *found.songs[1:]])
    for name in ("map.png", "map.html"):
        embedding.draw_map(odd, str(tmp_path / name), title="mine")
    page = (tmp_path / "map.html").read_text()
    assert "&lt;b&gt;$x$: high, named high" in page and page.count("<circle") == 32
    with pytest.raises(UserError, match="a map needs 5 songs, and there are 0"):
        embedding.draw_map(found._replace(songs=[]), str(tmp_path / "x.png"), title="")
    for out, map, said in (
        (None, None, "say --out="),
        ("v.txt", None, "npy"),
        (None, str(tmp_path / "no" / "x.png"), "does not exist"),
    ):
        with pytest.raises(UserError, match=said):
            embedding.check_outputs(out, map)


def test_similar_songs_of_a_library(export, tmp_path, monkeypatch):
    """Analysed once; then from what was kept, whatever has become of the analysis."""
    pytest.importorskip("sqlalchemy")
    from mashjax.data.layouts import tracks
    from mashjax.library.database import open_library
    from mashjax.library.tables import SETTINGS, SONGS

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    opened = []

    def read_track(path):
        opened.append(pathlib.Path(path).name)
        if path.endswith("bad.flac"):
            raise UserError(f"{path}: cannot be read")
        return Made(int(pathlib.Path(path).stem)).load()

    monkeypatch.setattr(tracks, "read_track", read_track)
    library = open_library(tmp_path / "library.db", create=True)
    with library.writing() as connection:
        connection.execute(SETTINGS.delete())
        connection.execute(SETTINGS.insert().values(name="folder", value=str(tmp_path)))
        other = {c.name: 0 for c in SONGS.c if not c.nullable} | {"doubts": []}
        for number, name in enumerate(("10.flac", "11.flac", "12.flac", "bad.flac")):
            row = other | {"id": number + 1, "path": name, "sha256": f"{number:064}"}
            connection.execute(
                SONGS.insert().values(
                    {
                        k: str(v) if isinstance(SONGS.c[k].type, type(SONGS.c.path.type)) else v
                        for k, v in row.items()
                    }
                )
            )
    state = read_model(export[0])
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        for sha256 in ("", f"{1:064}"):  # the second one is a song of the library
            found, left_out = similar(
                library, state, Made(2).load(), sha256=sha256, count=2, pool=pool, ahead=2
            )
            assert [song["path"] for song in found] == ["10.flac", "12.flac"] or [
                song["path"] for song in found
            ] == ["12.flac", "10.flac"]
            assert found[0]["likeness"] >= found[1]["likeness"] > 0.5
            assert len(left_out) == 1 and "cannot be read" in left_out[0].why
    assert sorted(opened) == ["10.flac", "11.flac", "12.flac", "bad.flac", "bad.flac"]
    library.close()


def test_measures_are_what_they_say():
    p = np.array([[0.9, 0.1, 0], [0.6, 0.4, 0], [0.2, 0.8, 0], [0.7, 0.3, 0]])
    right = np.array([0, 0, 1, 1])
    found = measured(p, right, threshold=0.65)
    assert found["accuracy"] == 0.75 and found["named"] == 0.75
    assert found["accuracy_named"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2, abs=1e-4)
    # Ranked for genre 0: right, wrong, right, wrong -> 1 and 2/3; for genre 1 likewise mirrored.
    assert found["average_precision"] == pytest.approx((1 + 2 / 3) / 2, abs=1e-4)
    # Four songs in bins of their own.
    assert found["calibration_error"] == pytest.approx((0.1 + 0.4 + 0.2 + 0.7) / 4, abs=1e-4)
    assert calibration_error(np.full(10, 0.7), np.arange(10) < 7) == pytest.approx(0)


def test_a_temperature_mends_probabilities_that_are_too_sure():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (4000, 4))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    right = np.array([rng.choice(4, p=row) for row in p])
    sharp = 3 * np.log(p)
    sharp -= np.log(np.exp(sharp).sum(axis=1, keepdims=True))
    found = calibrated(sharp, right)
    assert found["temperature"] == pytest.approx(3, rel=0.1)
    rightly = p.max(axis=1)[p.argmax(axis=1) == right]
    assert (rightly < found["threshold"]).mean() == pytest.approx(0.05, abs=0.01)


def test_popularity_beside_chance():
    right = np.array([*range(10), -1])
    p = np.eye(10)[[*range(9), 8, 0]]
    found = of_popularity(p, right)
    assert found["songs"] == 10 and found["accuracy"] == 0.9 and found["within_one"] == 1
    assert found["rank_correlation"] > 0.99
    assert found["chance"] == {"accuracy": 0.1, "within_one": 0.28, "rank_correlation": 0.0}
    assert of_popularity(p[:3], np.array([4, -1, 4])) is None


def test_what_does_not_fit_is_one_line(run, store, tmp_path):
    with pytest.raises(UserError, match="--checkpoint= is missing"):
        read_model(None)
    other = str(tmp_path / "store")
    tracks, _, settings = planned(
        [Made(n) for n in range(8)], Settings(layout="genre", sample_rate=4, seconds=6.0)
    )
    settings = dataclasses.replace(settings, genres="high\nlow\nmiddle")
    build_store(tracks, other, settings=settings)
    with pytest.raises(UserError, match="its genres are not those that the model learned"):
        evaluate(run, data=other)
    settings = dataclasses.replace(settings, genres="high\nlow", seconds=5.0)
    build_store(tracks, str(tmp_path / "shorter"), settings=settings)
    with pytest.raises(UserError, match="has 20 segments of a song, and the model learned 24"):
        evaluate(run, data=str(tmp_path / "shorter"))
    with pytest.raises(UserError, match="--export needs a folder of its own"):
        evaluate(run, data=store, export=run)
