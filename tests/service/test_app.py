"""What the service answers to those who mean well."""

import json

import numpy as np
import pytest
import soundfile


def test_songs_are_listed_and_searched(service):
    found = service.get("/api/songs?search=ONE.w")
    assert found["total"] == 2  # gone.wav, too
    song = found["songs"][1]
    assert (song["id"], song["title"], song["tempo_bpm"]) == (service.songs["one.wav"], "one", 120)
    page = service.get("/api/songs?first=1&most=2")
    assert (page["total"], len(page["songs"])) == (len(service.songs), 2)
    assert service.get("/api/songs?search=%25")["total"] == 0  # no wildcard


def test_a_song_has_parts(service):
    song = service.get(f"/api/songs/{service.songs['two.wav']}")
    assert [part["bars"] for part in song["parts"]] == [4, 4]
    assert song["parts"][1]["start"] == pytest.approx(16 * 60 / 124, abs=1e-3)
    assert (song["key"]["tonic"], song["key"]["mode"]) == ("C", "major")


def test_peaks_are_the_song_s(start, tmp_path):
    with start(tmp_path) as service:
        path = f"/api/songs/{service.songs['one.wav']}/peaks"
        peaks = service.get(path)
        assert peaks["seconds"] == 16.0
        assert len(peaks["peaks"]) == 1600
        assert min(peaks["peaks"]) > 0.9  # of a steady tone
        y = np.zeros(16 * 8000)
        y[: 8 * 8000] = 0.25
        soundfile.write(service.music / "one.wav", y, 8000, subtype="PCM_24")
        changed = service.get(path)["peaks"]
        assert changed == [1.0] * 800 + [0.0] * 800


def test_audio_is_the_file_or_a_range_of_it(service):
    path = f"/api/songs/{service.songs['two.wav']}/audio"
    content = (service.music / "two.wav").read_bytes()
    status, headers, body = service.ask("GET", path)
    assert (status, body) == (200, content)
    assert (headers["content-type"], headers["accept-ranges"]) == ("audio/wav", "bytes")
    for asked, part in {
        "bytes=100-199": content[100:200],
        "bytes=-50": content[-50:],
        f"bytes={len(content) - 7}-": content[-7:],
        "bytes=0-999999999": content,
    }.items():
        status, headers, body = service.ask("GET", path, headers={"Range": asked})
        assert (status, body) == (206, part)
        assert headers["content-range"].endswith(f"/{len(content)}")


def test_partners_are_ranked_and_explained(service):
    id = service.songs["one.wav"]
    path = f"/api/songs/{id}/parts/1/partners"
    for role, roles in {
        "any": {"lead", "backing"},
        "lead": {"lead"},
        "backing": {"backing"},
    }.items():
        found = service.get(f"{path}?role={role}&top=3")["partners"]
        totals = [partner["total"] for partner in found]
        assert len(found) == 3 and totals == sorted(totals, reverse=True)
        assert id not in [partner["song"] for partner in found]
        assert {partner["role"] for partner in found} <= roles
        assert all(partner["why"] for partner in found)
    everything = service.get(f"{path}?top=50")["partners"]
    (two,) = (each for each in everything if each["song"] == service.songs["two.wav"])
    assert two["stretch_percent"] == pytest.approx(100 * (124 / 120 - 1), abs=0.01)


def test_a_rating_is_kept_with_its_score(service):
    pair = {
        "query": {"song": service.songs["one.wav"], "part": 0},
        "partner": {"song": service.songs["two.wav"], "part": 1},
        "role": "lead",
    }
    before = service.state()[0][2]
    status, _, _ = service.ask("POST", "/api/ratings", {**pair, "rating": 5})
    assert (status, service.state()[0][2]) == (201, before + 1)


def test_the_page_and_the_description_of_the_api(service):
    status, headers, body = service.ask("GET", "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"http://" not in body and b"https://" not in body  # nobody else's hosts
    nonce = body.partition(b'name="style-nonce" content="')[2].partition(b'"')[0].decode()
    assert f"'nonce-{nonce}'" in headers["content-security-policy"]
    assert service.ask("GET", "/")[2] != body  # another nonce
    assert service.ask("GET", "/docs")[0] == 200
    assert "/api/mixes" in service.get("/openapi.json")["paths"]
    assert service.ask("GET", "/static/page.js")[1]["content-type"].startswith("text/javascript")


def test_every_answer_has_its_headers(service):
    for path in ("/", "/api/songs", "/nothing", "/static/page.css", "/api/songs/x"):
        headers = service.ask("GET", path)[1]
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers


def test_a_fault_of_ours_tells_nothing(service, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("/home/somebody/secret")

    monkeypatch.setattr("mashjax.service.songs.listed", broken)
    status, headers, body = service.ask("GET", "/api/songs")
    assert (status, headers["x-content-type-options"]) == (500, "nosniff")
    assert json.loads(body) == {"detail": "something went wrong; the server's log says what"}


def test_a_library_that_is_gone_is_told_without_its_place(start, tmp_path):
    with start(tmp_path) as service:
        service.library.rename(tmp_path / "elsewhere")
        status, _, body = service.ask("GET", "/api/songs")
        said = {"detail": "the library cannot be used at present"}
        assert (status, json.loads(body)) == (503, said)
        (tmp_path / "elsewhere").rename(service.library)
        assert service.get("/api/songs")["total"] == len(service.songs)
