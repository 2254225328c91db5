"""A Pygments lexer for cells of labs: Python, or the language of the file that ``%%writefile`` writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from ipython_pygments_lexers import IPython3Lexer
from pygments.lexer import Lexer
from pygments.lexers import BashLexer, JsonLexer, PythonLexer, TextLexer, YamlLexer
from pygments.token import Comment, _TokenType

LEXER_NAME = "notebook-cell"
WRITEFILE = re.compile(r"%%writefile(?: +-a)? +(\S+)[^\n]*\n")
LEXER_BY_SUFFIX = {
    ".sbatch": BashLexer,
    ".sh": BashLexer,
    ".py": PythonLexer,
    ".json": JsonLexer,
    ".yml": YamlLexer,
    ".yaml": YamlLexer,
}


class CellLexer(Lexer):  # type: ignore[misc]
    """The lexer of lab pages, registered as ``LEXER_NAME``."""

    name = "Notebook cell"
    aliases = (LEXER_NAME,)

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, _TokenType, str]]:
        """Yield (position, token type, text), as Pygments requires."""
        written = WRITEFILE.match(text)
        if not written:
            yield from IPython3Lexer(**self.options).get_tokens_unprocessed(text)
            return
        yield 0, Comment.Preproc, written[0]
        lexer: Any = LEXER_BY_SUFFIX.get(PurePosixPath(written[1]).suffix, TextLexer)
        for position, kind, piece in lexer(**self.options).get_tokens_unprocessed(text[written.end() :]):
            yield written.end() + position, kind, piece
