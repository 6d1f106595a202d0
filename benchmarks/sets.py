"""Where a set of recordings is: a folder of its own below the data, or the data's folder itself."""

from __future__ import annotations

from pathlib import Path

DATA = Path(__file__).parents[1].parent / "shared" / "ecg"
"""The shared recordings, beside the repository."""

SIGNS = {
    "mitdb": "*.atr",
    "ludb": "*.i",
    "qtdb": "*.q1c",
    "ptbxl": "ptbxl_database.csv",
    "cinc2017": "REFERENCE.csv",
}
"""By what any folder of WFDB records shows which tables can be made of it: its annotations or its list."""


def where(data: Path, name: str) -> Path:
    """Return the folder of set `name`: `data/name`, or `data` itself where it holds what the set is scored by."""
    own = data / name
    if not own.is_dir() and name in SIGNS and next(data.glob(SIGNS[name]), None) is not None:
        return data
    return own


def annotated_headers(folder: Path, extension: str = ".atr") -> list[Path]:
    """Return the headers of a folder that have an annotation file beside them, in order."""
    return [header for header in sorted(folder.glob("*.hea")) if header.with_suffix(extension).exists()]
