"""What of a run still stands: python -m workflow.status runs/quick [figures/quick ...]

A line for each file that carries its provenance: current, or stale and why. The exit code is 1 if any is stale.
"""

import os
import sys
from pathlib import Path

from condi_lib.runs import ROOT, MissingStep, read_provenance, why_stale


def main(*folders):
    folders, found, known = [Path(folder).absolute() for folder in folders], {}, {}
    os.chdir(ROOT)  # where the paths in files start from
    for folder in folders:
        if not folder.exists():
            sys.exit(f"{folder}: does not exist; expected a folder of runs or figures")
        for path in sorted(p for p in folder.rglob("*.*") if p.suffix in (".parquet", ".safetensors", ".json")):
            try:
                run = read_provenance(path).get("run", ".")
            except MissingStep:
                found[path] = "it holds no provenance"
            else:
                found[path] = why_stale(path, known=known)
                if not found[path] and not (ROOT / run).is_dir():
                    print(f"not looked at further, {run} is not here: {path}")
                    continue
            print(f"stale, because {found[path]}: {path}" if found[path] else f"current: {path}")
    if not found:
        sys.exit(f"{', '.join(map(str, folders))}: no file of a run")
    return int(any(found.values()))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:] or ["runs"]))
