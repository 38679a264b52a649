"""What lies below a folder: video files, folders of numbered pictures, and what is passed over. Nothing is opened."""

import os
import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

_VIDEOS = """
264 265 266 3g2 3gp 3gp2 3gpp amv apng apv asf av1 avc avi bik braw cavs cdxl dav dif dirac divx dnxhd drc dv
dvr-ms evc evo f4v flc fli flv gdv gif gxf h261 h263 h264 h265 h266 h26l hevc hnm ismv ivf ivr k3g kux lvf lxf
m1v m2p m2t m2ts m2v m4v mj2 mjpeg mjpg mk3d mkv mod moflex mov mp2v mp4 mp4v mpe mpeg mpg mpv mpv2 mts mv mvi
mxf mxg nsv nut nuv obu ogm ogv ogx pmp psp pva qt r3d rm rmvb roq rpl smk swf thp tod tp trp ts ty usm v210 vc1
viv vob vro vvc webm wm wmv wtv xesc xmv xvid y4m
"""
# What FFmpeg reads as video, by the endings that people meet; not those of sound, subtitles and single pictures, nor
# webp, of which its releases so far read the still ones only
VIDEO_ENDINGS = frozenset(f".{ending}" for ending in _VIDEOS.split())
_OFTEN_PICTURES = frozenset((".gif", ".apng"))  # beside a video of the same name they are its thumbnail
_PICTURES = frozenset(("jpg", "jpeg", "png"))
PICTURE_ENDINGS = frozenset(f".{ending}" for ending in _PICTURES)
# Left by operating systems and file servers, beside hidden folders: these in every folder, those at the root of a disk
_LEFT_BEHIND = {
    *("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir", "@recycle", "@recently-snapshot"),
    *("#recycle", "#snapshot", "$recycle.bin"),
}
_LEFT_AT_THE_ROOT = {"system volume information", "lost+found", "network trash folder", "temporary items", "found.000"}
_NO_VIDEOS = """
txt csv tsv json jsonl md rst pdf doc docx xls xlsx ods xml html htm yaml yml toml ini cfg log parquet feather
pkl npy npz mat h5 hdf5 py ipynb sh bat srt vtt ass ssa sub align wav mp3 m4a aac flac opus oga wma lst
list info nfo url lnk
"""
_TEXT_AND_SOUND = frozenset(f".{ending}" for ending in _NO_VIDEOS.split())  # nobody wonders where these are
_ENOUGH = 16  # pictures in a folder that has no folder in it: more of them are passed by their ending alone, for speed
_ENDS = tuple(PICTURE_ENDINGS)


def is_left_behind(name, at_root=True):
    """Whether a file or folder of this name is an operating system's, not the user's."""
    name = name.lower()
    # s-1-5-...: a user's folder in RECYCLER, which may be a class elsewhere
    return name.startswith((".", "~$", "s-1-5-")) or name in _LEFT_BEHIND or (at_root and name in _LEFT_AT_THE_ROOT)


def printable(path):
    """The path as text that tables and terminals take: bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode(errors="backslashreplace")


def ending(name):
    """The ending of a file's name: lower case, with its dot; "" where it has none."""
    return os.path.splitext(name)[1].lower()


def stem(path):
    """The last name of a path without the ending of a video. Other dots belong to the name."""
    name = path.rsplit("/", 1)[-1]
    return name[: -len(end)] if (end := ending(name)) in VIDEO_ENDINGS else name


def is_numbered_picture(name):
    """00001.jpg, img_00001.jpg, image_1.png: a frame. flow_x_00001.jpg is optical flow, and none."""
    start, _, end = name.rpartition(".")
    return end.lower() in _PICTURES and start[-1:].isdecimal() and start[:4].lower() != "flow"


@dataclass(frozen=True)
class Tree:
    """Paths relative to the root, with /, sorted. A folder of numbered pictures is a video."""

    files: list[str]
    folders: list[str]
    passed_over: list[str]  # no video by the ending, no text or sound either; folders that cannot be read end with /
    empty: list[str]  # folders without a video in them
    linked: list[tuple[str, str]]  # folders passed over since they are another one, by a link; and that
    not_utf8: frozenset[str]  # of all these, escaped; no table can hold their names as they are

    @cached_property
    def videos(self):
        return sorted(self.files + self.folders)

    @property
    def notes(self):
        return [f"{link}/ is {folder or 'the root'}/ by a link, and not read again" for link, folder in self.linked]


def _look(where, has_folders, at_root):
    """(names of folders, of links to some, of video files, of pictures, of other files); pictures may be cut short."""
    folders, links, videos, pictures, others = [], [], [], [], []
    many = False
    with os.scandir(where) as entries:
        for entry in entries:
            name = entry.name
            if many and name.endswith(_ENDS):
                continue
            if is_left_behind(name, at_root):
                hidden_video = name[0] == "." and name[:2] != "._" and ending(name) in VIDEO_ENDINGS
                if hidden_video and entry.is_file(follow_symlinks=False):  # "...baby one more time.mp4" is a user's
                    others.append(name)
                continue
            try:
                is_folder = entry.is_dir()
            except OSError:  # a link that leads to itself: listed, and found unreadable later
                is_folder = False
            if is_folder:
                (links if entry.is_symlink() else folders).append(name)
            elif is_numbered_picture(name):
                pictures.append(name)
                many = not has_folders and len(pictures) >= _ENOUGH
            elif ending(name) in VIDEO_ENDINGS and (entry.is_symlink() or entry.is_file()):  # no pipe, no device
                videos.append(name)
            elif ending(name) not in _TEXT_AND_SOUND:
                others.append(name)
    return folders, links, videos, pictures, others


_FRAMES = frozenset(("rgb", "img", "imgs", "image", "images", "frame", "frames", "color", "colour"))
_FLOW = frozenset(("flow", "flow_x", "flow_y", "flow_u", "flow_v", "optical_flow", "tvl1", "tvl1_flow", "depth"))


def _flow_beside_frames(folders):
    """Those of the folders that hold the flow (or depth) of a video whose frames lie beside them: rgb/ and flow/."""
    named = {folder for folder in folders if folder.rpartition("/")[2].lower() in _FLOW}
    with_frames = {f.rpartition("/")[0] for f in folders if f.rpartition("/")[2].lower() in _FRAMES} if named else ()
    return {folder for folder in named if folder.rpartition("/")[0] in with_frames}


def walk(root):
    """The Tree below `root`; a folder that links lead to is walked once: where it lies, else by the first of the links.

    A folder of numbered pictures is a video unless videos lie in it: these then are, and the pictures are passed over,
    in whatever order the folder lists them. No file is opened.
    """
    files, pictured, passed_over, todo, links, seen = [], [], [], [""], [], {}
    entered, linked = [], []
    while todo or links:
        if not todo:  # what is no link comes first
            links.sort(reverse=True)
            todo.append(links.pop())
        folder = todo.pop()
        path = f"{root}/{folder}"
        try:
            where = os.stat(path)
            if (first := seen.setdefault((where.st_dev, where.st_ino), folder)) != folder:
                linked.append((folder, first))
                continue
            # A folder has two links to it, and one more for each folder in it; file systems that do not count have one
            inside = _look(path, where.st_nlink != 2, not folder)
        except OSError:
            if not folder:
                raise
            passed_over.append(f"{folder}/")
            continue
        start = f"{folder}/" if folder else ""
        folders, to_others, videos, pictures, others = inside
        entered.append(folder)
        todo += [start + name for name in folders]
        links += [start + name for name in to_others]
        files += [start + name for name in videos]
        passed_over += [start + name for name in others if folder or ending(name)]  # no README, no LICENSE
        if pictures:
            pictured.append(folder)
    true = {os.path.splitext(path)[0] for path in files if ending(path) not in _OFTEN_PICTURES}
    thumbnails = [path for path in files if ending(path) in _OFTEN_PICTURES and os.path.splitext(path)[0] in true]
    if thumbnails:
        files = sorted(set(files) - set(thumbnails))
        passed_over += thumbnails
    hold = set()  # folders with a video in them

    def note(path):
        while path and (path := path.rpartition("/")[0]) not in hold:
            hold.add(path)

    for path in files:
        note(path)
    frame_folders = []
    flow = _flow_beside_frames(pictured)
    for folder in sorted(pictured, key=lambda path: -path.count("/")):
        if folder and folder not in hold and folder not in flow:
            frame_folders.append(folder)
            note(folder)
        else:
            passed_over.append(f"{folder}/*.jpg" if folder else "*.jpg")
    empty = list(set(entered) - hold - set(frame_folders) - {""})
    not_utf8, lists = set(), []
    for names in (files, frame_folders, passed_over, empty):
        escaped = [name if name.isascii() else printable(name) for name in names]
        not_utf8 |= {new for new, name in zip(escaped, names, strict=True) if new is not name and new != name}
        lists.append(sorted(escaped))
    linked = sorted((printable(link), printable(folder)) for link, folder in linked)
    return Tree(*lists, linked, frozenset(not_utf8))


def spelled(name):
    """A name for comparing: letter case, and how accents are composed (macOS, others), differ between copies."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).lower()


def folded(name):
    """A class name for comparing: letter case, composed accents, and _ or blanks between words count for nothing."""
    return re.sub(r"[_\s]+", " ", spelled(name)).strip()


class Finder:
    """Finds listed videos in a tree, where they lie deeper, in folders of another name, or with another ending.

    A listed path means the video of the same stem (as `exact` as that: letter by letter, or as `spelled`) that shares
    most of its last folders with it, at least `depth` - 1 of them; then the one spelled alike, and the shallowest.
    copies: listed paths for which several did equally.
    """

    def __init__(self, tree, depth=1, exact=False):
        self.depth, self.key, self.copies = depth, (lambda name: name) if exact else spelled, 0
        self.by_stem = defaultdict(list)
        for path in tree.videos:
            self.by_stem[self.key(stem(path))].append(path)

    def _rank(self, path, listed):
        theirs, mine = path.split("/")[-2::-1], listed.split("/")[-2::-1]
        shared = 0
        for a, b in zip(theirs, mine, strict=False):
            if self.key(a) != self.key(b):
                break
            shared += 1
        return shared, path.endswith(listed), ending(path) == ending(listed), stem(path) == stem(listed)

    def __call__(self, listed, depth=None):
        """The path below the root, or None."""
        depth = depth or self.depth
        there = self.by_stem.get(self.key(stem(listed)))
        if not there:
            return None
        if len(there) == 1 and depth == 1:
            return there[0]
        ranked = sorted(((self._rank(path, listed), -path.count("/")), path) for path in there)
        (rank, _), path = max(ranked, key=lambda pair: pair[0])
        self.copies += sum(other[0][0] == rank for other in ranked) > 1
        return path if rank[0] + 1 >= depth else None


def find_below(root, names, deepest=2):
    """{name: its path} of files and folders whose stem is one of `names`, which are not entered: for flat data sets."""
    found, level = {}, [""]
    for _ in range(deepest + 1):
        below = []
        for folder in level:
            try:
                entries = list(os.scandir(f"{root}/{folder}"))
            except OSError:
                if not folder:
                    raise
                continue
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                if is_left_behind(entry.name):
                    continue
                if stem(entry.name) in names and (entry.is_dir() or ending(entry.name) in VIDEO_ENDINGS):
                    found[stem(entry.name)] = min(path, found.get(stem(entry.name), path))
                elif entry.is_dir():
                    below.append(path)
        level = sorted(below)
    return found
