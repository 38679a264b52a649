"""The embedded benchmark, "planted": H.264 videos in which we know, frame by frame, what was planted.

Classes are motions of a textured shape before a moving, noisy background, so that one frame does not tell the class.
Untrimmed videos are cut from segments of random length that do not respect clip borders; a segment is clean or
ambiguous in one of the ways of KINDS. In a share of the videos the motion is a blend of the class and its hard
partner: such a video is hard in all its clips. The teacher is trained on a separate split, trimmed and clean.

The default rates were chosen by the teacher's dense and oracle accuracies alone, before any sampler was looked at
(docs/planted.md says how), and are frozen: a change to what is drawn needs a new VERSION.
"""

import json
import shutil
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import av
import joblib
import numpy as np
import pandas as pd
import yaml
from scipy.ndimage import gaussian_filter

from condi_lib.progress import tqdm

VERSION = 2
FPS = 25
KINDS = ("clean", "cutaway", "occlusion", "freeze", "dark", "blur", "noise")
# class: (velocity x, velocity y [px/frame at 32 px], angular velocity [rad/frame], log-zoom rate [1/frame],
#         oscillation amplitude x, y [px at 32 px]); times a strength drawn for each video
CLASSES = {
    "Right": (1.5, 0, 0, 0, 0, 0),
    "Up": (0, -1.5, 0, 0, 0, 0),
    "Left": (-1.5, 0, 0, 0, 0, 0),
    "Down": (0, 1.5, 0, 0, 0, 0),
    "Clockwise": (0, 0, 0.25, 0, 0, 0),
    "Grow": (0, 0, 0, 0.045, 0, 0),
    "Counterclockwise": (0, 0, -0.25, 0, 0, 0),
    "Shrink": (0, 0, 0, -0.045, 0, 0),
    "Sway": (0, 0, 0, 0, 4.5, 0),
    "Bob": (0, 0, 0, 0, 0, 4.5),
}
# Classes stand in pairs, and the two of a pair are hard to tell apart: (Right, Up), (Left, Down), ...
SPLITS = ("trimmed_train", "trimmed_val", "train", "val", "test")


@dataclass(frozen=True)
class World:
    """What is drawn. Counts are videos, shares lie in [0, 1], lengths are frames, size is pixels (square)."""

    seed: int = 0
    classes: list[str] = field(default_factory=lambda: list(CLASSES))
    trimmed_train: int = 3000
    trimmed_val: int = 300
    train: int = 500
    val: int = 200
    test: int = 500
    size: int = 32
    clip_frames: int = 8  # length of a trimmed video; an untrimmed one has 14 to 22 times as many, 18 on average
    segment_min: int = 12
    segment_max: int = 40
    hard_share: float = 0.23  # videos whose motion is 75 to 100 % the hard partner's, all through
    ambiguous_a: float = 0.3  # a video's share of ambiguous segments is drawn from Beta(a, b)
    ambiguous_b: float = 1.3
    cutaway_share: float = 0.65  # of the ambiguous segments
    same_wrong_share: float = 0.6  # videos whose cut-aways all show one wrong class
    cool_share: float = 0.7  # cut-aways with a cooler, flatter look
    cool_video_share: float = 0.08  # videos that have this look all through: the look alone proves nothing
    crf: int = 10  # quality of the H.264 files: 1 (best) to 51

    def __post_init__(self):
        unknown = [c for c in self.classes if c not in CLASSES]
        if unknown or len(self.classes) < 2:
            raise ValueError(f"classes: found {self.classes}, expected two or more of {', '.join(CLASSES)}")
        for name, value in asdict(self).items():
            if name.endswith("_share") and not 0 <= value <= 1:
                raise ValueError(f"{name}: found {value}, expected a share in [0, 1]")
            if name not in ("seed", "classes") and not name.endswith("_share") and value <= 0:
                raise ValueError(f"{name}: found {value}, expected a number above 0")
        if self.crf > 51:
            raise ValueError(f"crf: found {self.crf}, expected 1 to 51")


# The worlds of the profiles. A video depends on its split and number alone: the smaller are prefixes of the larger.
WORLDS = {
    "tiny": {"trimmed_train": 40, "trimmed_val": 100, "train": 120, "val": 60, "test": 150},
    "quick": {"trimmed_train": 2400, "trimmed_val": 300, "train": 300, "val": 150, "test": 300},
    "ablations": {"trimmed_train": 3000, "trimmed_val": 300, "train": 500, "val": 200, "test": 500},
    "pays": {"trimmed_train": 40, "trimmed_val": 100, "train": 500, "val": 200, "test": 1000},
    "reference": {"trimmed_train": 3000, "trimmed_val": 300, "train": 2000, "val": 500, "test": 2000},
}


def world_of(name, changes=None, size=32, frames=8):
    """The World of a name in WORLDS, or of a YAML file of its fields, with some of them changed.

    Raises ValueError for another name, a file that does not hold a mapping, a field that World does not have, or a
    value that it cannot have.
    """
    if name in WORLDS:
        values = WORLDS[name]
    elif Path(name).is_file():
        values = yaml.safe_load(Path(name).read_text())
    else:
        raise ValueError(f"world: {name!r} is unknown; expected {', '.join(WORLDS)}, or a YAML file")
    if not isinstance(values, dict):
        raise ValueError(f"world: {name} holds no mapping of World's fields to values")
    values = {"size": size, "clip_frames": frames, **values, **(changes or {})}
    known = {f.name: type(f.default) for f in fields(World)}
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"world: {key!r} is unknown; expected {', '.join(known)}")
        kind = (int, float) if known[key] is float else known[key] if key != "classes" else list
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(
                f"world: {key}: found {value!r}, expected a {known[key].__name__ if key != 'classes' else 'list'}"
            )
    return World(**values)


def _texture(rng, side, waves, contrast):
    """A smooth, wrapping random texture about a random colour, float32 [side * side, 3] in [0, 1]."""
    turn = np.arange(side) * (2 * np.pi / side)
    tex = np.zeros((side * side, 3), np.float32)
    for _ in range(waves):
        fx, fy = rng.integers(-2, 3, 2)
        phase = rng.uniform(0, 2 * np.pi)
        # sin(fx x + fy y + phase), by angle addition
        wave = np.outer(np.sin(fy * turn + phase), np.cos(fx * turn)) + np.outer(
            np.cos(fy * turn + phase), np.sin(fx * turn)
        )
        colour = rng.uniform(-1, 1) + rng.uniform(-0.4, 0.4, 3)  # light and dark, with some colour
        tex += np.outer(wave.astype(np.float32), colour.astype(np.float32))
    tex *= np.float32(contrast / (tex.std() + 1e-6))
    tex += (rng.uniform(0.25, 0.75) + rng.uniform(-0.15, 0.15, 3)).astype(np.float32)
    return np.clip(tex, 0, 1)  # (side * side, 3)


def _inside(kind, u, v):
    """Signed field of the shape in its own coordinates, positive inside, about 1 at its centre."""
    if kind == 0:
        return 1 - np.hypot(u, v / 0.65)
    if kind == 1:
        return 1 - np.maximum(np.abs(u), np.abs(v) / 0.55)
    if kind == 2:  # triangle
        return 0.6 - np.maximum(v, np.abs(u) * 0.87 - v * 0.5)
    return 1 - np.minimum(np.maximum(np.abs(u), np.abs(v) * 3), np.maximum(np.abs(u) * 3, np.abs(v)))  # cross


def _actor(rng, size):
    return {
        "shape": int(rng.integers(4)),
        "radius": size * rng.uniform(0.2, 0.3),
        "texture": _texture(rng, 64, 6, 0.26),
        "background": _texture(rng, 128, 8, 0.07),
    }


def _motion(world, label, trimmed, rng):
    """Motion of a video of this class, and the share of the hard partner's motion in it (0 in trimmed videos)."""
    own, strength = np.array(CLASSES[world.classes[label]]), rng.uniform(0.8, 1.4)
    hard, share, partner = rng.random() < world.hard_share, rng.uniform(0.75, 1.0), label ^ 1
    blend = share if hard and not trimmed and partner < len(world.classes) else 0.0
    other = np.array(CLASSES[world.classes[partner]]) if blend else own
    return ((1 - blend) * own + blend * other) * strength, blend


def _segments(world, label, n_frames, rng):
    """[(n_frames, kind, label shown, cool look), ...] of an untrimmed video."""
    others = [c for c in range(len(world.classes)) if c != label]
    ambiguous = rng.beta(world.ambiguous_a, world.ambiguous_b)
    same_wrong, usual = rng.random() < world.same_wrong_share, int(rng.choice(others))
    cool_video = rng.random() < world.cool_video_share
    left, segments = n_frames, []
    while left > 0:
        n = min(left, int(rng.integers(world.segment_min, world.segment_max + 1)))
        kind, shown, cool = "clean", label, cool_video
        other, looks_cool = int(rng.choice(others)), rng.random() < world.cool_share
        if rng.random() < ambiguous:
            kind = "cutaway" if rng.random() < world.cutaway_share else str(rng.choice(KINDS[2:]))
        if kind == "cutaway":
            shown, cool = (usual if same_wrong else other), bool(looks_cool or cool_video)
        segments.append((n, kind, shown, cool))
        left -= n
    return segments


def _segment_frames(world, actor, motion, n, kind, cool, rng):
    """float32 [n, size, size, 3] in [0, 1]: the actor moving before its background."""
    size, scale = world.size, world.size / 32
    t = np.arange(n, dtype=np.float32)
    if kind == "freeze":
        t[:] = 0
    vx, vy, spin, zoom, ax, ay = motion * rng.uniform(0.85, 1.15)
    period, phase = rng.uniform(7, 12), rng.uniform(0, 2 * np.pi)
    swing = np.sin(2 * np.pi * t / period + phase)
    start = rng.uniform(0, size, 2)
    cx = start[0] + vx * scale * t + ax * scale * swing
    cy = start[1] + vy * scale * t + ay * scale * swing
    angle = rng.uniform(0, 2 * np.pi) + spin * t
    log_range = np.log(3.2)  # a zoom runs from 0.5 to 1.6 of the radius, then starts again
    start_zoom = rng.random() if zoom else rng.uniform(0.4, 0.75)
    radius = actor["radius"] * 0.5 * np.exp((start_zoom * log_range + zoom * t) % log_range)

    y, x = np.mgrid[:size, :size].astype(np.float32)
    cx, cy, cos, sin, r = (a.astype(np.float32)[:, None, None] for a in (cx, cy, np.cos(angle), np.sin(angle), radius))
    # (n, size, size); a shape that leaves on one side comes in on the other
    dx = (x - cx + size / 2) % size - size / 2
    dy = (y - cy + size / 2) % size - size / 2
    u, v = (dx * cos + dy * sin) / r, (dy * cos - dx * sin) / r
    mask = np.clip(_inside(actor["shape"], u, v) * r + np.float32(0.5), 0, 1)[..., None]
    shape = actor["texture"].take(
        ((v + 1) * 32).astype(np.int32) % 64 * 64 + ((u + 1) * 32).astype(np.int32) % 64, axis=0
    )
    drift, offset = rng.uniform(-0.6, 0.6, 2) * scale, rng.uniform(0, 64, 2)
    bx, by = ((np.arange(size) + o + d * t[:, None]) * 2 / scale for o, d in zip(offset, drift, strict=True))
    bx, by = bx.astype(np.int32) % 128, by.astype(np.int32) % 128  # (n, size)
    frames = actor["background"].take(by[:, :, None] * 128 + bx[:, None, :], axis=0)
    frames += mask * (shape - frames)

    if kind == "occlusion":  # a flat panel over most of the picture
        w, h = rng.uniform(0.75, 1.0, 2) * size
        left, top = rng.uniform(0, size - w), rng.uniform(0, size - h)
        panel = (x >= left) & (x < left + w) & (y >= top) & (y < top + h)
        frames[:, panel] = rng.uniform(0.2, 0.8, 3)
    if kind == "blur":
        frames = gaussian_filter(frames, (0, 3.2 * scale, 3.2 * scale, 0))
    if kind == "dark":
        frames *= rng.uniform(0.06, 0.15)
    if cool:
        grey = frames.mean(-1, keepdims=True)
        frames = 0.45 + 0.55 * (0.4 * frames + 0.6 * grey - 0.5) + np.float32([-0.08, 0.0, 0.12])
    sigma = rng.uniform(0.01, 0.04) if kind != "noise" else rng.uniform(0.3, 0.45)
    noise = rng.standard_normal(frames.shape, np.float32) * np.float32(sigma)
    return frames + (noise[:1] if kind == "freeze" else noise)


def draw_video(world, split, index):
    """One video of a split: (frames uint8 [T, size, size, 3], truth, a row a frame, label int).

    It depends on the world's rates, the seed, the split and the index, never on how many videos are drawn; the truth's
    columns: frame, segment, kind, shown (label of the motion shown), cool, blend (of the hard partner's motion).
    """
    rng = np.random.default_rng([world.seed, SPLITS.index(split), index])
    label = index % len(world.classes)
    trimmed = split.startswith("trimmed")
    motion, blend = _motion(world, label, trimmed, rng)
    if trimmed:
        cool = bool(rng.random() < world.cool_video_share)
        segments = [(world.clip_frames, "clean", label, cool)]
    else:
        n_frames = int(rng.integers(14 * world.clip_frames, 22 * world.clip_frames + 1))
        segments = _segments(world, label, n_frames, rng)
    actor = _actor(rng, world.size)
    other_actors, frames = {}, []
    for n, kind, shown, cool in segments:
        shot, move = actor, motion
        if kind == "cutaway":
            if shown not in other_actors:
                other_actors[shown] = _actor(rng, world.size)
            shot = other_actors[shown]
            move = np.array(CLASSES[world.classes[shown]]) * rng.uniform(0.8, 1.4)
        frames.append(_segment_frames(world, shot, move, n, kind, cool, rng))
    lengths, *columns = zip(*segments, strict=True)
    truth = {"frame": np.arange(sum(lengths)), "segment": np.repeat(np.arange(len(segments)), lengths)}
    truth |= {k: np.repeat(c, lengths) for k, c in zip(("kind", "shown", "cool"), columns, strict=True)}
    truth = pd.DataFrame({**truth, "blend": np.float32(blend)})
    return (np.clip(np.concatenate(frames), 0, 1) * 255).round().astype(np.uint8), truth, label


def write_video(path, frames, fps=FPS, crf=10):
    """Writes uint8 [T, H, W, 3] as H.264 (yuv420p) to `path`, the same bytes each time."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        # On pictures this small x264's look-ahead reads memory that it has not set, and files then differ between runs
        plain = "rc-lookahead=0:mbtree=0:bframes=0:weightp=0:scenecut=0"
        stream.options = {"crf": str(crf), "preset": "veryfast", "threads": "1", "x264-params": plain}
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode())


def _write_one(world, folder, split, index):
    frames, truth, label = draw_video(world, split, index)
    part = "trimmed" if split.startswith("trimmed") else "untrimmed"
    name = world.classes[label]
    # groups number the videos through all splits: no group, and so no texture, is in two of them
    video = f"v_{name}_g{SPLITS.index(split)}{index:05d}_c01"
    path = folder / part / name / f"{video}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, frames, crf=world.crf)
    truth.insert(0, "video", video)
    return part, split.removeprefix("trimmed_"), f"{name}/{path.name}", label, truth


def write(root, world, jobs=-1):
    """Writes the benchmark of `world` under `root`, or leaves it as it is if it is there already.

    root/trimmed and root/untrimmed are UCF-101-like trees (`<Class>/v_<Class>_g<group>_c<clip>.mp4`, classInd.txt,
    trainlist01.txt, vallist01.txt, testlist01.txt); root/untrimmed/truth.parquet has a row a frame. Nothing stands
    at `root` before all of it is written. Raises ValueError if `root` holds something else.
    """
    root = Path(root)
    recipe = {"version": VERSION, **asdict(world)}
    if root.exists():
        found = json.loads((root / "planted.json").read_text()) if (root / "planted.json").is_file() else None
        if found != recipe:
            differs = "no planted.json" if found is None else [k for k in recipe if found.get(k) != recipe[k]]
            raise ValueError(
                f"root: {root} holds other data than these parameters ask for ({differs}); name another or delete it"
            )
        return root
    folder = root.with_name(root.name + ".part")
    shutil.rmtree(folder, ignore_errors=True)
    todo = [(split, i) for split in SPLITS for i in range(getattr(world, split))]
    run = joblib.Parallel(n_jobs=jobs, return_as="generator", batch_size=8)
    written = run(joblib.delayed(_write_one)(world, folder, *item) for item in todo)
    written = list(tqdm(written, total=len(todo), desc="writing videos", unit="video"))
    for part in ("trimmed", "untrimmed"):
        classes = "".join(f"{i + 1} {name}\n" for i, name in enumerate(world.classes))
        (folder / part / "classInd.txt").write_text(classes)
        for split in ("train", "val", "test"):
            lines = [f"{path} {label + 1}\n" for p, s, path, label, _ in written if (p, s) == (part, split)]
            if lines:
                (folder / part / f"{split}list01.txt").write_text("".join(lines))
    truth = pd.concat([row[4] for row in written if row[0] == "untrimmed"], ignore_index=True)
    truth.to_parquet(folder / "untrimmed" / "truth.parquet", index=False)
    (folder / "planted.json").write_text(json.dumps(recipe, indent=1))
    folder.rename(root)
    return root
