"""The built book in a real browser: accessibility by axe, what it fetches, whether it fits a phone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hpclab.book import server
from hpclab.errors import HostUnsuitable

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP, PHONE = (1280, 900), (390, 844)
LOOKS = (("light", DESKTOP), ("dark", PHONE))  # every page in each; axe judges colours in both themes
SECONDS = 60.0
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass
class Report:
    """What the browser saw: ``faults`` one a line, how many views, and which browser."""

    faults: list[str] = field(default_factory=list)
    views: int = 0
    version: str = ""


def executable() -> str:
    """The browser's program: HPCLAB_BROWSER, or the first of Chromium's names on PATH. Raises HostUnsuitable."""
    if chosen := os.environ.get("HPCLAB_BROWSER"):
        return chosen
    for name in NAMES:
        if found := shutil.which(name):
            return found
    raise HostUnsuitable(
        "no Chromium was found, which the accessibility check needs",
        "Install it (Debian: apt-get install chromium), set HPCLAB_BROWSER=PATH, or leave it out: --no-browser",
    )


@contextmanager
def opened() -> Iterator[Browser]:
    """A headless browser. Raises HostUnsuitable."""
    program = executable()
    from playwright.sync_api import Error, sync_playwright  # only `hpclab book check` needs it

    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=program, headless=True, chromium_sandbox=os.geteuid() != 0, args=list(QUIET)
            )
        except Error as problem:
            raise HostUnsuitable(
                f"{program} does not start: {problem.message}", "Set HPCLAB_BROWSER=PATH."
            ) from None
        try:
            yield browser
        finally:
            browser.close()


def audit(folder: Path, progress: Callable[[str], None] = lambda _: None, only: Sequence[str] = ()) -> Report:
    """Open every page of the book in ``folder`` (or those in ``only``) as in LOOKS, and report what is wrong."""
    names = list(only) or [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.html"))]
    names = [name for name in names if not name.startswith("_static/")]
    with server.serving(folder) as address, opened() as browser:
        report = Report(version=f"Chromium {browser.version}")
        for theme, (width, height) in LOOKS:
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if theme == "dark" else "light",
            )
            context.set_default_timeout(SECONDS * 1000)
            page = context.new_page()
            for name in names:
                progress(name)
                seen = _look(page, address, name)
                report.faults += [f"{name} ({theme}, {width} wide): {what}" for what in seen]
                report.views += 1
            context.close()
    return report


def _look(page: Page, address: str, name: str) -> list[str]:
    """What is wrong with one page as it is shown now."""
    from axe_playwright_python.sync_playwright import Axe

    elsewhere: list[str] = []
    broken: list[str] = []

    def asked(url: str) -> None:
        if urlsplit(url).scheme in ("http", "https", "ws", "wss") and not url.startswith(address):
            elsewhere.append(url)

    page.on("request", on_request := lambda request: asked(request.url))
    page.on("pageerror", on_error := lambda error: broken.append(str(error)))
    try:
        page.goto(address + name, wait_until="load")
        result = Axe().run(page)
    finally:
        page.remove_listener("request", on_request)
        page.remove_listener("pageerror", on_error)
    found = [f"asks for {url}" for url in elsewhere] + [f"a script fails: {error}" for error in broken]
    if (wider := page.evaluate(OVERFLOW)) > 0:
        found.append(f"is {wider} pixels wider than the window")
    for violation in result.response["violations"]:
        places = "; ".join(" ".join(node["target"]) for node in violation["nodes"][:3])
        more = len(violation["nodes"]) - 3
        found.append(
            f"{violation['id']}: {violation['help']} [{places}{f' and {more} more' if more > 0 else ''}]"
        )
    return found
