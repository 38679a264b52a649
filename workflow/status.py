"""What of a run still stands: python -m workflow.status runs/quick [figures/quick ...]

A line for each file that carries its provenance: current, or stale and why. The exit code is 1 if any is stale.
"""

import sys
from pathlib import Path

from condi_lib.runs import MissingStep, read_provenance, why_stale


def main(*folders):
    found, known = {}, {}
    for folder in folders:
        if not Path(folder).exists():
            sys.exit(f"{folder}: does not exist; expected a folder of runs or figures")
        for path in sorted(p for p in Path(folder).rglob("*.*") if p.suffix in (".parquet", ".safetensors", ".json")):
            try:
                read_provenance(path)
            except MissingStep:
                if path.suffix != ".safetensors":  # a store of decoded clips holds none
                    found[path] = "it holds no provenance"
            else:
                found[path] = why_stale(path, known=known)
    for path, reason in found.items():
        print(f"stale, because {reason}: {path}" if reason else f"current: {path}")
    if not found:
        sys.exit(f"{', '.join(folders)}: no file of a run")
    return int(any(found.values()))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:] or ["runs"]))
