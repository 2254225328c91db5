"""What a stranger's text must not do where it is shown: in a browser, in a terminal, in a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser

RUNS = {
    "script",
    "iframe",
    "frame",
    "object",
    "embed",
    "applet",
    "form",
    "input",
    "button",
    "base",
    "link",
    "audio",
    "video",
}
ADDRESSES = {
    "href",
    "src",
    "action",
    "formaction",
    "data",
    "poster",
    "srcset",
    "xlink:href",
    "background",
    "ping",
}
# Everything that a terminal obeys, and marks that turn text round or hide it.
CODES = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
FORMULA = re.compile(r"[=+@\t\r]|-(?!\d+(\.\d+)?$)")


class _Page(HTMLParser):
    """Collects what a browser would run, or ask somebody for."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag in RUNS:
            self.faults.append(f"<{tag} {named}>")
        if (
            tag == "meta"
            and "http-equiv" in named
            and named["http-equiv"].lower() != "content-security-policy"
        ):
            self.faults.append(f"<meta {named}>")
        for name, value in named.items():
            address = "".join(value.split()).lower()
            if name.startswith("on"):
                self.faults.append(f"<{tag} {name}={value[:40]!r}>")
            if name in ADDRESSES and not address.startswith(("#", "data:image/png;base64,")):
                self.faults.append(f"<{tag} {name}={value[:60]!r}>")
            if name == "style" and ("url(" in address or "expression" in address):
                self.faults.append(f"<{tag} style={value[:60]!r}>")


def faults_of_page(text: str) -> list[str]:
    """What is not harmless in a page."""
    page = _Page()
    page.feed(text)
    page.close()
    return page.faults + faults_of_text(text)


def faults_of_text(text: str) -> list[str]:
    """Codes in a text, each with what stands around it."""
    return [ascii(text[max(0, found.start() - 20) : found.end() + 20]) for found in CODES.finditer(text)][:10]


def faults_of_table(text: str) -> list[str]:
    """Fields of a CSV file that a spreadsheet would compute."""
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff")))
    return [field for row in rows for field in row if FORMULA.match(field)] + faults_of_text(
        text.removeprefix("\ufeff")
    )
