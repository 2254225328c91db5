"""No MyST reaches a learner's JupyterLab."""

import pytest

from hpclab.exercises.plain_markdown import UnsupportedMarkup, to_plain_markdown


def test_hints_fold() -> None:
    text = to_plain_markdown(
        ":::{dropdown} Hint 1: where\n\nLook at `squeue`.\n\n```bash\nsqueue --me\n```\n:::"
    )
    assert text == (
        "<details>\n<summary>Hint 1: where</summary>\n\n"
        "Look at `squeue`.\n\n```bash\nsqueue --me\n```\n\n</details>"
    )


def test_admonitions_become_quotations() -> None:
    assert to_plain_markdown(":::{warning}\nMind.\n\nTwice.\n:::") == "> **Warning**\n>\n> Mind.\n>\n> Twice."
    assert to_plain_markdown("```{admonition} Slow\n:class: tip\nWait.\n```") == "> **Slow**\n>\n> Wait."


def test_directives_within_directives() -> None:
    text = to_plain_markdown("::::{dropdown} Hint\n:::{note}\nA.\n:::\n::::")
    assert text == "<details>\n<summary>Hint</summary>\n\n> **Note**\n>\n> A.\n\n</details>"


def test_roles() -> None:
    assert (
        to_plain_markdown("A {term}`job <Job>` in {math}`x^2`, {kbd}`Ctrl-C`.")
        == "A *job* in $x^2$, <kbd>Ctrl-C</kbd>."
    )


def test_code_is_not_changed() -> None:
    assert to_plain_markdown("`{job}` is `job`, ``a`{doc}`b`` too") == "`{job}` is `job`, ``a`{doc}`b`` too"
    code = "before\n\n```python\nx = '{term}`job`'\n:::{note}\n```\n\nafter"
    assert to_plain_markdown(code) == code


def test_pictures() -> None:
    assert (
        to_plain_markdown("```{image} a.svg\n:alt: Three nodes\n:width: 50%\n```") == "![Three nodes](a.svg)"
    )
    figure = ":::{figure} a.svg\n:name: fig\n\nThree *nodes*,\nidle.\n:::"
    assert to_plain_markdown(figure) == "![Three *nodes*, idle.](a.svg)\n\n*Three *nodes*, idle.*"


def test_tables_math_and_code_survive() -> None:
    table = "| a | b |\n|---|---|\n| `x` | $y^2$ |"
    assert to_plain_markdown(table) == table
    assert to_plain_markdown(f":::{{table}} Sizes\n{table}\n:::") == f"*Sizes*\n\n{table}"
    assert to_plain_markdown("$$\na = b\n$$") == to_plain_markdown("```{math}\na = b\n```") == "$$\na = b\n$$"
    assert (
        to_plain_markdown("```{code-block} bash\n:linenos:\nsqueue --me\n```") == "```bash\nsqueue --me\n```"
    )


def test_blocks_of_a_list_stay_in_the_list() -> None:
    text = to_plain_markdown("1. First\n\n   :::{note}\n   A.\n\n   B.\n   :::\n\n2. Second")
    assert text == "1. First\n\n   > **Note**\n   >\n   > A.\n   >\n   > B.\n\n2. Second"


def test_a_summary_is_html() -> None:
    text = to_plain_markdown(":::{dropdown} Hint 1: `a < b` & *why*\nx\n:::")
    assert "<summary>Hint 1: <code>a &lt; b</code> &amp; <em>why</em></summary>" in text


def test_labels_and_comments_of_myst_are_not_shown() -> None:
    assert (
        to_plain_markdown("(here)=\n# Title\n% a note for authors\ntext, 5 % more")
        == "# Title\ntext, 5 % more"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n\nb[^1]", 2),
        (":::{note}\n:class: x\n\nsee {doc}`x`\n:::", 3),
        ("```{code-cell python}\n```", 0),
        ("a\n\n:::{exercise}\nb\n:::", 2),
        (":::{note}\n\nsee {doc}`x`\n:::", 2),
        ("a\n{cite}`x`", 1),
        ("a\n:::{note}\nb", 1),
        ("```{note}\n\n:::\n```", 2),
        ("a\n> ```{note}\n> b\n> ```", 1),
        ("- :::{note}\n  b", 0),
        ("10. a\n\n    :::{note}\n    b\n    :::", 2),
    ],
)
def test_unsupported_markup_is_an_error(text: str, line: int) -> None:
    with pytest.raises(UnsupportedMarkup) as caught:
        to_plain_markdown(text)
    assert caught.value.line == line
