"""Weights from files: ours in safetensors, other people's as PyTorch pickles, which are read without running code."""

import codecs
import json
import os
import pickle
import re
import tarfile
import warnings
import zipfile
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from condi_lib.models.inputs import Input

# Names under which training code keeps weights, the likeliest first; averaged ones and teachers come after the others
NESTS = ("state_dict", "model_state_dict", "model_state", "model", "network", "net", "module", "weights", "params")
NESTS += (
    "backbone",
    "encoder",
    "student",
    "ema",
    "model_ema",
    "ema_model",
    "state_dict_ema",
    "ema_state_dict",
    "teacher",
)
DEPTH = 4  # how deep they are looked for
# Words of names under which it keeps something else
OPTIMISERS = {"optim", "optimizer", "optimizers", "optimiser", "optimisers", "sched", "scheduler", "schedulers"}
MEASURES = {"scaler", "scalers", "amp", "loss", "losses", "meter", "meters"}  # model_best_loss is a model all the same
RESAVE = 'Where the file was made, save the weights alone: torch.save(network.state_dict(), "weights.pth")'
# First bytes of files that are no weights: what they are, what to do
_MAGIC = {
    b"version https://git-lfs": "is a pointer of Git LFS in place of the file; fetch it with git lfs pull",
    b"\x1f\x8b": "is a gzip archive; unpack it",
    b"BZh": "is a bzip2 archive; unpack it",
    b"\xfd7zXZ": "is an xz archive; unpack it",
    b"\x28\xb5\x2f\xfd": "is a Zstandard archive; unpack it",
    b"7z\xbc\xaf": "is a 7z archive; unpack it",
    b"Rar!": "is a RAR archive; unpack it",
    b"\x89HDF": "is an HDF5 file, as Keras writes them; expected PyTorch's weights",
    b"\x93NUMPY": "is a NumPy array; expected PyTorch's weights",
    b"GGUF": "is a GGUF file; expected PyTorch's weights",
}


class Weights(dict):
    """{key: tensor} of a file, and what the file says beside them.

    pixels: what the network was trained on: an Input, a name of PIXELS where it is guessed from the file's form (clue
    then says from what), or None. notes: [str], what was passed over.
    ours: whether a run of this suite wrote them. sets: [(name, {key: tensor})], all sets of weights in the file, these
    the first, where there are several.
    """

    def __init__(self, weights=(), pixels=None, notes=(), ours=False, sets=(), clue=""):
        super().__init__(weights)
        self.pixels, self.notes, self.ours, self.sets, self.clue = pixels, list(notes), ours, list(sets), clue


def metadata_of(network, **more):
    """{"about": JSON}: what a safetensors file of the network's weights carries for read_checkpoint, and `more`.

    A single key: safetensors writes several in any order, and the same weights would be other bytes.
    """
    wants = getattr(network, "input", None)
    return {"about": json.dumps({"input": asdict(wants) if isinstance(wants, Input) else None, **more})}


def read_checkpoint(path):
    """The Weights of a checkpoint file: safetensors, or a PyTorch file, told apart by content.

    The weights stand at the top of a PyTorch file or under names such as those in NESTS, at any place in it. "~" in the
    path is the home folder. Raises FileNotFoundError if there is no such file; ValueError, naming it, if it is
    something else, damaged, holds no weights, or could only be read by running code in it (weights_only=True is all
    that is tried).
    """
    path = Path(os.path.expanduser(path))  # which leaves the folder of a user who is not there as it is
    if path.is_dir():
        raise ValueError(f"checkpoint: {path} is a folder; expected a file of weights")
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint: {path} does not exist")
    try:
        with path.open("rb") as file:
            head = file.read(512)
        if _is_safetensors(head, path.stat().st_size):
            return _read_safetensors(path)
        _refuse_other_files(path, head)
        with path.open("rb") as file, warnings.catch_warnings():  # given the path, torch would go by its ending
            warnings.simplefilter("ignore")  # of ways of writing that it reads all the same, or an error follows
            found = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as e:
        raise ValueError(f"checkpoint: {path} {_in_the_way(str(e), head)}") from None
    except _NoWeights as e:
        raise ValueError(f"checkpoint: {path} {e}") from None
    except PermissionError as e:
        raise ValueError(f"checkpoint: {path} cannot be read: {e.strerror}") from None
    except Exception as e:  # torch raises of many kinds on damaged files
        raise ValueError(f"checkpoint: {path} cannot be read, is cut short or damaged: {_plain(e)}") from e
    return _published(path, found)


class _NoWeights(Exception):
    """What a file is instead."""


def _plain(e):
    """The first line of an error, without escape codes and without advice on how to load it all the same."""
    line = re.sub(r"\x1b\[[0-9;]*m", "", str(e)).partition("\n")[0]
    return (re.split(r"\s*(?:Please|You can|Re-running|Use )", line)[0] or type(e).__name__)[:300]


def _is_safetensors(head, size):
    length = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and 2 <= length <= 100_000_000 and (size >= 8 + length or b'"dtype"' in head)


def _read_safetensors(path):
    try:
        with safe_open(path, "pt") as file:
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no mapping)
            metadata = file.metadata() or {}
    except SafetensorError as e:
        raise _NoWeights(f"is a safetensors file that is cut short or damaged: {_plain(e)}") from e
    about = json.loads(metadata.get("about", "{}"))
    pixels = about.get("input")
    pixels = Input(**{k: tuple(v) if isinstance(v, list) else v for k, v in pixels.items()}) if pixels else None
    return Weights(weights, pixels, ours="provenance" in about)


def _refuse_other_files(path, head):
    """Raises _NoWeights for what is recognised as no PyTorch file."""
    if not head:
        raise _NoWeights("is empty; download or copy it again")
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            raise _NoWeights(what)
    if not head.strip(b"\0"):
        raise _NoWeights("begins with zeros, as a file whose download broke off; download or copy it again")
    text = _text(head)
    if re.match(r"<(!doctype|html|head|body|meta|script|\?xml|!--)", text, re.IGNORECASE):
        raise _NoWeights("is a web page, not weights; the download asked for something: open its address in a browser")
    if head.startswith(b"PK"):
        if not zipfile.is_zipfile(path):
            raise _NoWeights("is cut short or damaged; download or copy it again")
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            # torch does not look at the check sums (0 where it was told to write none)
            bad = [part for part in archive.infolist() if part.CRC and _is_damaged(archive, part)]
        if any(name.rpartition("/")[2] == "constants.pkl" for name in names):
            raise _NoWeights(f"is a program (TorchScript), which would have to be run. {RESAVE}")
        if not any(name.rpartition("/")[2] == "data.pkl" for name in names):
            raise _NoWeights(f"is a zip archive of other files ({', '.join(names[:3])}); unpack it")
        if bad:
            raise _NoWeights(f"is damaged: check sums of {len(bad)} of {len(names)} parts do not fit; copy it again")
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            names = archive.getnames()
        if "tensors" in names and "pickle" in names:
            raise _NoWeights(
                f"is in the tar format of PyTorch before 0.2, which is not read without running code. {RESAVE}"
            )
        raise _NoWeights(f"is a tar archive of other files ({', '.join(names[:3])}); unpack it")
    elif text:
        raise _NoWeights(f"is a text file, not weights: it begins {text.partition(chr(10))[0][:60]!r}")
    elif not head.startswith(b"\x80"):
        raise _NoWeights("is neither safetensors nor a PyTorch file, or is damaged")


def _text(head):
    """The text that a file's first bytes are, without blanks before it, or "" if they are none."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        codings = ("utf-16",)
    elif len(head) > 1 and not any(head[1:16:2]):
        codings = ("utf-16-le",)
    else:
        codings = ("utf-8", "cp1252")
    for coding in codings:
        try:
            text = codecs.getincrementaldecoder(coding)().decode(head)  # the last character may be cut
        except UnicodeDecodeError:
            continue
        text = text.lstrip("\ufeff \t\r\n")
        if all(c.isprintable() or c.isspace() for c in text):
            return text
    return ""


def _is_damaged(archive, part):
    """Whether a part of a zip archive differs from its check sum."""
    try:
        with archive.open(part) as content:
            while content.read(1 << 20):
                pass
    except zipfile.BadZipFile:
        return True
    return False


def _in_the_way(message, head):
    """What torch's unpickler stumbled on, in one line."""
    found = re.search(r"GLOBAL (\S+)", message) or re.search(r"got <class '(.+?)'>", message)
    if found:
        name = found[1]
        what = " (a number or array of NumPy)" if name.startswith("numpy.") else ""
        return f"holds more than weights: {name}{what}, which is not read, since that can run code. {RESAVE}"
    if (
        "persistent" not in message
        and head[1:2] in (b"\x04", b"\x05")
        or re.search(r"operand (14[0-9]|150)\b", message)
    ):
        return f"is pickled by protocol 4 or later, which PyTorch does not read safely. {RESAVE}"
    reason = re.sub(r"\x1b\[[0-9;]*m", "", message.strip()).splitlines()
    reason = next((line for line in reversed(reason) if line and "weights_only" not in line and "http" not in line), "")
    return f"holds more than weights, or is damaged, and is not read: {reason[:200] or 'no PyTorch file'}. {RESAVE}"


def _published(path, found):
    """Weights of what torch.load gave, the likeliest set where there are several."""
    sets = sorted(_sets(found), key=lambda one: [_rank(name) for name in one[0]])
    if not sets:
        raise ValueError(
            f"checkpoint: {path} holds no weights; expected {{key: tensor}}, or that under a name such as "
            f'"state_dict"; found {_described(found)}'
        )
    (place, weights), *others = sets
    notes = []
    if place not in ((), ("state_dict",)) or others:
        notes.append(f'the weights under "{".".join(place)}"' if place else "the weights at its top")
    if others:
        notes[-1] += f" (not those under {', '.join('.'.join(p) or 'its top' for p, _ in others[:3])})"
    named = [("".join(p[-1:]), w) for p, w in sets] if others else []
    pixels, clue = _hara_pixels(found, weights)
    return Weights(weights, pixels, notes, sets=named, clue=clue)


def _rank(name):
    return NESTS.index(name) if name in NESTS else len(NESTS)


def _sets(found, place=()):
    """[(place, {key: tensor})] of all sets of weights in what torch.load gave.

    Keys of a set have dots, unless nothing else is there. What optimisers, schedulers and the like keep is passed over.
    """
    if not isinstance(found, dict):
        found = {str(i): x for i, x in enumerate(found)} if isinstance(found, list | tuple) else {}
    named = {k: x for k, x in found.items() if isinstance(k, str)}  # an optimiser's are numbered
    own = {k: x for k, x in named.items() if isinstance(x, torch.Tensor)}
    nested = []
    if len(place) < DEPTH:
        for key, x in named.items():
            if isinstance(x, dict | list | tuple) and not _is_beside(key):
                nested += _sets(x, (*place, key))
    if any("." in k for k in own) or (own and not nested):
        return [(place, own), *nested]
    return nested


def _is_beside(name):
    """Whether something of this name goes beside weights: an optimiser, a loss."""
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}
    return bool(words & OPTIMISERS or (words & MEASURES and not words & {"model", "net", "network", "weights"}))


def _described(found):
    if isinstance(found, dict):
        return ", ".join(map(str, list(found)[:6])) or "an empty dict"
    return type(found).__name__


def _hara_pixels(found, weights):
    """(which of PIXELS a file of github.com/kenshohara/3D-ResNets-PyTorch may go with, what says so); else (None, "").

    All of them have "epoch" and "arch" such as resnext-101. Those of 2017 and 2018 keep DataParallel's prefix
    "module.", and their batch norms, older than PyTorch 0.4.1, count no batches; the code of 2020 takes the prefix away
    and adds its scheduler. A file that was written anew may have lost or won any of it: a guess.
    """
    arch = isinstance(found, dict) and "epoch" in found and found.get("arch")
    if not isinstance(arch, str) or not re.match(r"[a-z_0-9]*(resnet|resnext|densenet)[a-z_0-9]*-\d+$", arch):
        return None, ""
    if "scheduler" in found:
        return "hara2020", "a scheduler beside the weights"
    if not any(k.endswith("num_batches_tracked") for k in weights):
        return "hara2018", "no scheduler, batch norms that count no batches"
    if all(k.startswith("module.") for k in weights):
        return "hara2018", 'no scheduler, keys that begin with "module."'
    return "hara2020", 'no "module." before keys, batch norms that count batches'
