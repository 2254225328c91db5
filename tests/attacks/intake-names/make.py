import os


def make(folder, lab):
    for name in (
        b"x" * 255,
        b"a\nb",
        b"\x1b[2J\x1b]0;owned\x07",
        "\u202egnp.exe".encode(),
        b"README",
        b"readme",
        "caf\u00e9".encode(),
        "cafe\u0301".encode(),
        b"\xff\xfe",
        b"-rf",
        b"--",
        b" ",
        b"<script>alert(1)</script>".replace(b"/", b""),
        b"=1+1",
        b"con",
        b"a:b",
        b"a\\b",
        b"$(id)",
    ):
        with open(os.fsencode(folder) + b"/" + name, "wb") as file:
            file.write(b"x")
