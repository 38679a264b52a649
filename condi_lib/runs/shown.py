"""Figures and tables as files, each with its provenance."""

from pathlib import Path

import pandas as pd

from condi_lib import catalogue
from condi_lib.data import write_atomically
from condi_lib.data.identity import file_identity
from condi_lib.runs.parameters import ROOT


def make_figures(run, folder, *names):
    """Makes these figures and tables of the catalogue from the run's tables, and saves them into `folder`.

    Returns the last one, a matplotlib Figure or a table. Where there is nothing to draw the picture says so, since the
    workflow waits for it. Raises MissingStep where a table is not there.
    """
    import matplotlib.pyplot as plt  # here: the workflow does not need to load a plotting library

    from condi_lib import figures

    for name in names:
        draw, sources = catalogue.ALL[name]
        steps = [source.split("/") for source in sources]
        own = run.fresh()  # each figure says what it alone was made from
        tables = [own.read_table(own.folder / f"{table}.parquet", step) for step, table in steps]
        for step, table in steps:
            if step == own.notebook:
                own.note(own.folder / f"{table}.parquet")
        made = getattr(figures, draw)(*tables) if draw else tables[0]
        if made is None:
            made = plt.figure(figsize=(6, 1), layout="none")
            made.text(0.5, 0.5, f"{name}: nothing to draw, {name}.csv has no value", ha="center", va="center")
        is_table = isinstance(made, pd.DataFrame)
        save_figure(own, folder, name, *((None, made) if is_table else (made, tables[0] if tables else None)))
    return made


def save_figure(run, folder, name, figure, table):
    """Writes <name>.png, .svg, .csv, .md (the table behind the figure) and .json (provenance) into `folder`.

    figure: a matplotlib Figure, or None for a table alone; table: a DataFrame, or None for a picture alone.
    """
    folder = Path(folder)
    if figure is not None:
        for ext, options in ((".png", {"dpi": 150}), (".svg", {"metadata": {"Date": None}})):
            write_atomically(
                folder / f"{name}{ext}",
                lambda part, e=ext, o=options: figure.savefig(part, format=e[1:], bbox_inches="tight", **o),
            )
    if table is not None:
        table = table.drop(columns="image", errors="ignore")  # pictures inside a table
        options = {"index": False, "float_format": "%.6g", "lineterminator": "\n"}
        write_atomically(folder / f"{name}.csv", lambda part: table.to_csv(part, **options))
        write_atomically(folder / f"{name}.md", lambda part: part.write_text(markdown(table) + "\n"))
    values = {"name": name, "rows": 0 if table is None else len(table)}
    endings = ("png", "svg") * (figure is not None) + ("csv", "md") * (table is not None)
    there = [folder / f"{name}.{ending}" for ending in endings]
    files = {path.name: file_identity(path)["digest"] for path in there}
    run.write_json(folder / f"{name}.json", values, with_chain=True, files=files)


def read_shown(run, path):
    """A table that save_figure wrote, by its CSV file, noted as read; None where it is not there."""
    path = ROOT / path
    return pd.read_csv(run.uses(path)) if path.is_file() else None


def markdown(table, digits=4):
    """A table in Markdown, numbers rounded to `digits` significant ones."""

    def cell(x):
        return f"{x:.{digits}g}" if isinstance(x, float) else str(x)

    head = [" | ".join(map(str, table.columns)), " | ".join("---" for _ in table.columns)]
    rows = [" | ".join(cell(x) for x in row) for row in table.itertuples(index=False)]
    return "\n".join(f"| {line} |" for line in head + rows)
