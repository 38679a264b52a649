"""The whole study on data and a network of one's own: a list of folders of frames, a teacher from a file elsewhere.

It takes two minutes, so it runs where CONDI_WHOLE is set: CONDI_WHOLE=1 pytest tests/workflow/test_whole.py
"""

import csv
import os
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from PIL import Image

from condi_lib.data import planted
from condi_lib.runs import ROOT, read_provenance

NETWORK = """
from torch import nn

class Small(nn.Module):
    input = {"pixels": "unit", "frames": 4, "size": 32, "stride": 2}

    def __init__(self, num_classes):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(3, 16, 3, (1, 2, 2), 1), nn.BatchNorm3d(16), nn.ReLU(),
            nn.Conv3d(16, 32, 3, 2, 1), nn.BatchNorm3d(32), nn.ReLU(),
            nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(32, num_classes),
        )

    def forward(self, clips):
        return {"logits": self.body(clips)}

def build(num_classes):
    return Small(num_classes)
"""
SPLITS = {"teacher": ("trimmed_train", 24), "train": ("train", 12), "val": ("val", 6), "test": ("test", 9)}


def write_frames(root):
    """Folders of numbered JPEGs without zero padding, and one list of them."""
    world = planted.World(classes=["Right", "Grow", "Bob"])
    with open(root / "all.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "split"])
        for split, (drawn, n) in SPLITS.items():
            for i in range(n):
                frames, _, label = planted.draw_video(world, drawn, i)
                folder = root / "frames" / f"{split}_{i}"
                folder.mkdir(parents=True)
                for number, frame in enumerate(frames[:60], 1):
                    Image.fromarray(frame).resize((48, 36)).save(folder / f"{number}.jpg", quality=95)
                rows.writerow([f"frames/{split}_{i}", world.classes[label], split])


@pytest.mark.skipif(not os.environ.get("CONDI_WHOLE"), reason="takes two minutes: set CONDI_WHOLE to run it")
def test_frames_and_a_network_of_ones_own_go_through_the_whole_study(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "networks").mkdir()
    write_frames(tmp_path / "data")
    (tmp_path / "networks" / "mine.py").write_text(NETWORK)
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    config = yaml.safe_load((ROOT / "config" / "tiny.yaml").read_text())
    config |= {"out": str(tmp_path / "runs"), "figures_out": str(tmp_path / "figures"), "frames": 4}
    config["datasets"] = {"motions": {"dataset": "list", "root": str(tmp_path / "data"), "fps": 12.0, "stride": 2}}
    config["teachers"] = {"small": {"teacher": f"{tmp_path}/networks/mine.py:build", "crops": 3}}
    config["notebooks"] = {
        "02_teacher": {"teacher_epochs": 3, "student_epochs": 1, "batch_size": 16},
        "05_train_sampler": {"epochs": 1, "batch_size": 16},
        "08_flops_and_time": {"published": False},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--directory", str(tmp_path)]
    command += ["--configfile", str(tmp_path / "study.yaml"), "--cores", "2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    run = tmp_path / "runs" / "motions" / "small"
    clips = pd.read_parquet(run / "clips.parquet")
    assert clips.groupby("split").video.nunique().to_dict() == {"test": 9, "train": 12, "val": 6}
    assert (clips.groupby("video").size() == 8).all()  # 60 frames, clips of 4 at stride 2
    assert pd.read_parquet(run / "videos.parquet").fps.eq(12.0).all()
    sources = [name for name in read_provenance(run / "teacher.safetensors")["made_from"] if "mine.py" in name]
    assert len(sources) == 1
    summary = pd.read_csv(tmp_path / "figures" / "motions" / "small" / "summary.csv")
    assert {"dense", "ConDi-SR"} <= set(summary.iloc[:, 0]) and len(summary) > 8
