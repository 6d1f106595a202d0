"""The interpreting child: answers, time-outs, crashes, restarts. Stand-ins speak its protocol; one test the engine."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import msgspec
import numpy as np
import pytest
from feldsher_edge.interpreter import CHILD, Answer, Interpreter, NotInterpreted, frame
from feldsher_ehr_core.ecg import Interpretation, Measurements, Quality, Subject
from feldsher_signal import synth
from feldsher_signal.record import Recording

RECORDING = Recording(("I",), 500.0, np.arange(1000, dtype=np.int32).reshape(1, -1), (1.0,))
OPINION = Interpretation("stand-in", 500.0, ("I",), 1000, Quality(True, {}), (), (), (), Measurements(), (), {}, "-")

# Reads requests of the real form and answers with the number of its sample bytes, or as the patient's age says.
STAND_IN = textwrap.dedent(
    f"""
    import msgspec, os, struct, sys, time
    opinion = msgspec.msgpack.decode({msgspec.msgpack.encode(OPINION)!r})

    def write(body):
        sys.stdout.buffer.write(struct.pack(">I", len(body)) + body)
        sys.stdout.buffer.flush()

    write(msgspec.msgpack.encode([None, None, None]))
    while head := sys.stdin.buffer.read(4):
        leads, fs, n, samples, scale, base, subject, draw, shown = msgspec.msgpack.decode(
            sys.stdin.buffer.read(struct.unpack(">I", head)[0]))
        age = subject.get("age")
        if draw:
            write(msgspec.msgpack.encode([None, None, "<svg>" + str(n) + "</svg>"]))
        elif age == 1:
            time.sleep(60)
        elif age == 2:
            os._exit(3)
        elif age == 3:
            write(msgspec.msgpack.encode([None, "the engine failed: test"]))
        elif age == 4:
            write(b"junk!")
        else:
            opinion["conclusion"] = str(len(samples)) + " bytes"
            write(msgspec.msgpack.encode([opinion, None]))
    """
)
STAND_IN_COMMAND = (sys.executable, "-c", STAND_IN)


@asynccontextmanager
async def running(
    timeout_s: float = 30.0, command: Sequence[str] = STAND_IN_COMMAND, ready_s: float = 30.0
) -> AsyncGenerator[Interpreter]:
    interpreter = Interpreter(timeout_s, command, ready_s=ready_s)
    task = asyncio.create_task(interpreter.run())
    try:
        yield interpreter
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def conclusion(interpreter: Interpreter, age: int | None = None) -> str:
    return (await interpreter.interpret(RECORDING, Subject(age=age))).conclusion


async def test_the_child_answers() -> None:
    async with running() as interpreter:
        assert await conclusion(interpreter) == "4000 bytes"
        assert await conclusion(interpreter) == "4000 bytes"
        assert interpreter.ready


@pytest.mark.parametrize(
    ("age", "reason"),
    [
        (1, "took longer than 1 s"),
        (2, "the interpreter crashed"),
        (3, "the engine failed: test"),
        (4, "the interpreter crashed"),
    ],
)
async def test_a_child_that_fails_is_a_reason_and_the_next_one_answers(age: int, reason: str) -> None:
    async with running(1.0 if age == 1 else 30.0) as interpreter:
        with pytest.raises(NotInterpreted, match=reason):
            await conclusion(interpreter, age)
        assert await conclusion(interpreter) == "4000 bytes"
        assert interpreter.restarts == (0 if age == 3 else 1)


async def test_the_answer_to_who_no_longer_waits_is_nobodys() -> None:
    """It would be the interpretation of one recording under the name of another."""
    async with running() as interpreter:
        await conclusion(interpreter)
        asking = asyncio.create_task(conclusion(interpreter, 3))
        await asyncio.sleep(0)  # the question is on its way
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await conclusion(interpreter) == "4000 bytes"
        assert interpreter.restarts == 1


async def test_a_child_that_is_killed_is_replaced() -> None:
    async with running() as interpreter:
        await conclusion(interpreter)
        first = interpreter.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        while interpreter.restarts == 0:  # noqa: ASYNC110 - another process has no event
            await asyncio.sleep(0.01)
        assert await conclusion(interpreter) == "4000 bytes"
        assert interpreter.pid != first


async def test_a_child_that_never_becomes_ready_is_a_reason() -> None:
    async with running(0.2, ready_s=0.2, command=(sys.executable, "-c", "import time; time.sleep(60)")) as interpreter:
        with pytest.raises(NotInterpreted, match="not ready"):
            await conclusion(interpreter)


async def test_a_child_that_cannot_be_started_is_a_reason() -> None:
    async with running(0.2, ready_s=0.2, command=("/nonexistent/python",)) as interpreter:
        with pytest.raises(NotInterpreted, match="not ready"):
            await conclusion(interpreter)


async def test_the_child_ends_with_its_parent() -> None:
    async with running() as interpreter:
        await conclusion(interpreter)
        pid = interpreter.pid
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.slow
async def test_the_engine_interprets_in_the_child() -> None:
    recording, _truth = synth.ecg(synth.Patient(), seconds=10.0, seed=1)
    async with running(120.0, CHILD, 300.0) as interpreter:
        said = await interpreter.interpret(recording, Subject(age=50, sex="female"))
    assert (said.samples, said.leads) == (recording.n, recording.leads)
    assert len(said.beats) >= 8


def test_the_child_ends_when_its_input_does() -> None:
    done = subprocess.run(STAND_IN_COMMAND, input=b"", capture_output=True, timeout=60, check=False)
    assert done.returncode == 0
    assert done.stdout == frame(Answer())


async def test_the_child_draws() -> None:
    async with running() as interpreter:
        assert await interpreter.draw(RECORDING, OPINION) == "<svg>1000</svg>"


@pytest.mark.slow
async def test_the_engine_draws_an_ecg_in_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FELDSHER_DEMO", "1")
    recording, _truth = synth.ecg(synth.Patient(), seconds=10.0, seed=1)
    async with running(60.0, CHILD, 300.0) as interpreter:
        svg = await interpreter.draw(recording, None)
    assert svg.startswith("<svg")
    assert "UNCONFIRMED" in svg
    assert "DEMO" in svg  # as on every picture of made-up people


def test_warming_fills_the_cache_with_what_draws_too() -> None:
    code = """
        import sys
        from feldsher_edge import interpreter_child as child
        child.warm = lambda: print("feldsher_signal.draw" in sys.modules, file=sys.stderr)
        sys.argv = ["child", *sys.argv[1:]]
        child.main()
    """
    command = [sys.executable, "-c", textwrap.dedent(code), "--warm"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "True"
