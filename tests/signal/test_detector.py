"""The detector fed in whole seconds finds what it finds in one piece, and answers in time."""

from __future__ import annotations

import numpy as np
import pytest
from feldsher_signal import detector, synth
from numpy.typing import NDArray

FS = 500


def fed(x: NDArray[np.float32], seconds: int) -> tuple[detector.Found, list[int]]:
    """Return what is found in pieces of so many seconds, and how far each answer reached."""
    found, out, settled = detector.Detector(x.shape[0], FS), list[detector.Found](), list[int]()
    on = np.ones((seconds, x.shape[0]), np.bool_)
    whole = x.shape[1] // (seconds * FS) * seconds * FS
    for a in range(0, whole, seconds * FS):
        out.append(found.feed(x[:, a : a + seconds * FS], on))
        settled.append(out[-1].settled)
    out.append(found.finish(x[:, whole:], on))
    return detector.joined(out), settled


@pytest.mark.parametrize("name", ["normal", "ventricular_ectopy", "noisy"])
@pytest.mark.parametrize("rows", [[1], [0, 1, 7, 10]])
def test_pieces_give_the_same_bits(name: str, rows: list[int]) -> None:
    recording, truth = synth.ecg(synth.PRESETS[name], seconds=33.3, seed=6)
    x = np.rint(recording.microvolts()[rows])
    (one, reached), (many, _) = fed(x, 1), fed(x, 11)
    assert one.at.shape[0] >= len(truth.beats) - 2
    for a, b in zip(one.evidence, many.evidence, strict=True):
        np.testing.assert_array_equal(a, b)
    # A beat is answered within two seconds of its place once the first are learned.
    late = [(k + 1) * FS - at for k, at in enumerate(reached) if k > detector.LEARN_S + 1]
    assert max(late) < 2.5 * FS


def test_a_detection_is_one_of_the_candidates() -> None:
    found, _ = fed(np.rint(synth.ecg(synth.Patient(), seconds=20, seed=1)[0].microvolts()[1:2]), 1)
    assert np.isin(found.at, found.peaks).all()
    assert found.shape.shape[:2] == (found.at.shape[0], 1)
