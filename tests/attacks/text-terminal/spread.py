import sys

for code in ("\x1b]0;owned\x07", "\x1b[2J\x1b[H", "\x1b[21t", "\x1b[6n", "\x1b]52;c;b3duZWQ=\x07", "\x1b]8;;http://evil.example\x1b\\10 of 10\x1b]8;;\x1b\\",
             "\x1b[8m hidden \x1b[0m", "\x9b31m", "\x90+q436f\x9c", "\x1bP$qm\x1b\\", "a\rb\x08c\x0bd\x0ce", "\x00\x01\x7f"):
    print(code)
    sys.stderr.write(code)
raise RuntimeError("\x1b]0;owned\x07\x1b[2J 10 of 10")
