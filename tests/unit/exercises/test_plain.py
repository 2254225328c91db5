"""No MyST reaches a learner's JupyterLab."""

import pytest

from hpclab.exercises.plain import NotPlain, plain


def test_hints_fold() -> None:
    text = plain(":::{dropdown} Hint 1: where\n\nLook at `squeue`.\n\n```bash\nsqueue --me\n```\n:::")
    assert text == (
        "<details>\n<summary>Hint 1: where</summary>\n\n"
        "Look at `squeue`.\n\n```bash\nsqueue --me\n```\n\n</details>"
    )


def test_admonitions_become_quotations() -> None:
    assert plain(":::{warning}\nMind.\n\nTwice.\n:::") == "> **Warning**\n>\n> Mind.\n>\n> Twice."
    assert plain("```{admonition} Slow\n:class: tip\nWait.\n```") == "> **Slow**\n>\n> Wait."


def test_directives_within_directives() -> None:
    text = plain("::::{dropdown} Hint\n:::{note}\nA.\n:::\n::::")
    assert text == "<details>\n<summary>Hint</summary>\n\n> **Note**\n>\n> A.\n\n</details>"


def test_roles() -> None:
    assert (
        plain("A {term}`job <Job>` in {math}`x^2`, {kbd}`Ctrl-C`.") == "A *job* in $x^2$, <kbd>Ctrl-C</kbd>."
    )


def test_code_stays_as_it_is() -> None:
    assert plain("`{job}` is `job`, ``a`{doc}`b`` too") == "`{job}` is `job`, ``a`{doc}`b`` too"
    code = "before\n\n```python\nx = '{term}`job`'\n:::{note}\n```\n\nafter"
    assert plain(code) == code


@pytest.mark.parametrize(
    ("text", "line"),
    [("a\n\n:::{exercise}\nb\n:::", 2), (":::{note}\n\nsee {doc}`x`\n:::", 2), ("a\n{cite}`x`", 1)],
)
def test_what_has_no_plain_form_is_an_error(text: str, line: int) -> None:
    with pytest.raises(NotPlain) as caught:
        plain(text)
    assert caught.value.line == line
