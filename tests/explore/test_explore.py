"""The book of executed notebooks."""

import json

import pandas as pd

from condi_lib import runs


def test_the_book_has_a_page_for_each_notebook_and_needs_no_network(tmp_path, monkeypatch):
    from workflow import book

    monkeypatch.chdir(tmp_path)
    source = json.loads((runs.ROOT / "notebooks" / "04_oracle.ipynb").read_text())
    for name in ("04_oracle", "05_train_sampler"):
        path = tmp_path / "runs" / "x" / "planted" / "t" / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(source))
    (tmp_path / "x.yaml").write_text("out: runs/x\n")
    book.main("x.yaml")
    index = (tmp_path / "book" / "x" / "index.html").read_text()
    for name in ("04_oracle", "05_train_sampler"):
        assert f'href="planted/t/{name}.html"' in index
    page = (tmp_path / "book" / "x" / "planted" / "t" / "04_oracle.html").read_text()
    assert 'href="05_train_sampler.html"' in page and "data:image/png;base64" in page
    assert "<script src" not in page and not pd.Series([page]).str.contains(r'<link[^>]+href="http').any()
