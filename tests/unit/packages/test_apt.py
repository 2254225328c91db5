"""apt's input, and the parsing of its output."""

from __future__ import annotations

import pytest

from hpclab.packages import apt

STATUS = """\
Package: bash
Essential: yes
Status: install ok installed
Version: 5.2
Pre-Depends: libc6 (>= 2.36), awk | mawk:any

Package: libc6
Status: install ok installed
Version: 2.36
Description: the C library
 with a second line that names Depends: nothing

Package: mawk
Status: install ok installed
Provides: awk (= 1.3), other
Version: 1.3

Package: editor
Status: install ok installed
Version: 9
Depends: libc6

Package: gone
Essential: yes
Status: deinstall ok config-files
Version: 1
"""


def test_select_essential_keeps_only_essential_packages() -> None:
    kept = apt.select_essential(STATUS)
    assert [line for line in kept.splitlines() if line.startswith("Package: ")] == [
        "Package: bash",
        "Package: libc6",
        "Package: mawk",
    ]
    assert " with a second line" in kept
    assert apt.select_essential(kept) == kept


def test_select_essential_ignores_other_packages() -> None:
    more = STATUS + "\nPackage: slurmd\nStatus: install ok installed\nVersion: 1\nDepends: bash\n"
    assert apt.select_essential(more) == apt.select_essential(STATUS)


def test_parse_uris_keeps_order_and_reads_epochs() -> None:
    text = """\
Reading package lists...
Need to get 2 B of archives.
'http://mirror/pool/main/l/login_4.13_amd64.deb' login_1%3a4.13+dfsg1-1_amd64.deb 616084 MD5Sum:00
'http://mirror/pool/a.deb' tzdata_2026f-0+deb12u1_all.deb 307832 SHA256:00
"""
    assert list(apt.parse_uris(text)) == [
        apt.Archive("login", "1:4.13+dfsg1-1", 616084),
        apt.Archive("tzdata", "2026f-0+deb12u1", 307832),
    ]


@pytest.mark.parametrize(
    ("stderr", "problem", "remedy"),
    [
        (
            "Err:1 http://m x\n  Temporary failure resolving 'm'\nE: Unable to locate package s6",
            "reached",
            "proxy",
        ),
        ("W: GPG error: http://m: NO_PUBKEY 0E98\nE: Unable to locate package s6", "signature", "clock"),
        ("E: There were unauthenticated packages and -y was used", "signature", "keyring"),
        ("E: Unable to locate package no-such", "no-such", "universe"),
        ("E: You don't have enough free space in /x", "disk is full", "HPCLAB_CACHE"),
        ("E: Failed to fetch http://m/x.deb  404  Not Found [IP: ::1]", "no longer has", "apt-get update"),
        ("E: Release file for http://m is not valid yet", "clock", "clock"),
        ("E: something never seen", "something never seen", "later"),
    ],
)
def test_explain_names_cause_and_remedy(stderr: str, problem: str, remedy: str) -> None:
    error = apt.explain_failure(stderr)
    assert problem in error.problem
    assert remedy in error.remedy
    assert stderr.splitlines()[-1] in error.problem


def test_only_namespace_root_disables_the_apt_sandbox() -> None:
    assert apt._sandbox("         0          0 4294967295\n") == []
    assert apt._sandbox("0 1000 1\n1 100000 65536\n") == []
    assert apt._sandbox("         0       1001          1\n") == ["APT::Sandbox::User=root"]
