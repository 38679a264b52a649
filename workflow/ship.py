"""The weights that the project ships, made anew: make shipped

The reference profile's teacher and student's start, in half precision, each with its training history, the provenance
of its training and the accuracy that the rounded weights reach on the trimmed validation videos of the world `tiny`.
"""

import sys
import tempfile
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file, save_file

from condi_lib import labelling
from condi_lib.data import find_teacher_videos, planted, write_atomically
from condi_lib.data.identity import weights_digest
from condi_lib.models import AsTeacher, build_student, build_teacher, metadata_of
from condi_lib.runs.provenance import read_provenance
from condi_lib.runs.run import SHIPPED


def clip_accuracy(teacher, root):
    """The share of the trimmed validation videos' clips, one each, that a network gets right."""
    videos = find_teacher_videos("planted", root, None)
    clips, _ = labelling.label_clips(teacher, videos[videos.split == "val"], 8, 32)
    return float(clips.correct.mean())


def main(profile):
    config = yaml.safe_load(Path(profile).read_text())
    folder = Path(config["out"]) / "planted" / "resnext14_small"
    with tempfile.TemporaryDirectory() as root:
        tiny = planted.write(Path(root) / "tiny", planted.world_of("tiny", {"train": 1, "val": 1, "test": 1}))
        for target in SHIPPED.values():
            made = read_provenance(folder / target.name)
            state = {n: x.half() if x.is_floating_point() else x for n, x in load_file(folder / target.name).items()}
            target.parent.mkdir(exist_ok=True)
            rounded = Path(root) / target.name
            save_file(state, rounded)
            if target.stem == "teacher":
                network = build_teacher("resnext14_small", 10, rounded, new_head=False)
            else:
                network = AsTeacher(build_student(0.25, 10, rounded, new_head=False, repeats=[1, 2, 1]))
            record = {
                "made_by": "make shipped",
                "clip_accuracy": clip_accuracy(network.eval(), tiny),
                "of": "the 100 trimmed validation videos of the world tiny, a clip each",
                "digest": weights_digest(state),
                "history": made["history"],
                "training": {name: value for name, value in made.items() if name != "history"},
            }
            kept = metadata_of(network, provenance=record)
            write_atomically(target, lambda part, s=state, m=kept: save_file(s, part, m))
            print(f"{target.name}: {target.stat().st_size / 2**20:.2f} MB, clip accuracy {record['clip_accuracy']:.3f}")


if __name__ == "__main__":
    torch.manual_seed(0)
    main(*sys.argv[1:])
