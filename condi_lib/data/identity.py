"""What a file is, by its content: digests of tables, weights and values, and of files that others made.

Identity is content. A file's size and time are a shortcut to a digest that was taken before, and never the reason for
calling it another one.
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

VOLATILE = "mtime_ns"  # the column of a table that its digest leaves out: a time is no identity
WHOLE = 8 * 2**20  # bytes up to which a foreign file is read whole for its digest
BLOCK, BLOCKS = (
    64 * 2**10,
    64,
)  # of a larger one: so many blocks of so many bytes, evenly spread, first and last included


def _hex(*parts):
    found = hashlib.sha256()
    for part in parts:
        found.update(part if isinstance(part, bytes | bytearray | memoryview) else str(part).encode() + b"\0")
    return found.hexdigest()[:32]


def values_digest(values):
    """The digest, hexadecimal, of values that JSON can hold; the order of keys does not matter."""
    return _hex(json.dumps(values, sort_keys=True))


def weights_digest(state):
    """The digest of {name: tensor}: names, types, shapes and numbers."""
    found = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        tensor = tensor.detach().cpu().contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return found.hexdigest()[:32]


class TableDigest:
    """The digest of a table's columns, names and values, that comes to it in parts; how it was cut does not matter."""

    def __init__(self):
        self.columns = {}

    def update(self, table):
        """table: a pyarrow Table, the next rows."""
        for name, column in zip(table.column_names, table.columns, strict=True):
            hashers = self.columns.setdefault(name, {})
            for chunk in column.chunks:
                _hash_values(chunk, hashers, "")
        return self

    def hexdigest(self):
        parts = [(name, path, h.hexdigest()) for name, hs in self.columns.items() for path, h in sorted(hs.items())]
        return values_digest(parts)


def table_digest(table):
    """The digest of a pandas DataFrame's columns; its index and attrs do not count."""
    return TableDigest().update(pa.Table.from_pandas(table, preserve_index=False)).hexdigest()


def _hash_values(array, hashers, path):
    """Feeds an arrow array into hashers {path: hasher}: types, which are null, lengths of lists and strings, values."""

    def feed(what, values):
        key = f"{path}{what}"
        if key not in hashers:
            hashers[key] = hashlib.sha256()
        hashers[key].update(np.ascontiguousarray(values).view(np.uint8).data if len(values) else b"")

    kind = array.type
    if pa.types.is_dictionary(kind):
        return _hash_values(array.dictionary_decode(), hashers, path)
    feed("null", np.asarray(array.is_null()))
    array = array.drop_null()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        feed("length", array.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64))
        return _hash_values(array.flatten(), hashers, path + "/")
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
        texts = [t.encode() if isinstance(t, str) else t for t in array.to_pylist()]
        feed("length", np.array([len(t) for t in texts], np.int64))
        return feed("text", np.frombuffer(b"".join(texts), np.uint8))
    if pa.types.is_null(kind):
        return None
    return feed(str(kind), array.to_numpy(zero_copy_only=False))


def file_identity(path, known=None):
    """{"size": bytes, "time": ns, "digest": str} of a file, or of a folder of pictures (all of them together).

    known: an identity found before; where size and time are still its own, its digest is taken as it stands. Files of
    up to 8 MiB count whole, of larger ones 64 blocks that are spread evenly; of a folder also the names. Raises OSError
    where it cannot be read.
    """
    path = Path(path)
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    stats = [os.stat(file) for file in files]
    times = [(file.name, stat.st_mtime_ns) for file, stat in zip(files, stats, strict=True)]
    time = _number(times) if path.is_dir() else stats[0].st_mtime_ns
    found = {"size": sum(s.st_size for s in stats), "time": time}
    if known and {name: known.get(name) for name in found} == found:
        return {**found, "digest": known["digest"]}
    parts = []
    for file, stat in zip(files, stats, strict=True):
        if path.is_dir():
            parts += [os.fsencode(file.name), str(stat.st_size).encode()]
        if not path.is_dir() or file in files[:: max(1, len(files) // BLOCKS)]:
            parts += _content(file, stat.st_size)
    return {**found, "digest": _hex(*parts)}


def _number(values):
    """An int64 that stands for values, such as the names and times of a folder's files."""
    return int(_hex(*values)[:15], 16)


def _content(file, size):
    """The bytes of a file that its digest is taken of."""
    if not os.path.isfile(file):
        return
    with open(file, "rb") as stream:
        if size <= WHOLE:
            yield stream.read()
            return
        yield str(size).encode()
        for at in np.linspace(0, size - BLOCK, BLOCKS).astype(int):
            stream.seek(at)
            yield stream.read(BLOCK)
