"""The GRID corpus (Cooke, Barker, Cunningham, Shao 2006): a spoken sentence a video, and where each word of it is said.

A sentence is command colour preposition letter digit adverb, "bin blue at f two now"; one of the words is the class.
"""

import os
import re
import string
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from condi_lib.data.annotations import read_lines
from condi_lib.data.index import index
from condi_lib.data.tree import is_left_behind, stem, walk

WORDS = {
    "command": ["bin", "lay", "place", "set"],
    "colour": ["blue", "green", "red", "white"],
    "preposition": ["at", "by", "in", "with"],
    "letter": [letter for letter in string.ascii_lowercase if letter != "w"],
    "digit": ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
    "adverb": ["again", "now", "please", "soon"],
}
FOLDS = 5  # every video is a test video in one of them
SILENCE = ("sil", "sp")
SHIFTS = range(-3, 4)  # frames: the teacher learns each segment from these starts, not where in a clip a word stands
# Of what is not test: half for the teacher, an eighth for validation, the rest (train) for the samplers
ROLES = ("val", "teacher", "train", "teacher", "train", "teacher", "train", "teacher")


def read_align(path):
    """[(start, end, word)] of an .align file, silences too, in frames: 1,000 units are a frame. Raises ValueError."""
    out = []
    for i, line in read_lines(path):
        found = re.fullmatch(r"(\d+)\s+(\d+)\s+(\S+)", line)
        if not found:
            raise ValueError(f"{path}, line {i}: found {line!r}, expected start, end and word")
        out.append((int(found[1]) / 1000, int(found[2]) / 1000, found[3].lower()))
    return out


def frames_of(start, end):
    """(first, end exclusive): a frame n shows what is said from start to end if n + 1/2 lies in it. Frames, float."""
    return int(np.ceil(start - 0.5)), int(np.ceil(end - 0.5))


def grid(root, fold, annotations, word="colour", turn=True, seed=0, segment_frames=8):
    """s<k>/<name>.<ending> in any folders, align/s<k>/<name>.align or s<k>/align/<name>.align (or in `annotations`).

    Rows of split teacher are segments of segment_frames, the word in their middle; the others are whole sentences,
    each turned by `turn` frames (its end goes before its beginning; drawn with `seed`, 0 without). fold: 1 to 5.
    Speakers are split where there are five or more, else sentences. Raises ValueError.
    """
    if word not in WORDS:
        raise ValueError(f"word: found {word!r}, expected one of {', '.join(WORDS)}")
    if fold not in range(1, FOLDS + 1):
        raise ValueError(f"fold: found {fold}, expected 1 to {FOLDS}")
    tree = walk(root)
    videos = {_key(root, path): path for path in tree.videos}
    aligns = find_aligns(annotations or root)
    if not aligns:
        raise ValueError(f"annotations: {annotations or root} has no .align file; expected align/s<k>/<name>.align")
    rows = []
    for key, align in sorted(aligns.items()):
        error, class_name, start, end = "", "", 0, 0
        try:
            said = _said(align)
            start, end, class_name = said[list(WORDS).index(word)]
            if class_name not in WORDS[word]:
                error, class_name = f"{align}: has {class_name!r} for its {word}", ""
        except ValueError as e:
            error = str(e)
        rows.append(("/".join(filter(None, key)), videos.get(key), class_name, key[0], *frames_of(start, end), error))
    columns = ["video", "path", "class_name", "speaker", "first", "last", "error"]
    table = pd.DataFrame(rows, columns=columns)
    by_speaker = table.speaker.nunique() >= FOLDS
    table["split"] = _roles(table, by_speaker, fold, seed)
    table["source"] = table.speaker if by_speaker else table.video
    notes = [] if by_speaker else [f"{table.speaker.nunique()} speakers: sentences are split, not speakers"]
    if without := sorted(set(videos) - set(aligns)):
        notes.append(f"{len(without):,} videos have no .align and are left out, the first {videos[without[0]]}")
    table = _segments(table, segment_frames)
    turns = [
        _turn(seed, video) if turn and split != "teacher" else 0
        for video, split in zip(table.video, table.split, strict=True)
    ]
    table["turn"] = turns
    return (
        table.drop(columns=["speaker", "first", "last"]),
        WORDS[word],
        {"passed_over": tree.passed_over, "notes": notes},
    )


def _turn(seed, video):
    """Frames, 0 to 74: a video's own draw, whatever others there are. Of a shorter file it counts modulo its length."""
    return int(np.random.default_rng([seed, zlib.crc32(video.encode())]).integers(75))


def _said(path):
    """[(start, end, word)] of the six words, in frames. Raises ValueError."""
    said = [part for part in read_align(path) if part[2] not in SILENCE]
    if len(said) != len(WORDS):
        raise ValueError(f"{path}: has {len(said)} words; expected {len(WORDS)}")
    return said


def _key(root, path):
    """(speaker, name) of a video or .align file: the last folder that is called s<k>, root itself included, or ""."""
    *folders, name = Path(path).parts
    speakers = [folder.lower() for folder in (Path(root).resolve().name, *folders) if re.fullmatch(r"[sS]\d+", folder)]
    return speakers[-1] if speakers else "", stem(name).removesuffix(".align")


def find_aligns(folder):
    """{(speaker, name): path} of the .align files below a folder. Raises ValueError where it is not there."""
    if not Path(folder).is_dir():
        raise ValueError(f"annotations: {folder} does not exist; expected a folder with .align files")
    found = {}
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_left_behind(name))
        for name in files:
            if name.lower().endswith(".align") and not is_left_behind(name):
                path = Path(where, name)
                found[_key(folder, path.relative_to(folder))] = path
    return found


def _roles(table, by_speaker, fold, seed):
    """The split of each sentence: test, teacher, val or train (samplers); classes alike in all, or by speaker."""
    unit = table.speaker if by_speaker else table.video
    stratum = pd.Series("", table.index) if by_speaker else table.class_name
    role, rng = {}, np.random.default_rng(seed)
    for k, (_, names) in enumerate(unit.groupby(stratum)):
        names = rng.permutation(names.unique())
        block = (np.arange(len(names)) + k) % FOLDS  # classes begin at different blocks and roles: small ones too
        role |= dict.fromkeys(names[block == fold - 1], "test")
        rest = [name for i in range(FOLDS - 1) for name in names[block == (fold + i) % FOLDS]]
        role |= {name: ROLES[(i + 3 * k) % len(ROLES)] for i, name in enumerate(rest)}
    return unit.map(role)


def _segments(table, segment_frames):
    """start_frame and end_frame: of the teacher's rows about the word, of the others all."""
    start = ((table["first"] + table["last"] - segment_frames) // 2).clip(lower=0)
    teacher = table.split == "teacher"
    return table.assign(
        start_frame=start.where(teacher, 0),
        end_frame=(start + segment_frames).where(teacher, -1),
        error=table.error.mask((table.error == "") & (table["last"] <= table["first"]), "its word has no frame"),
    )


def shifted(videos):
    """The teacher's rows (find_teacher_videos), those of train at each of SHIFTS that lies within the sentence."""
    train = videos.split == "train"
    tables = [videos[~train]]
    for shift in SHIFTS:
        rows = videos[train].assign(
            video=videos.video[train] + f"@{shift:+d}",
            start_frame=videos.start_frame[train] + shift,
            end_frame=videos.end_frame[train] + shift,
        )
        rows = rows[rows.start_frame >= 0]
        inside = [end <= len(index(path)) for path, end in zip(rows.path, rows.end_frame, strict=True)]
        tables.append(rows[inside])
    return pd.concat(tables).sort_values(["source", "video"], ignore_index=True)


def grid_truth(root, videos, word="colour", annotations=""):
    """What each frame of the sentences shows: columns video, frame (as read: turned), shows (the word), kind.

    kind is the word's place (command, colour, ...), or silence. videos: the probed table that find_videos gave.
    """
    aligns = {"/".join(filter(None, key)): path for key, path in find_aligns(annotations or root).items()}
    tables = []
    for row in videos[videos.ok & (videos.split != "teacher")].itertuples():
        kinds = np.full(row.n_frames, "silence", object)
        for kind, (start, end, _) in zip(WORDS, _said(aligns[row.video]), strict=True):
            first, last = frames_of(start, end)
            kinds[first:last] = kind
        kinds = np.roll(kinds, -row.turn % row.n_frames)
        tables.append(pd.DataFrame({"video": row.video, "frame": np.arange(row.n_frames), "kind": kinds}))
    table = pd.concat(tables, ignore_index=True)
    return table.assign(shows=table.kind == word)
