"""No frame of a data set that may not be passed on is in the project."""

from pathlib import Path

import matplotlib.axes
import numpy as np
import pytest
import yaml
from conftest import numbered_frames, run_notebook

from condi_lib.data.grid import WORDS
from condi_lib.data.planted import write_video
from condi_lib.runs import ROOT

PROFILES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(ROOT.glob("config/*.yaml"))}
HIDDEN = [
    (name, profile["figures_out"], entry)
    for name, profile in PROFILES.items()
    for entry, parameters in profile["datasets"].items()
    if isinstance(parameters, dict) and str(parameters["root"]).startswith("$")
]
VIDEOS = {".mp4", ".mpg", ".avi", ".mkv", ".webm", ".mov", ".jpg", ".jpeg"}


def test_profiles_of_such_data_show_no_frames():
    assert {name for name, _, _ in HIDDEN} >= {"grid", "grid_digit", "grid_whole", "drones"}
    assert all(PROFILES[name]["datasets"][entry]["show_frames"] is False for name, _, entry in HIDDEN)


@pytest.mark.parametrize("figures_out", sorted({out for _, out, _ in HIDDEN}))
def test_their_committed_figures_hold_none(figures_out):
    files = [path for path in (ROOT / figures_out).rglob("*") if path.is_file()]
    assert not [path for path in files if path.stem == "example" or path.suffix in VIDEOS]


def test_notebook_1_shows_none_where_it_is_told_so(tmp_path, monkeypatch):
    for i in range(40):
        said = [words[i % len(words)] for words in WORDS.values()]
        (tmp_path / "s1").mkdir(exist_ok=True)
        (tmp_path / "align" / "s1").mkdir(parents=True, exist_ok=True)
        write_video(tmp_path / "s1" / f"v{i:02d}.mp4", numbered_frames(75))
        lines = ["0 20000 sil", *(f"{20000 + 5000 * k} {25000 + 5000 * k} {word}" for k, word in enumerate(said))]
        (tmp_path / "align" / "s1" / f"v{i:02d}.align").write_text("\n".join(lines) + "\n")
    seen = []
    monkeypatch.setattr(matplotlib.axes.Axes, "imshow", lambda axis, image, **options: seen.append(np.asarray(image)))
    for show_frames in (True, False):
        seen.clear()
        out = str(tmp_path / f"runs {show_frames}")
        run_notebook("01_dataset", dataset="grid", root=str(tmp_path), out=out, show_frames=show_frames)
        assert any(image.ndim == 3 for image in seen) is show_frames
        assert not [path for path in Path(out).rglob("*") if path.suffix in VIDEOS | {".png"}]
