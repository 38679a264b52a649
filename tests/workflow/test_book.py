"""make book: chapters of a study that hold together without a network."""

import re

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from condi_lib.runs import ROOT
from workflow import book

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def write(path, title, *texts):
    output = new_output("display_data", {"image/png": PNG})
    cells = [new_markdown_cell(f"# {title}"), *map(new_markdown_cell, texts)]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=[*cells, new_code_cell("price = '$5 and $6'", outputs=[output])]), path)


@pytest.fixture
def made(tmp_path, monkeypatch):
    run = tmp_path / "runs" / "mine" / "data" / "teacher"
    write(
        run / "06_sampling.ipynb",
        "06 · Sampling",
        "Back to [05](05_train_sampler.ipynb), on to [10](10_explore.ipynb).",
    )
    equations = "Here $z_i$ and `$not this$`:\n\n$$\\frac{a}{b}$$"
    write(run / "01_dataset.ipynb", "01 · The data set", equations, "Next: [06](06_sampling.ipynb)")
    write(run / "bce_c" / "seed0" / "05_train_sampler.ipynb", "05 · Training")
    write(run / "st_ent" / "seed1" / "05_train_sampler.ipynb", "05 · Training", "To [06](06_sampling.ipynb).")
    write(tmp_path / "runs" / "mine" / "14_across.ipynb", "14 · Across")
    figures = tmp_path / "figures" / "data" / "teacher"
    figures.mkdir(parents=True)
    (figures / "summary.md").write_text("| sampler | K = 1 |\n| --- | --- |\n| dense | 69.0 |\n")
    config = {"out": "runs/mine", "figures_out": "figures"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(tmp_path)
    book.main("mine.yaml")
    return tmp_path / "book" / "mine"


def links(page):
    return re.findall(r'<a [^>]*?href="([^"#]+)', page.read_text())


def test_every_link_of_every_page_leads_somewhere(made):
    pages = sorted(made.rglob("*.html"))
    assert len(pages) == 6
    for page in pages:
        for link in links(page):
            assert (page.parent / link).is_file(), (page.name, link)
        assert not re.search(r'(src|href)="https?:|<script[^>]* src', page.read_text())


def test_all_chapters_can_be_reached_one_after_the_other(made):
    """From the front page's first chapter by "next" through a run, students included."""
    page, titles = made / "data" / "teacher" / "01_dataset.html", []
    while page:
        text = page.read_text()
        titles.append(re.search(r"<h1[^>]*>(.*?)<", text)[1])
        found = re.search(r'<a href="([^"]+)">[^<]* →</a>', text)
        page = (page.parent / found[1]).resolve() if found else None
    assert titles == ["01 · The data set", "05 · Training", "05 · Training", "06 · Sampling"]
    front = (made / "index.html").read_text()
    assert "69.0" in front and "05 · Training (st_ent, seed1)" in front and "14 · Across" in front


def test_equations_are_mathml_and_code_is_folded_and_left_alone(made):
    text = (made / "data" / "teacher" / "01_dataset.html").read_text()
    assert "<msub><mi>z</mi><mi>i</mi></msub>" in text and "<mfrac>" in text and 'display="block"' in text
    assert "$not this$" in text and "EQUATION" not in text
    assert re.search(r'<details class="code">.*price', text, re.DOTALL) and "$5 and $6" in re.sub("<[^>]*>", "", text)
    assert f"data:image/png;base64,{PNG[:20]}" in text


def test_every_equation_of_the_notebooks_is_understood():
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        equations = []
        for cell in (cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown"):
            left = book.set_equations_aside(cell.source, equations)
            assert "$" not in re.sub(r"`[^`]*`", "", left), (path.name, left)
        assert all(equation.startswith("<math") and "\\" not in equation for equation in equations), path.name


def test_without_a_finished_study_it_says_what_to_run(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"out": "runs/none", "figures_out": "figures"}))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="holds no executed notebook: run make reproduce PROFILE=mine first"):
        book.main("mine.yaml")
