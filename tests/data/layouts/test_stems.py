import json
import pathlib
import pickle

import numpy as np
import pytest
import soundfile
import yaml

from mashjax.data.layouts import slakh
from mashjax.data.layouts.stems import StemsSong, find_stems_songs, is_lead, read_stems_map
from mashjax.errors import UserError

SR = 22050


def write(path: pathlib.Path, y: np.ndarray, sr: int = SR) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, y, sr, subtype="FLOAT" if path.suffix.lower() == ".wav" else None)


def touch(folder: pathlib.Path, *names: str) -> None:
    """Empty files: what finds songs must not open them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def noise(seed: int, seconds: float = 2.5) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.2, 0.2, round(seconds * SR)).astype(np.float32)


def names(paths: tuple[pathlib.Path, ...]) -> list[str]:
    return [p.name for p in paths]


def slakh_entry(program: int, inst_class: str, **more: object) -> dict[str, object]:
    """As Slakh writes it."""
    return {
        "audio_rendered": True,
        "inst_class": inst_class,
        "is_drum": inst_class == "Drums",
        "program_num": program,
        **more,
    }


def slakh_song(folder: pathlib.Path, entries: dict[str, dict[str, object]]) -> StemsSong:
    """The song found in `folder`, with these entries and an empty file for each of them."""
    song = folder / "train" / "Track00001"
    touch(song, "mix.flac", "MIDI/S00.mid", *(f"stems/{name}.flac" for name in entries))
    fields = {"UUID": "1a81", "normalization_factor": -13.0, "stems": entries}
    (song / "metadata.yaml").write_text(yaml.safe_dump(fields))
    (found,) = find_stems_songs(folder)
    return found


def test_leads_and_backings_are_summed_and_as_long_as_the_longest(tmp_path):
    a, b, c, d = noise(0), noise(1, 3.0), noise(2), noise(3)
    write(tmp_path / "s/Lead Vocals.wav", a)
    write(tmp_path / "s/stems/choir_voice.WAV", b)
    write(tmp_path / "s/drums.wav", np.stack([c, d], axis=1))
    write(tmp_path / "s/stems/bass.wav", d)
    write(tmp_path / "s/mixture.wav", noise(4))
    write(tmp_path / "s/Mix.flac", noise(4))
    (song,) = find_stems_songs(tmp_path)
    lead, backing = song.load(sr=SR)
    assert song.id == "s"
    assert len(lead) == len(backing) == len(b)
    np.testing.assert_allclose(lead, np.pad(a, (0, len(b) - len(a))) + b, atol=1e-6)
    np.testing.assert_allclose(backing[: len(c)], (c + d) / 2 + d, atol=1e-6)
    assert not backing[len(c) :].any()


def test_stems_of_any_rate_arrive_at_the_wanted_one(tmp_path):
    t = np.arange(3 * 48000) / 48000
    wanted = 0.5 * np.sin(2 * np.pi * 440 * np.arange(3 * SR) / SR)
    write(tmp_path / "s/vocal.flac", 0.25 * np.sin(2 * np.pi * 440 * t), 48000)
    write(tmp_path / "s/vocal2.wav", wanted / 2, SR)
    write(tmp_path / "s/band.ogg", noise(0, 3.0), SR)
    lead, backing = find_stems_songs(tmp_path)[0].load(sr=SR)
    inner = slice(2000, -2000)
    error = lead[inner] - wanted[inner]
    # 24 bits in, soxr HQ: its 100 dB passband ripple and noise leave more than 80.
    assert 10 * np.log10(np.mean(wanted[inner] ** 2) / np.mean(error**2)) > 80
    assert abs(len(backing) - 3 * SR) <= SR // 100


@pytest.mark.parametrize(
    ("name", "lead"),
    [
        ("vocals.wav", True),
        ("Vocals30.mp3", True),
        ("leadguitar.mp3", True),
        ("SINGER.ogg", True),
        ("acapella.flac", True),
        ("a cappella.flac", True),
        ("LdVox_02.wav", True),
        ("drums.wav", False),
        ("other.wav", False),
        ("S03.flac", False),
    ],
)
def test_which_names_are_leads(name, lead):
    assert is_lead(pathlib.Path("folder with vocals in it", name)) == lead


def test_musdb_is_found_below_its_halves_with_its_artists_as_groups(tmp_path):
    stems = ["vocals.wav", "drums.wav", "bass.wav", "other.wav", "mixture.wav", "._vocals.wav"]
    for song in ("train/Some Band - First", "train/some band - Second", "test/夜 - 駆ける"):
        touch(tmp_path / song, *stems)
    touch(tmp_path, "train/Untitled/vocals.wav", "train/Untitled/rest.wav", ".cache/x/vocals.wav")
    (tmp_path / "test" / "loop").symlink_to(tmp_path, target_is_directory=True)
    found = find_stems_songs(tmp_path)
    assert [(song.id, song.group) for song in found] == [
        ("test/夜 - 駆ける", "夜"),
        ("train/Some Band - First", "some band"),
        ("train/Untitled", "train/Untitled"),
        ("train/some band - Second", "some band"),
    ]
    assert names(found[1].lead) == ["vocals.wav"]
    assert names(found[1].backing) == ["bass.wav", "drums.wav", "other.wav"]
    assert list(found[1].files) == ["lead", "backing"]
    assert pickle.loads(pickle.dumps(found)) == found


def test_the_likeliest_program_leads_a_slakh_song(tmp_path):
    song = slakh_song(
        tmp_path,
        {
            "S00": slakh_entry(30, "Guitar"),
            "S01": slakh_entry(128, "Drums"),
            "S02": slakh_entry(33, "Bass"),
            "S03": slakh_entry(52, "Strings (continued)"),
            "S04": slakh_entry(22, "Organ"),  # a harmonica, twice
            "S05": slakh_entry(53, "Strings (continued)", audio_rendered=False),
            "S06": slakh_entry(22, "Organ"),
            "S07": slakh_entry(103, "Sound Effects"),
        },
    )
    assert song.id == "train/Track00001"
    assert names(song.lead) == ["S04.flac", "S06.flac"]
    assert names(song.backing) == [f"S0{i}.flac" for i in (0, 1, 2, 3, 7)]
    assert names(song.files["metadata"]) == ["metadata.yaml"]


def test_drums_and_basses_never_lead_a_slakh_song(tmp_path):
    song = slakh_song(
        tmp_path,
        {
            "S00": slakh_entry(53, "Bass"),  # whatever its program says
            "S01": slakh_entry(53, "Drums"),
            "S02": slakh_entry(117, "Percussive"),
            "S03": slakh_entry(38, "Synth Lead"),
        },
    )
    with pytest.raises(UserError, match=r"has no lead: metadata\.yaml lists only drums, basses"):
        song.load(sr=SR)


def test_every_program_has_one_place_among_the_leads_or_none():
    ranked = [program for programs in slakh.LEADS for program in programs]
    assert len(ranked) == len(set(ranked))
    rhythm_and_effects = {*range(32, 40), 43, 47, *range(96, 104), *range(112, 128)}
    assert set(range(128)) - set(ranked) == rhythm_and_effects


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("stems:\n  S00: {inst_class: [", r"is not readable as YAML near line \d; restore it"),
        ("a: 2001-99-99", "is not readable as YAML"),
        ("stems:\n  S00: Guitar", "says nothing about the stem S00"),
    ],
)
def test_damaged_metadata_is_said_when_the_song_is_loaded(tmp_path, text, why):
    touch(tmp_path / "s", "stems/S00.wav", "stems/S01.wav")
    (tmp_path / "s/metadata.yaml").write_text(text)
    (song,) = find_stems_songs(tmp_path)
    with pytest.raises(UserError, match=rf"metadata\.yaml: {why}"):
        song.load(sr=SR)
    assert song.files == {}


def test_metadata_of_another_kind_is_passed_over(tmp_path):
    touch(tmp_path / "s", "vocals.wav", "band.wav")
    (tmp_path / "s/metadata.yaml").write_text("title: A Song\nstems: 2\n")
    (song,) = find_stems_songs(tmp_path)
    assert (names(song.lead), names(song.backing), song.about) == (["vocals.wav"], ["band.wav"], ())


def test_a_map_says_which_stems_lead_in_its_order(tmp_path):
    stems = ["VOX 1.wav", "sax solo.flac", "Click.wav", "vox click.wav", "bass.wav", "mixture.wav"]
    touch(tmp_path / "songs/s", *stems)
    path = tmp_path / "map.json"
    patterns = {"lead": ["vox*", "Sax *"], "backing": ["*"], "ignore": ["*click*"]}
    path.write_text(json.dumps(patterns), encoding="utf-8-sig")
    (song,) = find_stems_songs(tmp_path / "songs", stems_map=path)
    assert names(song.lead) == ["VOX 1.wav", "sax solo.flac"]
    assert names(song.backing) == ["bass.wav"]
    path.write_text(json.dumps({"lead": ["[bs]a*"], "backing": ["vox ?"]}))
    (song,) = find_stems_songs(tmp_path / "songs", stems_map=path)
    assert names(song.lead) == ["bass.wav", "sax solo.flac"]
    assert names(song.backing) == ["VOX 1.wav"]  # what fits nothing is ignored
    path.write_text(json.dumps({"lead": ["violin"]}))
    (song,) = find_stems_songs(tmp_path / "songs", stems_map=path)
    with pytest.raises(UserError, match=r'has no lead: no file name fits "lead" of .*map\.json'):
        song.load(sr=SR)


def test_slakh_metadata_goes_before_the_map(tmp_path):
    entries = {"S00": slakh_entry(33, "Bass"), "S01": slakh_entry(65, "Reed")}
    slakh_song(tmp_path / "songs", entries)
    path = tmp_path / "map.json"
    path.write_text('{"lead": ["S00"]}')
    (song,) = find_stems_songs(tmp_path / "songs", stems_map=path)
    assert names(song.lead) == ["S01.flac"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"lead": ["vox*"],}', r"is not JSON: line 1"),
        ("{", "is not JSON: line 1"),
        ('["vox*"]', r'has no "lead"; write \{"lead"'),
        ('{"backing": ["*"]}', 'has no "lead"'),
        ('{"lead": "vox*"}', '"lead" is no list of patterns'),
        ('{"lead": ["vox*"], "backing": [1]}', '"backing" is no list of patterns'),
        ('{"lead": [""]}', '"lead" is no list of patterns'),
        ('{"lead": []}', '"lead" is empty'),
        ('{"lead": ["a"], "leads": ["b"]}', '"leads" is unknown'),
    ],
)
def test_malformed_maps_are_refused_in_one_line(tmp_path, text, why):
    path = tmp_path / "map.json"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"map\.json: {why}") as caught:
        read_stems_map(path)
    assert "\n" not in str(caught.value)


def test_maps_that_are_no_text_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"absent\.json: the map of stems cannot be read: No such"):
        read_stems_map(tmp_path / "absent.json")
    (tmp_path / "map.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is not JSON in UTF-8"):
        read_stems_map(tmp_path / "map.json")


def test_what_is_wrong_with_a_song_is_said_when_it_is_loaded(tmp_path):
    touch(tmp_path / "no lead", "drums.wav")
    touch(tmp_path / "no backing", "vocals.wav")
    touch(tmp_path / "mixed down", "mixture.wav")
    touch(tmp_path / "twice", "vocals.wav", "band.wav", "stems/Vocals.mp3")
    touch(tmp_path / "other kind", "vocals.wav", "band.wav", "bass.M4A")
    write(tmp_path / "text/vocals.wav", noise(0))
    (tmp_path / "text/band.wav").write_text("not audio")
    found = {song.id: song for song in find_stems_songs(tmp_path)}
    for id, why in {
        "no lead": "no lead has no lead: no file name contains vocal",
        "no backing": "no backing has no backing: every stem is a lead",
        "mixed down": "mixed down has no stems, only files to be ignored",
        "twice": r"twice: stems/Vocals\.mp3 and vocals\.wav are one stem; remove one of them",
        "other kind": r"bass\.M4A: \.m4a cannot be read; convert to wav",
        "text": r"band\.wav: is not audio that can be read",
    }.items():
        with pytest.raises(UserError, match=why):
            found.pop(id).load(sr=SR)
    assert not found


def test_a_stem_that_was_cut_off_refuses_its_song(tmp_path):
    write(tmp_path / "s/vocals.wav", noise(0, 8.0))
    write(tmp_path / "s/band.wav", noise(1, 8.0))
    raw = (tmp_path / "s/band.wav").read_bytes()
    (tmp_path / "s/band.wav").write_bytes(raw[: len(raw) * 3 // 4])
    (song,) = find_stems_songs(tmp_path)
    with pytest.raises(UserError, match=r"band\.wav: truncated: .* a stem must be whole"):
        song.load(sr=SR)


def test_folders_without_songs_are_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        find_stems_songs(tmp_path / "absent")
    touch(tmp_path, "s/notes.txt")
    with pytest.raises(UserError, match=r"found no folders with stems.*; found 1 \.txt files"):
        find_stems_songs(tmp_path)
    touch(tmp_path, "s/A - B.stem.mp4", "s/C - D.stem.mp4")
    with pytest.raises(UserError, match=r"found 2 \.mp4, 1 \.txt files instead"):
        find_stems_songs(tmp_path)


@pytest.mark.parametrize("names", [["a.mp3", "b.ogg"], ["mix.flac", "stems/S00.flac"]])
def test_loose_files_suggest_the_songs_layout_or_the_folder_above(tmp_path, names):
    touch(tmp_path, *names)
    wanted = "holds 2 audio files but no folders of stems; if they are whole songs use --layout="
    with pytest.raises(UserError, match=f"{wanted}songs, if they make one song name the folder"):
        find_stems_songs(tmp_path)
