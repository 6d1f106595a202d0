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


def test_a_file_cannot_make_it_long_or_forge_a_line_of_a_log() -> None:
    error = FormatError("x", "lead 'a\x1b[31m\nroot: all is well'", "z" * 10_000)
    assert "\n" not in str(error)
    assert "\x1b" not in str(error)
    assert len(str(error)) < 400
