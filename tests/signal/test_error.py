"""The formats' exception says which file, where, what."""

from __future__ import annotations

from pathlib import Path

from feldsher_signal.formats import FormatError


def test_text_and_parts() -> None:
    error = FormatError("folder/r.hea", "line 2, gain", "'x' is not gain(baseline)/units")
    assert str(error) == "folder/r.hea: line 2, gain: 'x' is not gain(baseline)/units"
    assert (error.path, error.where, error.what) == (
        Path("folder/r.hea"),
        "line 2, gain",
        "'x' is not gain(baseline)/units",
    )
    assert isinstance(error, ValueError)
