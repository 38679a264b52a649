"""What the notebooks declare: light to load, since each job of a study reads it."""

import ast
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def declared_parameters(notebook):
    """{name: default} of the cell tagged "parameters" of notebooks/<notebook>.ipynb."""
    cells = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text())["cells"]
    source = next("".join(c["source"]) for c in cells if "parameters" in c["metadata"].get("tags", []))
    return {node.target.id: ast.literal_eval(node.value) for node in ast.parse(source).body}
