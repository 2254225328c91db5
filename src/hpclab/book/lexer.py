"""Colours for a cell of a lab: Python, but a cell that writes a file is coloured as that file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from ipython_pygments_lexers import IPython3Lexer
from pygments.lexer import Lexer
from pygments.lexers import BashLexer, JsonLexer, PythonLexer, TextLexer, YamlLexer
from pygments.token import Comment, _TokenType

NAME = "notebook-cell"
WRITES = re.compile(r"%%writefile(?: +-a)? +(\S+)[^\n]*\n")
BY_ENDING = {
    ".sbatch": BashLexer,
    ".sh": BashLexer,
    ".py": PythonLexer,
    ".json": JsonLexer,
    ".yml": YamlLexer,
    ".yaml": YamlLexer,
}


class CellLexer(Lexer):  # type: ignore[misc]
    """For the pages of labs only; Sphinx knows it by ``NAME``."""

    name = "Notebook cell"
    aliases = (NAME,)

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, _TokenType, str]]:
        """As Pygments wants it: (position, kind, text) of every piece."""
        written = WRITES.match(text)
        if not written:
            yield from IPython3Lexer(**self.options).get_tokens_unprocessed(text)
            return
        yield 0, Comment.Preproc, written[0]
        lexer: Any = BY_ENDING.get(PurePosixPath(written[1]).suffix, TextLexer)
        for position, kind, piece in lexer(**self.options).get_tokens_unprocessed(text[written.end() :]):
            yield written.end() + position, kind, piece
