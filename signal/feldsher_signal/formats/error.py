"""The one exception of the file formats."""

from __future__ import annotations

from pathlib import Path

_MAX_TEXT = 300


class FormatError(ValueError):
    """A file that cannot be read as an electrocardiogram.

    `path`: the file at fault (a record's signal file rather than its header, where that is the one); `where`: the byte
    or the field; `what`: what is wrong there. The text is the three of them, in one line of bounded length: what a file
    of unknown origin makes an error say must not forge a log.
    """

    def __init__(self, path: str | Path, where: str, what: str) -> None:
        where, what = _plain(where), _plain(what)
        super().__init__(f"{path}: {where}: {what}")
        self.path = Path(path)
        self.where = where
        self.what = what


def reason(error: Exception, path: Path) -> str:
    """Return why something could not be done, in one line that names the file: `path` where the error names none."""
    if isinstance(error, OSError):
        return f"{error.filename or path}: {error.strerror or error}"
    named = isinstance(error, FormatError) or str(path) in str(error) or str(error).startswith("--format")
    return str(error) if named else f"{path}: {error}"


def _plain(text: str) -> str:
    """Return a text without what moves a terminal, cut to what people read."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text[: _MAX_TEXT + 1])
    return plain if len(plain) <= _MAX_TEXT else f"{plain[:_MAX_TEXT]}…"
