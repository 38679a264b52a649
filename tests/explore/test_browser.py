"""Notebooks 10 and 11 in JupyterLab, as a user opens them: a real browser, the Run menu, and the pixels shown."""

import base64
import contextlib
import io
import os
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from condi_lib import explore, figures
from condi_lib.explore.view import png
from condi_lib.runs import ROOT

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TINY = ROOT / "runs" / "tiny" / "planted" / "resnext14_small"
SHOTS = ROOT / "logs" / "browser"
ERROR = "[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr']"


def run_tiny():
    """Notebooks 01 to 08 at their defaults, where no run is there to look at."""
    for path in sorted((ROOT / "notebooks").glob("0[1-8]*.ipynb")):
        command = [sys.executable, "-m", "papermill", "--no-progress-bar", str(path), os.devnull]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab on loopback that shows copies of the notebooks."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed (Debian: apt install chromium)")
    if not (TINY / "costs.json").is_file():
        run_tiny()
    home = tmp_path_factory.mktemp("lab")
    for path in (ROOT / "notebooks").glob("1[01]*.ipynb"):
        notebook = nbformat.read(path, 4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.source = cell.source.replace('"figures/explore"', f'"{home / "figures"}"')  # notes of tests
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, home / path.name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    options = ["--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"]
    options += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={home}"]
    folders = {name: str(home / name.lower()) for name in ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")}
    news = Path(folders["JUPYTERLAB_SETTINGS_DIR"]) / "@jupyterlab" / "apputils-extension"
    news.mkdir(parents=True)  # a question in a corner would cover what is looked at
    (news / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    with open(home / "lab.log", "w") as log:
        command = [sys.executable, "-m", "jupyter", "lab", *options]
        process = subprocess.Popen(command, cwd=home, env={**os.environ, **folders}, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(120):
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"{address}/api/status?token={token}", timeout=5)
                    break
                assert process.poll() is None, (home / "lab.log").read_text()
                time.sleep(0.5)
            yield lambda name: f"{address}/lab/tree/{name}?token={token}&reset"
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed (Debian: apt install chromium)")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def run_all(page, address):
    """Opens a notebook and runs it from the menu; waits until its last cell has run."""
    page.set_default_timeout(60_000)
    page.goto(address)
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    prompts = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]"
    page.wait_for_function(f"() => /\\[\\d+\\]/.test({prompts}.at(-1).textContent)")  # a folded cell shows none
    SHOTS.mkdir(parents=True, exist_ok=True)
    assert page.locator(ERROR).count() == 0, page.locator(ERROR).all_text_contents()


def pixels(data):
    """The bytes of a picture -> float [H, W, 3], 0 to 255."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float)


def shot(locator):
    """What stands on the screen there."""
    locator.scroll_into_view_if_needed()
    return pixels(locator.screenshot())


def apart(seen, expected):
    """Mean difference of what stands on the screen from a picture; it may start at a fraction of a pixel."""
    h, w, _ = expected.shape
    assert 0 <= seen.shape[0] - h <= 1 and 0 <= seen.shape[1] - w <= 1, (seen.shape, expected.shape)
    places = [(y, x) for y in range(seen.shape[0] - h + 1) for x in range(seen.shape[1] - w + 1)]
    return min(np.abs(seen[y : y + h, x : x + w] - expected).mean() for y, x in places)


def source_of(image):
    """The file behind an <img> of the page."""
    read = """async (image) => {
        const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
        return btoa(Array.from(bytes, (one) => String.fromCharCode(one)).join(""));
    }"""
    return base64.b64decode(image.evaluate(read))


@pytest.fixture(scope="module")
def explorer_page(lab, browser):
    page = browser.new_page(viewport={"width": 1500, "height": 1400})
    run_all(page, lab("10_explore.ipynb"))
    page.locator(".condi-strip td.frame img").first.wait_for()
    yield page
    assert page.locator(ERROR).count() == 0
    page.close()


@pytest.fixture(scope="module")
def study():
    return explore.read_study(TINY)


def controls(page):
    """(K, name of the video) as the page shows them."""
    row = page.locator(".widget-dropdown", has_text="video").locator("select")
    k = page.locator(".widget-slider").first.locator(".widget-readout").inner_text()
    return int(k), row.evaluate("select => select.selectedOptions[0].textContent.trim()")


def colour_of(hex):
    return np.array([int(hex[i : i + 2], 16) for i in (1, 3, 5)], float)


def check_strip(page, study, first="condi_sr", second="dense"):
    """The strip on the screen: each clip's middle frame, and below it, in its column, who chooses it."""
    k, video = controls(page)
    rows = explore.answers(study, "test", video, k)
    marked = [row for name in (first, second) for row in rows if row["name"] == name]
    rows = marked + [row for row in rows if row not in marked]
    strip = page.locator(".condi-strip")
    images, choices = strip.locator("td.frame img"), strip.locator("tr.choice")
    frames = explore.read_frames(study, video).of_clips(len(rows[0]["cells"]))
    assert images.count() == len(frames) and choices.count() == len(rows)
    boxes = """nodes => nodes.map(node => {
        const { x, width, height } = node.getBoundingClientRect();
        return [x + width / 2, width / height];
    })"""
    places = np.array(images.evaluate_all(boxes))
    np.testing.assert_allclose(places[:, 1], 1, atol=0.01, err_msg="frames keep their shape")
    for i, frame in enumerate(frames):
        seen = shot(images.nth(i))
        coarse = [Image.fromarray(x.astype(np.uint8)).resize((6, 6), Image.BOX) for x in (seen[2:-2, 2:-2], frame)]
        apart = np.abs(np.subtract(*(np.asarray(x, float) for x in coarse)))  # its edge may lie within a pixel
        assert apart.mean() < 8, (video, i)
    scroll = strip.locator(".scroll")
    scroll.evaluate("node => { node.scrollLeft = 0; }")  # where the window is too narrow for all clips
    seen = shot(scroll)
    left, top, width, _ = scroll.bounding_box().values()
    places = np.array(images.evaluate_all(boxes))[:, 0]
    for row, choice in zip(rows, choices.all(), strict=True):
        cells = choice.locator(".cell")
        np.testing.assert_allclose(np.array(cells.evaluate_all(boxes))[:, 0], places, atol=1)
        box = choice.bounding_box()
        for x, cell in zip(places, row["cells"], strict=True):
            if x < left + width - 8:
                pixel = seen[int(box["y"] - top + box["height"] / 2) - 4, int(x - left) - 6]  # beside a letter
                is_own = np.abs(pixel - colour_of(row["colour"])).max() < 3
                assert is_own == (cell == "T"), (video, row["name"], pixel)
        sign = "✓" if row["right"] else "✗"
        assert choice.locator(".answer").inner_text().split() == [
            sign,
            *row["answer"].split(),
            f"{row['probability']:.2f}",
        ]


def strip_is_drawn(page, video):
    page.wait_for_function(
        "v => [...document.querySelectorAll('option')].some(o => o.selected && o.textContent.trim() === v)", arg=video
    )
    page.wait_for_timeout(700)


def test_the_strip_shows_frames_and_choices_as_they_are(explorer_page, study):
    check_strip(explorer_page, study)
    explorer_page.screenshot(path=SHOTS / "10_explore.png")


def test_the_explorer_follows_its_sliders(explorer_page, study):
    page = explorer_page
    numbers = page.locator(".widget-html", has_text="of dense's multiply-adds").first
    before, strip = numbers.inner_text(), shot(page.locator(".condi-strip .scroll"))
    handle = page.locator(".noUi-handle").first  # K
    handle.focus()
    start = time.perf_counter()
    handle.press("ArrowRight")
    changed = "([node, text]) => node.innerText !== text"
    page.wait_for_function(changed, arg=[numbers.element_handle(), before], polling=10)
    print(f"the numbers changed {1000 * (time.perf_counter() - start):.0f} ms after the key")
    assert "accuracy" in numbers.inner_text()
    page.wait_for_timeout(500)
    check_strip(page, study)
    handle.press("ArrowLeft")
    page.wait_for_function("([node, text]) => node.innerText === text", arg=[numbers.element_handle(), before])
    page.wait_for_timeout(500)
    np.testing.assert_array_equal(shot(page.locator(".condi-strip .scroll")), strip)


def test_next_shows_the_next_video_and_previous_the_same_picture_again(explorer_page, study):
    page, names = explorer_page, study.pick("test")
    strip = page.locator(".condi-strip .scroll")
    before, (k, first) = shot(strip), controls(page)
    page.locator("button.jupyter-button", has_text="next").click()
    strip_is_drawn(page, names[names.index(first) + 1])
    check_strip(page, study)
    assert controls(page)[0] == k
    page.locator("button.jupyter-button", has_text="previous").click()
    strip_is_drawn(page, first)
    np.testing.assert_array_equal(shot(strip), before)


def shown_frame(page):
    """What the player shows: float [H, W, 3]."""
    data = page.locator(".condi-strip canvas").evaluate("canvas => canvas.toDataURL('image/png')")
    return pixels(base64.b64decode(data.split(",")[1]))


def test_a_click_on_a_clip_plays_it(explorer_page, study):
    page, (_, video) = explorer_page, controls(explorer_page)
    frames = [pixels(jpeg) for jpeg in explore.read_frames(study, video).played]
    size = study.parameters["frames"]
    image = page.locator(".condi-strip td.frame img").nth(3)
    image.click()
    page.wait_for_function("() => document.querySelector('.condi-strip .time').textContent")
    seen, column = set(), image.bounding_box()
    for _ in range(12):
        frame, at = shown_frame(page), page.locator(".condi-strip .cursor").bounding_box()
        distances = [np.abs(frame - one).mean() for one in frames[3 * size : 4 * size]]
        assert min(distances) < 3, "the player shows a frame of the clip"
        assert column["x"] - 3 <= at["x"] <= column["x"] + column["width"] + 3, "and the cursor stands over it"
        seen.add(page.locator(".condi-strip .time").inner_text())
        page.wait_for_timeout(70)
    assert len(seen) > 3
    page.screenshot(path=SHOTS / "10_explore_clip.png")


def test_the_whole_video_plays_to_its_end(explorer_page, study):
    page, (_, video) = explorer_page, controls(explorer_page)
    frames = explore.read_frames(study, video)
    play = page.locator(".condi-strip button.play")
    play.click()
    if "video" in play.inner_text():
        play.click()
    places = []
    for _ in range(10):
        places.append(page.locator(".condi-strip .cursor").bounding_box()["x"])
        page.wait_for_timeout(100)
    assert places == sorted(places) and places[0] < places[-1]
    page.wait_for_function("() => document.querySelector('.condi-strip button.play').textContent.includes('▶')")
    assert f"frame {frames.n_frames - 1} of {frames.n_frames}" in page.locator(".condi-strip .time").inner_text()
    assert np.abs(shown_frame(page) - pixels(frames.played[-1])).mean() < 3


def choose(page, name, value):
    page.locator(".widget-dropdown", has_text=name).locator("select").first.select_option(value)
    page.wait_for_timeout(800)


def test_two_samplers_filters_and_notes(explorer_page, study):
    page, (k, _) = explorer_page, controls(explorer_page)
    choose(page, "against", "oracle (cheats)")
    check_strip(page, study, "condi_sr", "oracle")
    page.screenshot(path=SHOTS / "10_explore_two.png")
    listed = study.pick("test", "only oracle (cheats) correct", k, second="oracle", order="gain")
    choose(page, "sort by", "gain")
    choose(page, "show", "only oracle (cheats) correct")
    assert controls(page)[1] == listed[0] and page.get_by_text(f"1 of {len(listed)}", exact=True).count() == 1
    check_strip(page, study, "condi_sr", "oracle")
    note = page.locator(".widget-text", has_text="note").locator("input")
    note.fill("seen by a test")
    note.press("Enter")
    page.get_by_text("kept in").wait_for()
    page.set_viewport_size({"width": 1200, "height": 1300})
    page.wait_for_timeout(800)
    page.screenshot(path=SHOTS / "10_explore_1200.png")
    check_strip(page, study, "condi_sr", "oracle")
    note.fill("")
    note.press("Enter")
    page.get_by_text("taken out of").wait_for()
    page.set_viewport_size({"width": 1500, "height": 1400})


@pytest.fixture(scope="module")
def upload_page(lab, browser):
    page = browser.new_page(viewport={"width": 1500, "height": 2200})
    page.closed = []
    page.on("websocket", lambda socket: socket.on("close", lambda *_: page.closed.append(socket.url)))
    run_all(page, lab("11_own_video.ipynb"))
    page.get_by_text("choose a video").scroll_into_view_if_needed()
    page.closed.clear()
    yield page
    assert page.locator(ERROR).count() == 0 and not page.closed
    page.close()


def padded(folder, mib, n=0):
    """A benchmark's video of that size: it, and a box that players skip."""
    video = sorted((ROOT / "data" / "planted" / "tiny" / "untrimmed").rglob("*.mp4"))[n].read_bytes()
    path = folder / f"holiday_{mib}_MiB.mp4"
    path.write_bytes(video + struct.pack(">I4s", mib * 2**20, b"free") + bytes(mib * 2**20 - 8))
    return path


def upload(page, file):
    """Chooses a file; nothing of the one before is shown from then on."""
    with page.expect_file_chooser() as chooser:
        page.get_by_text("choose a video").click()
    chooser.value.set_files(file)
    assert page.locator(".result").inner_text() == "" or page.locator(".error").count()


@pytest.mark.parametrize("mib", [1, 12, 31])
def test_a_file_of_any_size_is_classified_and_its_picture_is_whole(upload_page, tmp_path, mib):
    page, file = upload_page, padded(tmp_path, mib, n=mib)
    upload(page, file)
    image = page.locator(".result img")
    image.wait_for()
    found = explore.load_predictor(TINY)(file, 5)
    expected = pixels(png(figures.video_view(*explore.view_of(found))))
    assert np.abs(pixels(source_of(image)) - expected).mean() < 0.5
    assert apart(shot(image), expected) < 1, "it stands on the screen, whole"
    shown = page.locator(".result").inner_text()
    assert shown.count("chosen clips: seconds") == 1 and found["top5"][0][0] in shown and "toy motions" in shown
    assert file.name in page.locator(".said").inner_text()
    page.screenshot(path=SHOTS / "11_own_video.png")


def test_a_foreign_file_leaves_one_line_and_no_result(upload_page, tmp_path):
    page = upload_page
    (tmp_path / "letter.mp4").write_bytes(b"Dear reader, this is no video. " * 1000)
    upload(page, tmp_path / "letter.mp4")
    page.locator(".result .error").wait_for()
    said = page.locator(".result").inner_text()
    assert said.startswith("letter.mp4: cannot be") and "\n" not in said.strip()
    page.screenshot(path=SHOTS / "11_foreign_file.png")


def test_of_two_files_at_once_the_last_one_is_shown(upload_page, tmp_path):
    page = upload_page
    (tmp_path / "b").mkdir()
    first, last = padded(tmp_path, 14), padded(tmp_path / "b", 2, n=3)
    upload(page, first)
    page.wait_for_timeout(300)
    upload(page, last)
    image = page.locator(".result img")
    image.wait_for()
    page.wait_for_timeout(1500)
    expected = pixels(png(figures.video_view(*explore.view_of(explore.load_predictor(TINY)(last, 5)))))
    assert apart(shot(image), expected) < 1 and "holiday_2_MiB" in page.locator(".said").inner_text()
