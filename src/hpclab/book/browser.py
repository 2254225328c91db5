"""Check the built book in a browser: accessibility (axe), requests to other hosts, script errors, page width."""

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

EXECUTABLE_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_OPTIONS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP, PHONE = (1280, 900), (390, 844)
VIEWPORTS = (
    ("light", DESKTOP),
    ("dark", PHONE),
)  # every page is checked in each; axe checks the colours of both themes
TIMEOUT_S = 60.0
OVERFLOW_SCRIPT = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass
class BrowserReport:
    """The result of an audit: faults as lines, the number of page views, and the browser's version."""

    faults: list[str] = field(default_factory=list)
    views: int = 0
    version: str = ""


def find_executable() -> str:
    """Return the browser's path: HPCLAB_BROWSER, or the first of Chromium's names on PATH. Raises HostUnsuitable."""
    if configured := os.environ.get("HPCLAB_BROWSER"):
        return configured
    for name in EXECUTABLE_NAMES:
        if path := shutil.which(name):
            return path
    raise HostUnsuitable(
        "the accessibility check needs Chromium, and none was found",
        "Install it (Debian: apt-get install chromium), set HPCLAB_BROWSER=PATH, or skip the check: --no-browser",
    )


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A headless browser. Raises HostUnsuitable."""
    program = find_executable()
    from playwright.sync_api import Error, sync_playwright  # only `hpclab book check` needs it

    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=program,
                headless=True,
                chromium_sandbox=os.geteuid() != 0,
                args=list(CHROMIUM_OPTIONS),
            )
        except Error as problem:
            raise HostUnsuitable(
                f"{program} does not start: {problem.message}", "Set HPCLAB_BROWSER=PATH."
            ) from None
        try:
            yield browser
        finally:
            browser.close()


def audit(
    folder: Path, progress: Callable[[str], None] = lambda _: None, only: Sequence[str] = ()
) -> BrowserReport:
    """Open every page of the book in ``folder`` (or those in ``only``) in all VIEWPORTS, and report faults."""
    names = list(only) or [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.html"))]
    names = [name for name in names if not name.startswith("_static/")]
    with server.serve(folder) as address, open_browser() as browser:
        report = BrowserReport(version=f"Chromium {browser.version}")
        for theme, (width, height) in VIEWPORTS:
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if theme == "dark" else "light",
            )
            context.set_default_timeout(TIMEOUT_S * 1000)
            page = context.new_page()
            for name in names:
                progress(name)
                faults = _audit_page(page, address, name)
                report.faults += [f"{name} ({theme}, {width} wide): {what}" for what in faults]
                report.views += 1
            context.close()
    return report


def _audit_page(page: Page, address: str, name: str) -> list[str]:
    """Return the faults of one page in the current viewport."""
    from axe_playwright_python.sync_playwright import Axe

    external: list[str] = []
    errors: list[str] = []

    def record_request(url: str) -> None:
        if urlsplit(url).scheme in ("http", "https", "ws", "wss") and not url.startswith(address):
            external.append(url)

    page.on("request", on_request := lambda request: record_request(request.url))
    page.on("pageerror", on_error := lambda error: errors.append(str(error)))
    try:
        page.goto(address + name, wait_until="load")
        result = Axe().run(page)
    finally:
        page.remove_listener("request", on_request)
        page.remove_listener("pageerror", on_error)
    faults = [f"requests {url}" for url in external] + [f"script error: {error}" for error in errors]
    if (wider := page.evaluate(OVERFLOW_SCRIPT)) > 0:
        faults.append(f"is {wider} pixels wider than the window")
    for violation in result.response["violations"]:
        places = "; ".join(" ".join(node["target"]) for node in violation["nodes"][:3])
        more = len(violation["nodes"]) - 3
        faults.append(
            f"{violation['id']}: {violation['help']} [{places}{f' and {more} more' if more > 0 else ''}]"
        )
    return faults
