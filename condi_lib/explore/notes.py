"""Notes on videos, in a small CSV file that people can open, edit and hand on."""

import csv
from pathlib import Path

from condi_lib.data import write_atomically

COLUMNS = ("run", "split", "video", "note")


class Notes:
    """The notes of a file, one a (run, split, video); the file is written again at each change.

    It is read before each change, so that what somebody else has added stays. Raises ValueError, naming the file, where
    it is there and is no table of notes; OSError where it cannot be written.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.read()

    def read(self):
        """{(run, split, video): note} of the file; nothing where there is none."""
        if not self.path.is_file():
            return {}
        try:
            with self.path.open(newline="", encoding="utf-8-sig") as file:
                rows = list(csv.reader(file))
        except (UnicodeDecodeError, csv.Error) as e:
            raise ValueError(f"{self.path}: is no CSV file of notes: {e}") from e
        if not rows or tuple(rows[0]) != COLUMNS or any(len(row) != len(COLUMNS) for row in rows if row):
            found = ", ".join(rows[0])[:80] if rows else "nothing"
            raise ValueError(f"{self.path}: found the columns {found}; expected {', '.join(COLUMNS)} in every line")
        return {tuple(row[:3]): row[3] for row in rows[1:] if row}

    def of(self, run, split, video):
        return self.read().get((run, split, video), "")

    def write(self, run, split, video, note):
        """Keeps a note; an empty one is taken out."""
        notes = self.read()
        notes.pop((run, split, video), None)
        if note.strip():
            notes[run, split, video] = note.strip()
        write_atomically(self.path, lambda part: self._to_csv(part, notes))

    def _to_csv(self, part, notes):
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows((*key, note) for key, note in sorted(notes.items()))
