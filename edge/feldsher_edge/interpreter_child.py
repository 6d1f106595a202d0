"""The child process that interprets: the only part of the gateway that loads the engine, and Numba with it.

`python -m feldsher_edge.interpreter_child` serves requests until its input ends; `--warm` fills the kernel cache and
ends.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import BinaryIO

import msgspec
import numpy as np
import structlog
from feldsher_ehr_core.ecg import Interpretation
from feldsher_signal.interpret import interpret, warm
from feldsher_signal.record import Recording

from feldsher_edge.interpreter import LENGTH, Answer, Ask, frame

_log = structlog.get_logger("interpreter")


def answer(ask: Ask) -> Answer:
    """Return the interpretation, or the engine's fault as the reason that is published with the recording."""
    try:
        samples = np.frombuffer(ask.samples, dtype="<i4").reshape(len(ask.leads), ask.n)
        recording = Recording(ask.leads, ask.fs, samples, ask.uv_per_bit, ask.baseline)
        if ask.draw:
            return Answer(picture=_picture(recording, ask.shown))
        return Answer(interpretation=interpret(recording, ask.subject))
    except ValueError as error:
        return Answer(fault=f"the recording cannot be {'drawn' if ask.draw else 'interpreted'}: {error}")
    except Exception as error:
        _log.exception("engine failed")
        return Answer(fault=f"the engine failed: {type(error).__name__}: {error}")


def _picture(recording: Recording, shown: Interpretation | None) -> str:
    from feldsher_signal import draw  # noqa: PLC0415 - its kernels are loaded where somebody wants a picture

    return draw.svg(recording, shown, watermark="DEMO" if "FELDSHER_DEMO" in os.environ else None)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until their end."""
    while len(head := requests.read(LENGTH.size)) == LENGTH.size:
        body = requests.read(LENGTH.unpack(head)[0])
        answers.write(frame(answer(msgspec.msgpack.decode(body, type=Ask))))
        answers.flush()


def main() -> None:
    """Be the child: frames on the true standard output, whatever libraries print on standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    only_warm = "--warm" in sys.argv[1:]
    if only_warm:
        importlib.import_module("feldsher_signal.draw")  # its kernels belong into the cache too
    warm()
    if only_warm:
        return
    with contextlib.suppress(BrokenPipeError):  # the daemon was killed: nobody is left to answer
        answers.write(frame(Answer()))
        answers.flush()
        serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
