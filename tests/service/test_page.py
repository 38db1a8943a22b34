"""The page in a real browser, over a real service: opened, clicked, heard, mixed, rated."""

import shutil

import pytest
import soundfile

from mashjax.mixing.demo import SR, demo_song
from mashjax.service.settings import Limits

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
FLAGS = [
    f"--{flag}"
    for flag in (
        *("no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync"),
        *("disable-background-networking", "disable-component-update"),
    )
]
PATIENCE = 600_000  # ms, for a job on a busy machine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="needs Chromium"),
]


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield made
        made.close()


@pytest.fixture
def opened(browser):
    """A function that opens a service's page, which must ask nobody else and log no error."""
    contexts, wrong = [], []

    def open_page(service, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        address = f"http://127.0.0.1:{service.port}"
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda r: (
                r.url.startswith((address, "data:", f"blob:{address}")) or wrong.append(r.url)
            ),
        )
        page.on(
            "console",
            lambda m: "Security Policy" in m.text and wrong.append(m.text),
        )
        page.goto(f"{address}/")
        page.wait_for_selector("#songs .pick")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def until(page, expression: str) -> None:
    """Wait until it is true. (Playwright's own waiting is a string to eval: forbidden here.)"""
    for _ in range(600):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never true: {expression}")


def plays(page, selector: str) -> bool:
    """Whether an audio element's time goes on."""
    time = f"document.querySelector('{selector}').currentTime"
    before = page.evaluate(time)
    until(page, f"{time} > {before} + 0.3")
    return True


def choose(page, service, path: str, *, part: int) -> None:
    page.click(f"[data-song='{service.songs[path]}']")
    page.click(f"#parts [data-part='{part}']")
    page.wait_for_selector("#ranking > li")


def test_a_song_is_chosen_and_played(service, opened):
    page = opened(service)
    assert page.locator("#songs .pick").count() == len(service.songs)
    assert page.get_by_text("<img src=x onerror").count() == 1  # a title, and text
    assert page.title() == "mashjax"
    choose(page, service, "one.wav", part=0)
    assert plays(page, "#song-audio")
    until(
        page,
        "document.querySelector('#song-wave > div').shadowRoot"
        ".querySelectorAll('[part~=region]').length === 2",
    )
    scores = [int(text.split()[0]) for text in page.locator(".score").all_text_contents()]
    assert scores == sorted(scores, reverse=True) and len(scores) > 3
    page.get_by_role("button", name="Hear two").click()
    assert plays(page, "#ranking audio")
    assert page.evaluate("document.querySelector('#song-audio').paused")  # one at a time


def test_two_parts_are_mixed_heard_rated_and_downloaded(service, opened, tmp_path):
    page = opened(service)
    choose(page, service, "one.wav", part=1)
    page.get_by_role("button", name="Mix with two").click()
    page.wait_for_selector("#mixing progress")
    page.wait_for_selector("#mixed", timeout=PATIENCE)
    page.evaluate("document.querySelector('#mashup-audio').play()")
    assert plays(page, "#mashup-audio")
    assert len(page.get_attribute("#curve-area", "d")) > 1000
    first, second = (
        int(page.text_content(f"#curve-{name}").rpartition(", ")[2].removesuffix(" %"))
        for name in ("first", "second")
    )
    assert first + second == 100
    before = service.state()[0][2]
    page.get_by_role("radio", name="4").check()
    page.get_by_text("Kept: they go together well.").wait_for()
    assert service.state()[0][2] == before + 1
    with page.expect_download() as download:
        page.click("#download")
    download.value.save_as(tmp_path / "mashup.wav")
    assert soundfile.info(tmp_path / "mashup.wav").duration == pytest.approx(8, abs=0.1)


def test_a_mix_is_cancelled(service, opened):
    page = opened(service)
    choose(page, service, "one.wav", part=1)
    before = service.state()[2]
    with page.expect_response(lambda r: r.request.method == "POST"):
        page.get_by_role("button", name="Mix with two").click()
    assert len(service.state()[2]) == len(before) + 1
    with page.expect_response(lambda r: r.request.method == "DELETE"):
        page.click("#mixing-cancel")
    assert service.state()[2] == before
    assert page.is_hidden("#mashup")


def test_a_mix_is_cancelled_before_the_server_has_answered(service, opened):
    page = opened(service)
    choose(page, service, "one.wav", part=1)
    before, held = service.state()[2], []
    page.route("**/api/mixes", lambda route: held.append(route))
    with page.expect_request("**/api/mixes"):
        page.get_by_role("button", name="Mix with two").click()
    page.click("#mixing-cancel")
    with page.expect_response(lambda r: r.request.method == "DELETE"):
        held[0].continue_()
    assert service.state()[2] == before


def test_a_bad_file_is_refused_in_words(service, opened):
    page = opened(service)
    page.set_input_files(
        "#file", {"name": "song.wav", "mimeType": "audio/wav", "buffer": b"no song at all"}
    )
    page.get_by_role("alert").get_by_text("The file is no wav, mp3, flac or ogg file.").wait_for()
    assert page.is_hidden("#uploading")
    assert service.state()[3] == []


def test_a_song_is_brought_and_deleted(start, opened, tmp_path):
    with start(tmp_path, limits=Limits()) as service:
        page = opened(service)
        path = tmp_path / "My <b>song<i>.flac"
        soundfile.write(path, demo_song(2).T, SR)
        page.set_input_files("#file", path)
        page.get_by_role("heading", name="My <b>song<i>.flac").wait_for(timeout=PATIENCE)
        assert page.text_content("#song-facts").startswith("0:30 · 110.0 BPM")
        page.click("#parts button")
        until(page, "document.querySelector('#partners-status').textContent !== ''")
        page.reload()
        remove = page.get_by_role("button", name="Delete My <b>song<i>.flac")
        with page.expect_response(lambda r: r.request.method == "DELETE"):
            remove.click()
        remove.wait_for(state="detached")
        assert service.state()[2:] == ([], [])


def test_a_phone_in_the_dark_and_a_keyboard(service, opened):
    colours = []
    for scheme in ("light", "dark"):
        page = opened(
            service, viewport={"width": 360, "height": 640}, color_scheme=scheme, has_touch=True
        )
        choose(page, service, "one.wav", part=0)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours[0] != colours[1]
    page.focus(f"[data-song='{service.songs['two.wav']}']")
    page.keyboard.press("Enter")
    until(page, "document.activeElement.id === 'song-title'")
    for field in page.locator("input, button, audio, meter, progress").all():
        assert field.evaluate(
            "e => Boolean(e.labels?.length || e.ariaLabel || e.textContent.trim())"
        )
