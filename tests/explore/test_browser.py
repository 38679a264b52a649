"""Notebooks 10 and 11 in JupyterLab, as a user opens them: a real browser, the Run menu, the sliders."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest

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
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, home / path.name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    options = ["--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"]
    options += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={home}"]
    folders = {name: str(home / name.lower()) for name in ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")}
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
    page.wait_for_function(f"() => {prompts}.every(p => /\\[\\d+\\]/.test(p.textContent))")
    SHOTS.mkdir(parents=True, exist_ok=True)
    assert page.locator(ERROR).count() == 0, page.locator(ERROR).all_text_contents()


def test_the_explorer_follows_its_sliders(lab, browser):
    page = browser.new_page(viewport={"width": 1500, "height": 1400})
    run_all(page, lab("10_explore.ipynb"))
    numbers = page.locator(".widget-html", has_text="of dense's multiply-adds").first
    numbers.wait_for()
    numbers.scroll_into_view_if_needed()
    before = numbers.inner_text()
    handle = page.locator(".noUi-handle").first  # K
    handle.focus()
    start = time.perf_counter()
    handle.press("ArrowRight")
    changed = "([node, text]) => node.innerText !== text"
    page.wait_for_function(changed, arg=[numbers.element_handle(), before], polling=10)
    seconds = time.perf_counter() - start
    print(f"the numbers changed {1000 * seconds:.0f} ms after the key")
    assert "accuracy" in numbers.inner_text() and numbers.inner_text() != before
    page.get_by_role("button", name="play clip").click()
    page.locator("img.widget-image").nth(1).wait_for(state="visible")
    page.screenshot(path=SHOTS / "10_explore.png")
    assert page.locator(ERROR).count() == 0
    page.close()


def test_your_own_video_is_classified(lab, browser):
    page = browser.new_page(viewport={"width": 1500, "height": 2200})
    run_all(page, lab("11_own_video.ipynb"))
    assert page.get_by_text("chosen clips: seconds").count() == 1
    page.get_by_text("choose a video").scroll_into_view_if_needed()
    video = next((ROOT / "data" / "planted" / "tiny").rglob("*.mp4"))
    with page.expect_file_chooser() as chooser:
        page.get_by_text("choose a video").click()
    chooser.value.set_files(video)
    page.wait_for_function("() => document.body.innerText.split('chosen clips: seconds').length > 2")
    page.screenshot(path=SHOTS / "11_own_video.png")
    assert page.locator(ERROR).count() == 0
    page.close()
