"""What `make reproduce` prints at its end: the summary table, the seconds of each stage, and where to look."""

import sys
from itertools import product
from pathlib import Path

import pandas as pd
import yaml

from condi_lib.runs import markdown


def stages(logs):
    """Seconds of each notebook (of all its jobs, one after the other) from Snakemake's benchmark files."""
    found = [(path.stem, pd.read_csv(path, sep="\t").s[0]) for path in sorted(Path(logs).rglob("*.tsv"))]
    table = pd.DataFrame(found, columns=["notebook", "seconds"]).groupby("notebook").seconds.agg(["size", "sum"])
    return table.rename(columns={"size": "jobs", "sum": "seconds"}).round(1).reset_index()


def main(profile):
    config = yaml.safe_load(Path(profile).read_text())
    for dataset, teacher in product(config["datasets"], config["teachers"]):
        run, shown = (f"{config[folder]}/{dataset}/{teacher}" for folder in ("out", "figures_out"))
        print(f"\n{dataset}, {teacher}: video accuracy in %, 95 % intervals over videos and seeds\n")
        print(Path(shown, "summary.md").read_text())
        print(markdown(stages(f"logs/{run}")))
        print(f"\nFigures and tables: {shown}/\nExecuted notebooks:  {run}/")
    print("\nThe thesis' claims here:\n")
    print(Path(config["figures_out"], "verdicts.md").read_text())
    print(f"All data sets side by side: {config['figures_out']}/, {config['out']}/14_across.ipynb")


if __name__ == "__main__":
    main(sys.argv[1])
