"""What the course asks of Sphinx beyond Jupyter Book: formulas without a script from elsewhere, colours for cells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

from hpclab.book.lexer import NAME, CellLexer

BRACES = re.compile(r"\\[{}]")  # those that are shown
logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_lexer(NAME, CellLexer)
    # Jupyter Book sets this for an extension that fetches scripts from elsewhere and is left out.
    app.add_config_value("comments_config", {}, "")
    # MathJax comes from a server elsewhere; browsers show MathML by themselves, and screen readers read it.
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("html-page-context", _launch_where_it_lies, priority=900)  # after the theme's own
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _launch_where_it_lies(
    _app: Sphinx, page: str, _template: str, context: dict[str, Any], _tree: Any
) -> None:
    """The theme takes a notebook to lie where its page does; a learner's is in a folder of its own."""
    name = page.rpartition("/")[2]
    for button in _buttons(context.get("header_buttons", [])):
        if "git-pull" in button.get("url", ""):
            button["url"] = button["url"].replace(f"/{page}.ipynb", f"/{page}/{name}.ipynb")


def _buttons(listed: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for button in listed:
        yield button
        yield from _buttons(button.get("buttons", []))


def _inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(_mathml(node, block=False))
    raise nodes.SkipNode


def _block(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{_mathml(node, block=True)}</div>\n')
    raise nodes.SkipNode


def _mathml(node: nodes.Element, *, block: bool) -> str:
    formula = node.astext()
    try:
        if BRACES.sub("", formula).count("{") != BRACES.sub("", formula).count("}"):
            raise MathError("its braces do not match")  # tex2mathml would leave parts out and say nothing
        return str(tex2mathml(formula, as_block=block))
    except MathError as problem:
        logger.warning("this formula cannot be set: %s", problem, location=node)
        return ""
