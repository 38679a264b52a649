"""Executes the notebooks as they are stored, in place, on the tiny profile: make notebooks

What they print on the way (progress, on standard error) is not stored, nor are times and the states of widgets.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ORDER = ["00", "01", "02", "03", "04", "05", "06", "07", "08", "12", "09", "13", "14", "15", "10", "11"]
NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


def execute(path):
    notebook = nbformat.read(path, 4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(path.parent)}}).execute()
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        cell.metadata.pop("execution", None)
    notebook.metadata.pop("widgets", None)
    _, notebook = nbformat.validator.normalize(notebook)
    nbformat.write(notebook, path)


def main(*names):
    found = sorted(NOTEBOOKS.glob("*.ipynb"), key=lambda path: ORDER.index(path.stem[:2]))
    for path in (path for path in found if not names or path.stem in names):
        print(path.stem, flush=True)
        execute(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
