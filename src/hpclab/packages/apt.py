"""Download packages with the distribution's apt, with private state.

Nothing needs root and nothing is installed. apt reads this machine's sources, keys and proxies, checks signatures as
usual, and writes only into the given folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from urllib.parse import unquote

from hpclab import shell
from hpclab.errors import PackagesError

Progress = Callable[[str], None]

HOST_STATUS = Path("/var/lib/dpkg/status")
HOST_LISTS = Path("/var/lib/apt/lists")

# Disables the machine's hooks that run after an update of its own package lists.
_CONFIG = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


@dataclass(frozen=True)
class Archive:
    """A package as apt resolved it; ``size`` is that of its download in bytes."""

    name: str
    version: str
    size: int


@dataclass(frozen=True)
class Apt:
    """apt with its state in ``home``; ``lists`` may be the machine's own package lists, which are only read."""

    home: Path
    status: Path
    lists: Path
    options: Sequence[str] = field(default=())

    def run(self, *arguments: str, timeout: float = 300, cwd: Path | None = None) -> CompletedProcess[str]:
        """Run apt-get; the caller checks the exit status."""
        for folder in (self.archives / "partial", self.home / "state"):
            folder.mkdir(parents=True, exist_ok=True)
        config = self.home / "apt.conf"
        config.write_text(_CONFIG)
        settings = (
            f"Dir::State={self.home}/state",
            f"Dir::State::Lists={self.lists}",
            f"Dir::State::Status={self.status}",
            f"Dir::Cache={self.home}/cache",
            "Debug::NoLocking=1",  # the folder is private, and the machine's locks need root
            "Acquire::Languages=none",
            "Acquire::Retries=2",
            *_sandbox(Path("/proc/self/uid_map").read_text()),
            *self.options,
        )
        return shell.run(
            [
                "apt-get",
                "-c",
                config,
                *(word for setting in settings for word in ("-o", setting)),
                *arguments,
            ],
            timeout=timeout,
            check=False,
            cwd=cwd,
            env=os.environ | {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
        )

    @property
    def archives(self) -> Path:
        """The folder that receives the .deb files."""
        return self.home / "cache/archives"

    def update(self) -> str:
        """Download the package lists; return apt's error output.

        A broken source does not matter while the others have all packages, so the errors are shown only if
        resolving fails afterwards.
        """
        (self.lists / "partial").mkdir(parents=True, exist_ok=True)
        return self.run("update").stderr

    def resolve(self, packages: Sequence[str], complaint: str = "") -> list[Archive]:
        """Return the packages and their dependencies, in the order to unpack them.

        ``complaint`` is the result of ``update``; it explains a failure. Raises PackagesError.
        """
        result = self.run("install", "-y", "--no-install-recommends", "--print-uris", *packages)
        if result.returncode:
            raise explain_failure(complaint + result.stderr)
        return list(parse_uris(result.stdout))

    def fetch(self, packages: Sequence[str], size: int, progress: Progress) -> None:
        """Download the packages of ``resolve`` (``size`` bytes) into ``archives``. Raises PackagesError."""
        with ThreadPoolExecutor(1) as pool:
            arguments = ("install", "-y", "--no-install-recommends", "--download-only", *packages)
            work = pool.submit(self.run, *arguments, timeout=3600)
            while wait([work], timeout=1).not_done:
                progress(f"downloading packages: {_bytes_below(self.archives) >> 20} of {size >> 20} MiB")
        if (result := work.result()).returncode:
            raise explain_failure(result.stderr)

    def download(self, *packages: str, complaint: str = "") -> list[Path]:
        """Download these packages without their dependencies; ``complaint`` is as in ``resolve``."""
        folder = self.home / "alone"
        folder.mkdir(exist_ok=True)
        result = self.run("download", *packages, cwd=folder, timeout=3600)
        if result.returncode:
            raise explain_failure(complaint + result.stderr)
        return sorted(path for path in folder.iterdir() if path.name.split("_")[0] in packages)


def _sandbox(uid_map: str) -> list[str]:
    """Options for root of a small user namespace, which has no id for apt's download user."""
    users = sum(int(line.split()[2]) for line in uid_map.splitlines())
    return [] if users >= 65535 else ["APT::Sandbox::User=root"]


def parse_uris(text: str) -> Iterator[Archive]:
    """Parse the lines ``'URI' name_version_arch.deb size hash`` that apt prints, in their order."""
    for line in text.splitlines():
        if match := re.match(r"'\S+' (\S+)\.deb (\d+)\b", line):
            name, version, _architecture = unquote(match[1]).rsplit("_", 2)
            yield Archive(name, version, int(match[2]))


def archive_path(folder: Path, name: str) -> Path:
    """Return the file of package ``name`` in ``folder``."""
    return next(iter(folder.glob(f"{name}_*.deb")))


def select_essential(status: str) -> str:
    """Return the part of dpkg's status file that every machine of the distribution has.

    These are the essential packages and their dependencies. With this status apt resolves the same packages on each
    machine, whatever else is installed, broken or held there.
    """
    stanzas = [text for text in status.split("\n\n") if re.search(r"^Status: .* installed$", text, re.M)]
    by_name = {_field(stanza, "Package"): stanza for stanza in stanzas}
    provided = {
        virtual: name
        for name, stanza in by_name.items()
        for virtual in _package_names(_field(stanza, "Provides"), ",")
    }
    todo = [name for name, stanza in by_name.items() if _field(stanza, "Essential") == "yes"]
    kept: set[str] = set()
    while todo:
        name = todo.pop()
        if name in kept:
            continue
        kept.add(name)
        needs = _field(by_name[name], "Depends") + "," + _field(by_name[name], "Pre-Depends")
        for choices in needs.split(","):
            present = (n if n in by_name else provided.get(n) for n in _package_names(choices, "|"))
            todo.extend(next(([name] for name in present if name), []))
    return "".join(f"{by_name[name].strip()}\n\n" for name in sorted(kept))


def _field(stanza: str, name: str) -> str:
    match = re.search(rf"^{name}: (.*)$", stanza, re.M)
    return match[1] if match else ""


def _package_names(relation: str, separator: str) -> Iterable[str]:
    """Package names in a relation, without versions and architectures."""
    return [name.split()[0].split(":")[0] for name in relation.split(separator) if name.strip()]


_CAUSES: tuple[tuple[str, str, str], ...] = (
    (
        r"No space left on device|enough free space",
        "the disk is full",
        "Free some space, or set HPCLAB_CACHE to a folder on a larger disk.",
    ),
    (
        r"Temporary failure resolving|Could not resolve|[Cc]ould not connect|[Uu]nable to connect|"
        r"Connection (failed|timed out|refused)|Network is unreachable|Could not wait for server",
        "the package mirror cannot be reached",
        "Check the network; behind a proxy set http_proxy and https_proxy, or apt's Acquire::http::Proxy.",
    ),
    (
        r"NO_PUBKEY|BADSIG|EXPKEYSIG|is not signed|cannot be authenticated|unauthenticated packages|"
        r"signatures? (couldn't|were invalid|could not)|Hash Sum mismatch",
        "files from the package mirror have no valid signature",
        "They were not used. Check the machine's clock and apt sources, and update its archive keyring "
        "package.",
    ),
    (
        r"is not valid yet|is expired",
        "the mirror's package lists are too old or too new for this machine's clock",
        "Correct the clock, or choose another mirror in the machine's apt sources.",
    ),
    (
        r"Unable to locate package|no installation candidate",
        "the machine's apt sources do not offer all packages needed",
        "Enable the component 'main' (on Ubuntu also 'universe') in the machine's apt sources.",
    ),
    (
        r"404 +Not Found",
        "the package lists name files that the mirror no longer has",
        "Ask an administrator to run `apt-get update`, or choose another mirror.",
    ),
)


def explain_failure(stderr: str) -> PackagesError:
    """Convert apt's error output into an error with a remedy."""
    lines = [line for line in stderr.splitlines() if line.startswith(("E:", "W:", "Err:", "   "))]
    shown = shell.indented("\n".join(lines[-12:]) or stderr.strip())
    for pattern, problem, remedy in _CAUSES:
        if re.search(pattern, stderr):
            return PackagesError(problem + shown, remedy)
    return PackagesError(
        "apt-get could not fetch the packages" + shown, "Try again later, or choose another mirror."
    )


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in (*folder.glob("*.deb"), *folder.glob("partial/*")):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # apt has just renamed it
            continue
    return total
