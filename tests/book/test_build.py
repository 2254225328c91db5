"""What Jupyter Book makes of the staged pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpclab.book import links
from hpclab.errors import BookError
from hpclab.exercises import build

from .conftest import LAB, PLOT, Book


def text(book: Book, page: str) -> str:
    return (book.html / f"{page}.html").read_text()


def test_every_link_leads_somewhere_and_nothing_comes_from_elsewhere(whole: Book) -> None:
    pages = links.read_pages(whole.html)
    assert links.find_faults(pages) == []
    assert {"index.html", f"{LAB}.html", "reference/faults.html", "sites/perlmutter.html", "search.html"} <= {
        page.path for page in pages
    }


def test_a_lab_shows_outputs_and_no_answer_and_no_hidden_test(whole: Book) -> None:
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


def test_a_plot_has_the_words_that_its_cell_printed(whole: Book) -> None:
    assert f'alt="Plot. {PLOT}"' in text(whole, LAB)


def test_the_learners_notebook_can_be_taken_along(whole: Book) -> None:
    notebooks = list((whole.html / "_downloads").rglob("*.ipynb"))
    labs = build.list_sources(whole.course / "notebooks")
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


def test_with_a_hub_the_button_opens_the_lab_as_it_is_handed_out(small: Book) -> None:
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


def test_one_changed_page_is_built_alone(small: Book) -> None:
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


def test_a_warning_is_an_error_each_time_and_the_book_stays(small: Book) -> None:
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


def test_the_published_book_is_for_everybody_to_read(whole: Book) -> None:
    assert all(path.stat().st_mode & 0o004 for path in whole.html.rglob("*") if path.is_file())
