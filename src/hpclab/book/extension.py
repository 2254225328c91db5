"""A Sphinx extension: formulas as MathML, syntax colours for cells, correct launch URLs."""

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

from hpclab.book.lexer import LEXER_NAME, CellLexer

BRACES = re.compile(r"\\[{}]")  # escaped braces, which are printed
logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.add_lexer(LEXER_NAME, CellLexer)
    # Jupyter Book sets this value for an extension that is disabled because it loads scripts from other hosts.
    app.add_config_value("comments_config", {}, "")
    # MathJax would be loaded from another host; browsers and screen readers support MathML.
    app.add_html_math_renderer("mathml", (_render_inline, None), (_render_block, None))
    app.connect("html-page-context", _fix_launch_urls, priority=900)  # after the theme's own
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _fix_launch_urls(_app: Sphinx, page: str, _template: str, context: dict[str, Any], _tree: Any) -> None:
    """Correct the launch URLs: the theme assumes a notebook at its page's path, but each lab has its own folder."""
    name = page.rpartition("/")[2]
    for button in _walk_buttons(context.get("header_buttons", [])):
        if "git-pull" in button.get("url", ""):
            button["url"] = button["url"].replace(f"/{page}.ipynb", f"/{page}/{name}.ipynb")


def _walk_buttons(listed: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for button in listed:
        yield button
        yield from _walk_buttons(button.get("buttons", []))


def _render_inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(_to_mathml(node, block=False))
    raise nodes.SkipNode


def _render_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{_to_mathml(node, block=True)}</div>\n')
    raise nodes.SkipNode


def _to_mathml(node: nodes.Element, *, block: bool) -> str:
    formula = node.astext()
    try:
        if BRACES.sub("", formula).count("{") != BRACES.sub("", formula).count("}"):
            raise MathError("its braces do not match")  # tex2mathml would silently drop parts
        return str(tex2mathml(formula, as_block=block))
    except MathError as problem:
        logger.warning("this formula cannot be rendered: %s", problem, location=node)
        return ""
