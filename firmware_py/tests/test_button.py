"""The button: short, long, and neither."""

# pyright: basic, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportMissingModuleSource=false, reportOptionalSubscript=false
# The stubs know the chip's modules, not those that stand for them here.

import time

import machine
from kit import button
from kit.button import LONG, NONE, SHORT, Button
from same import same
from workbench import bench


def _held(ms: int, it: Button) -> list[int]:
    bench.levels[4] = 0
    found = [it.poll()]
    time.sleep_ms(ms)
    found.append(it.poll())
    bench.levels[4] = 1
    found.append(it.poll())
    return found


def test_short_long_and_bounce():
    button.LONG_MS = 120
    it = Button(machine.Pin(4))
    same(it.poll(), NONE)
    same(_held(50, it), [NONE, NONE, SHORT])
    same(_held(5, it), [NONE, NONE, NONE])
    same(_held(140, it), [NONE, LONG, NONE])
    same(_held(50, it), [NONE, NONE, SHORT])
