"""Small corrections of what the theme writes, so that everybody can use the pages.

sphinx-book-theme 1.1.4 and pydata-sphinx-theme 0.15.4 leave a few things that axe objects to. Each
is mended here in the finished HTML, with the rule's name beside it; `hpclab book check` says when
one is needed no longer or a new one is.
"""

from __future__ import annotations

import re

# (axe's rule, what the theme writes, what a page has instead)
CORRECTIONS = (
    # summary-name: the arrow that unfolds a module in the sidebar is a picture only.
    (
        re.compile(r'>([^<>]+)</a><details([^>]*)><summary>(?=<span class="toctree-toggle")'),
        r'>\1</a><details\2><summary aria-label="Pages below: \1">',
    ),
    # region: the sidebar, with the course's name, lies in no landmark.
    (
        re.compile(r'<div class="bd-sidebar-primary bd-sidebar([^"]*)">'),
        r'<div class="bd-sidebar-primary bd-sidebar\1" role="region" aria-label="The book">',
    ),
    # scrollable-region-focusable: a table wider than a phone must move by keyboard.
    (
        re.compile(r'<div class="pst-scrollable-table-container">'),
        r'<div class="pst-scrollable-table-container" tabindex="0" role="group" aria-label="Table">',
    ),
    # empty-table-header: Markdown cannot write a table without a head; an empty cell there is no heading.
    (re.compile(r'<th class="head([^"]*)">(?:<p>\s*</p>)?\s*</th>'), r'<td class="head\1"></td>'),
)


def polished(html: str) -> str:
    """A page as readers get it."""
    for pattern, instead in CORRECTIONS:
        html = pattern.sub(instead, html)
    return html
