"""The one exception of the file formats."""

from __future__ import annotations

from pathlib import Path


class FormatError(ValueError):
    """A file that cannot be read as an electrocardiogram.

    `path`: the file at fault (a record's signal file rather than its header, where that is the one); `where`: the byte
    or the field; `what`: what is wrong there. The text is the three of them.
    """

    def __init__(self, path: str | Path, where: str, what: str) -> None:
        super().__init__(f"{path}: {where}: {what}")
        self.path = Path(path)
        self.where = where
        self.what = what
