"""Accessibility corrections of the theme's HTML.

Pages of sphinx-book-theme 1.1.4 and pydata-sphinx-theme 0.15.4 violate a few rules of axe. Each correction names its
rule; `hpclab book check` reports violations that remain.
"""

from __future__ import annotations

import re

# (pattern in the theme's HTML, replacement)
CORRECTIONS = (
    # summary-name: the arrow that opens a module in the sidebar has no text.
    (
        re.compile(r'>([^<>]+)</a><details([^>]*)><summary>(?=<span class="toctree-toggle")'),
        r'>\1</a><details\2><summary aria-label="Pages below: \1">',
    ),
    # region: the sidebar is not in a landmark.
    (
        re.compile(r'<div class="bd-sidebar-primary bd-sidebar([^"]*)">'),
        r'<div class="bd-sidebar-primary bd-sidebar\1" role="region" aria-label="The book">',
    ),
    # scrollable-region-focusable: a wide table must be scrollable by keyboard.
    (
        re.compile(r'<div class="pst-scrollable-table-container">'),
        r'<div class="pst-scrollable-table-container" tabindex="0" role="group" aria-label="Table">',
    ),
    # empty-table-header: a Markdown table always has a header row; an empty cell in it is not a heading.
    (re.compile(r'<th class="head([^"]*)">(?:<p>\s*</p>)?\s*</th>'), r'<td class="head\1"></td>'),
)


def fix_page(html: str) -> str:
    """Apply all corrections to a page."""
    for pattern, replacement in CORRECTIONS:
        html = pattern.sub(replacement, html)
    return html
