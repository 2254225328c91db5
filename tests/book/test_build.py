"""The output of Jupyter Book for the staged pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpclab.book import links
from hpclab.errors import BookError
from hpclab.exercises.lab_names import list_sources

from .conftest import LAB, PLOT, Book


def text(book: Book, page: str) -> str:
    return (book.html / f"{page}.html").read_text()


def test_no_dead_links_and_no_external_resources(whole: Book) -> None:
    pages = links.read_pages(whole.html)
    assert links.find_faults(pages) == []
    assert {"index.html", f"{LAB}.html", "reference/faults.html", "sites/perlmutter.html", "search.html"} <= {
        page.path for page in pages
    }


def test_lab_page_has_outputs_but_no_answers(whole: Book) -> None:
    page = text(whole, LAB)
    assert "line of cell 1" in page
    assert "YOUR WORK HERE" in page
    for secret in (
        "BEGIN SOLUTION",
        "sbatch --parsable estimate.sbatch > estimate.jobid",
        "nbgrader",
        "hidden-tests",
    ):
        assert secret not in page


def test_alt_text_of_a_plot_is_its_cells_output(whole: Book) -> None:
    assert f'alt="Plot. {PLOT}"' in text(whole, LAB)


def test_learners_notebook_can_be_downloaded(whole: Book) -> None:
    notebooks = list((whole.html / "_downloads").rglob("*.ipynb"))
    labs = list_sources(whole.course / "notebooks")
    assert sorted(path.name for path in notebooks) == sorted(f"{lab.stem}.ipynb" for lab in labs)
    assert not [path for path in notebooks if "BEGIN SOLUTION" in path.read_text()]
    [notebook] = [path for path in notebooks if path.stem == Path(LAB).name]
    assert f'{notebook.relative_to(whole.html)}"' in text(whole, LAB)


def test_no_source_is_published(whole: Book) -> None:
    assert not (whole.html / "_sources").exists()
    assert not [path for path in whole.html.rglob("*") if path.suffix in (".map", ".md", ".toml", ".sbatch")]


def test_formulas_need_no_script(whole: Book) -> None:
    page = text(whole, "references")
    assert "<msqrt>" in page
    assert "mathjax" not in page.lower().replace("mathjax_ignore", "")


def test_without_a_hub_there_is_no_button(whole: Book) -> None:
    assert "git-pull" not in text(whole, LAB)


def test_hub_button_opens_the_learners_notebook(small: Book) -> None:
    small.edit(
        "book/_config.yml",
        lambda config: config.replace('jupyterhub_url: ""', "jupyterhub_url: https://hub.site.org").replace(
            'url: ""', "url: https://github.com/school/hpc-labs"
        ),
    )
    small.build()
    link = (
        "https://hub.site.org/hub/user-redirect/git-pull?repo=https%3A//github.com/school/hpc-labs"
        f"&urlpath=lab/tree/hpc-labs/{LAB}/ex01-submit-monitor.ipynb&branch=students"
    )
    assert link in text(small, LAB)
    assert "git-pull" not in text(small, "index")


def test_only_a_changed_page_is_rebuilt(small: Book) -> None:
    small.build()
    made = small.course / "build/work/_build/html"
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*.html")}
    small.edit("book/index.md", lambda page: f"{page}\nOne more sentence.\n")
    small.build()
    again = {
        path.relative_to(made).as_posix() for path, at in before.items() if path.stat().st_mtime_ns != at
    }
    assert "index.html" in again
    assert again <= {"index.html", "search.html"}
    assert "One more sentence." in text(small, "index")


def test_warning_fails_every_build_and_keeps_the_book(small: Book) -> None:
    small.build()
    before = text(small, "index")
    wrong = ("[x](gone.md)", "```{nonsense}\n```", "{math}`\\frac{a`", "{math}`\\nosuch`", "![x](gone.png)")
    small.edit("book/index.md", lambda page: "\n\n".join([page, *wrong]))
    for _ in range(2):
        with pytest.raises(BookError) as raised:
            small.build()
        assert "book/index.md" in raised.value.problem
        for says in ("gone.md", "nonsense", "braces", "nosuch", "gone.png"):
            assert says in raised.value.problem
    assert text(small, "index") == before


def test_published_book_is_world_readable(whole: Book) -> None:
    assert all(path.stat().st_mode & 0o004 for path in whole.html.rglob("*") if path.is_file())
