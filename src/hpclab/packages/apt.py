"""Ask the distribution's apt what to fetch and let it fetch, with private state.

Nothing here needs root and nothing is installed: apt reads this machine's own sources,
keys, proxies and mirrors, checks the signatures as ever, and writes only below the folder it is given.
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

# Hooks of this machine that follow an update of its own lists; ours are none of their business.
_CONFIG = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


@dataclass(frozen=True)
class Archive:
    """One package as apt resolved it, and how large its download is."""

    name: str
    version: str
    size: int


@dataclass(frozen=True)
class Apt:
    """apt with its state below ``home``; ``lists`` may be the machine's own, which are only read."""

    home: Path
    status: Path
    lists: Path
    options: Sequence[str] = field(default=())

    def run(self, *words: str, timeout: float = 300, cwd: Path | None = None) -> CompletedProcess[str]:
        """Run apt-get; the caller looks at the exit status."""
        for folder in (self.archives / "partial", self.home / "state"):
            folder.mkdir(parents=True, exist_ok=True)
        config = self.home / "apt.conf"
        config.write_text(_CONFIG)
        settings = (
            f"Dir::State={self.home}/state",
            f"Dir::State::Lists={self.lists}",
            f"Dir::State::Status={self.status}",
            f"Dir::Cache={self.home}/cache",
            "Debug::NoLocking=1",  # the folder is ours alone, and the machine's locks need root
            "Acquire::Languages=none",
            "Acquire::Retries=2",
            *_sandbox(Path("/proc/self/uid_map").read_text()),
            *self.options,
        )
        return shell.run(
            ["apt-get", "-c", config, *(word for one in settings for word in ("-o", one)), *words],
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
        """Fetch the lists; return what apt complained of.

        One broken source among many must not matter while the others offer all that is
        needed, so the complaint is only told when resolving fails afterwards.
        """
        (self.lists / "partial").mkdir(parents=True, exist_ok=True)
        return self.run("update").stderr

    def resolve(self, packages: Sequence[str], complaint: str = "") -> list[Archive]:
        """The packages and all they need, in the order to unpack them.

        ``complaint`` is what ``update`` returned; it explains a failure.
        """
        done = self.run("install", "-y", "--no-install-recommends", "--print-uris", *packages)
        if done.returncode:
            raise explain(complaint + done.stderr)
        return list(parse_uris(done.stdout))

    def fetch(self, packages: Sequence[str], size: int, progress: Progress) -> None:
        """Download what ``resolve`` named (``size`` bytes) into ``archives``."""
        with ThreadPoolExecutor(1) as pool:
            words = ("install", "-y", "--no-install-recommends", "--download-only", *packages)
            work = pool.submit(self.run, *words, timeout=3600)
            while wait([work], timeout=1).not_done:
                progress(f"downloading packages: {_bytes_below(self.archives) >> 20} of {size >> 20} MiB")
        if (done := work.result()).returncode:
            raise explain(done.stderr)

    def download(self, *packages: str, complaint: str = "") -> list[Path]:
        """Download just these packages, not what they depend on; ``complaint`` is as in ``resolve``."""
        folder = self.home / "alone"
        folder.mkdir(exist_ok=True)
        done = self.run("download", *packages, cwd=folder, timeout=3600)
        if done.returncode:
            raise explain(complaint + done.stderr)
        return sorted(path for path in folder.iterdir() if path.name.split("_")[0] in packages)


def _sandbox(uid_map: str) -> list[str]:
    """Root of a user namespace may not become apt's download user: there apt stays what it is."""
    users = sum(int(line.split()[2]) for line in uid_map.splitlines())
    return [] if users >= 65535 else ["APT::Sandbox::User=root"]


def parse_uris(text: str) -> Iterator[Archive]:
    """Read the lines ``'URI' name_version_arch.deb size hash`` that apt prints, in their order."""
    for line in text.splitlines():
        if found := re.match(r"'\S+' (\S+)\.deb (\d+)\b", line):
            name, version, _architecture = unquote(found[1]).rsplit("_", 2)
            yield Archive(name, version, int(found[2]))


def archive_path(folder: Path, name: str) -> Path:
    """The one file of package ``name`` in ``folder``."""
    return next(iter(folder.glob(f"{name}_*.deb")))


def essential(status: str) -> str:
    """The part of dpkg's status file that every machine of the distribution shares.

    These are the packages marked essential and all they depend on. apt that knows of no others
    resolves the same for each machine, whatever else is installed, broken or held there.
    """
    stanzas = [one for one in status.split("\n\n") if re.search(r"^Status: .* installed$", one, re.M)]
    named = {_field(one, "Package"): one for one in stanzas}
    provided = {
        virtual: name for name, one in named.items() for virtual in _names(_field(one, "Provides"), ",")
    }
    todo = [name for name, one in named.items() if _field(one, "Essential") == "yes"]
    kept: set[str] = set()
    while todo:
        name = todo.pop()
        if name in kept:
            continue
        kept.add(name)
        needs = _field(named[name], "Depends") + "," + _field(named[name], "Pre-Depends")
        for choices in needs.split(","):
            present = (n if n in named else provided.get(n) for n in _names(choices, "|"))
            todo.extend(next(([name] for name in present if name), []))
    return "".join(f"{named[name].strip()}\n\n" for name in sorted(kept))


def _field(stanza: str, name: str) -> str:
    found = re.search(rf"^{name}: (.*)$", stanza, re.M)
    return found[1] if found else ""


def _names(relation: str, separator: str) -> Iterable[str]:
    """Package names in a relation, without versions and architectures."""
    return [one.split()[0].split(":")[0] for one in relation.split(separator) if one.strip()]


_CAUSES: tuple[tuple[str, str, str], ...] = (
    (
        r"No space left on device|enough free space",
        "the disk is full",
        "Make room, or set HPCLAB_CACHE to a folder on a larger disk.",
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
        "what the package mirror sent does not carry a valid signature",
        "Nothing of it was used. Check the machine's clock and its apt sources, and bring the package with "
        "its archive keyring up to date.",
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
        "Run `apt-get update` as the administrator, or choose another mirror.",
    ),
)


def explain(stderr: str) -> PackagesError:
    """Turn apt's complaint into what happened and what to do."""
    lines = [line for line in stderr.splitlines() if line.startswith(("E:", "W:", "Err:", "   "))]
    shown = shell.indented("\n".join(lines[-12:]) or stderr.strip())
    for pattern, problem, remedy in _CAUSES:
        if re.search(pattern, stderr):
            return PackagesError(problem + shown, remedy)
    return PackagesError("apt-get could not fetch the packages" + shown, "Try later, or another mirror.")


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in (*folder.glob("*.deb"), *folder.glob("partial/*")):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # renamed by apt in this moment
            continue
    return total
