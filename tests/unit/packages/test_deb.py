"""Unpacking packages, and the links of their install scripts."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hpclab.errors import PackagesError
from hpclab.packages import deb

SCRIPT = """\
#!/bin/sh
# update-alternatives --install /usr/bin/commented commented /bin/true 1
if [ "$1" = configure ]; then
    update-alternatives --quiet \\
        --install /usr/bin/mpirun mpirun /usr/bin/mpirun.openmpi 50 \\
        --slave /usr/bin/mpiexec mpiexec /usr/bin/mpiexec.openmpi
    update-alternatives --install /etc/my.cnf my.cnf "/etc/maria.cnf" 500 || true
    update-alternatives --install "$BIN"/ps ps "$BIN"/ps.procps 50
    update-alternatives --remove old /usr/bin/old
fi
"""


def test_parse_alternatives_reads_constant_arguments_only() -> None:
    assert list(deb.parse_alternatives(SCRIPT)) == [
        deb.Alternative(
            50,
            {
                "/usr/bin/mpirun": "/usr/bin/mpirun.openmpi",
                "/usr/bin/mpiexec": "/usr/bin/mpiexec.openmpi",
            },
        ),
        deb.Alternative(500, {"/etc/my.cnf": "/etc/maria.cnf"}),
    ]


def package(folder: Path, name: str, files: dict[str, int], postinst: str = "") -> Path:
    """A small real .deb with the given files and modes."""
    root = folder / name
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: test\n"
    )
    if postinst:
        (root / "DEBIAN/postinst").write_text("#!/bin/sh\n" + postinst)
        (root / "DEBIAN/postinst").chmod(0o755)
    for path, mode in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(name)
        (root / path).chmod(mode)
    made = folder / f"{name}_1_all.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-b", root, made],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=60,
    )
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    if not shutil.which("dpkg-deb"):
        pytest.skip("needs dpkg-deb")
    folder = tmp_path / "a root"
    deb.create_root(folder)
    return folder


def test_root_folder_is_readable_with_any_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        deb.create_root(tmp_path / "root")
    finally:
        os.umask(before)
    for name in (".", "usr", "etc", "usr/lib64"):
        assert (tmp_path / "root" / name).stat().st_mode & 0o777 == 0o755


def test_unpack_keeps_merged_usr_and_skips_docs(tmp_path: Path, root: Path) -> None:
    made = package(tmp_path, "one", {"lib/one.so": 0o644, "usr/share/doc/one/copyright": 0o644})
    deb.unpack(made, root)
    assert (root / "lib").is_symlink()
    assert (root / "usr/lib/one.so").read_text() == "one"
    assert not (root / "usr/share/doc").exists()


def test_set_id_bits_and_host_settings_are_removed(tmp_path: Path, root: Path) -> None:
    made = package(tmp_path, "one", {"usr/bin/su": 0o4755, "etc/pam.d/su": 0o644, "etc/lmod/x": 0o644})
    deb.unpack(made, root)
    assert (root / "usr/bin/su").stat().st_mode & 0o7777 == 0o4755
    assert deb.remove_host_settings(root) == ["usr/bin/su"]
    assert (root / "usr/bin/su").stat().st_mode & 0o7777 == 0o755
    assert not (root / "etc/pam.d").exists()
    assert (root / "etc/lmod/x").exists()


def test_highest_priority_wins_but_files_are_kept(tmp_path: Path, root: Path) -> None:
    call = "update-alternatives --install /usr/bin/x x /usr/bin/x.{0} {1}\n"
    kept = "update-alternatives --install /usr/bin/kept kept /usr/bin/x.a 9\n"
    lost = "update-alternatives --install /usr/bin/lost lost /usr/bin/nowhere 9\n"
    files = [
        package(
            tmp_path, "a", {"usr/bin/x.a": 0o755, "usr/bin/kept": 0o755}, call.format("a", 60) + kept + lost
        ),
        package(tmp_path, "b", {"usr/bin/x.b": 0o755}, call.format("b", 50)),
    ]
    for file in files:
        deb.unpack(file, root)
    deb.link_alternatives(files, root)
    assert (root / "usr/bin/x").readlink() == Path("/usr/bin/x.a")
    assert not (root / "usr/bin/kept").is_symlink()
    assert not (root / "usr/bin/lost").is_symlink()


def test_a_damaged_archive_is_named(tmp_path: Path, root: Path) -> None:
    bad = tmp_path / "bad_1_all.deb"
    bad.write_bytes(b"!<arch>\nnothing")
    with pytest.raises(PackagesError, match=r"bad_1_all\.deb"):
        deb.unpack(bad, root)
