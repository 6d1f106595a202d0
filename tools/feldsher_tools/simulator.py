"""The virtual devices as a process of their own: `python -m feldsher_edge.simulate`, spoken to over its pipes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from feldsher_tools.place import ServiceError

CUFF_ADDRESS = "F0:F1:F2:F3:F4:01"

Event = dict[str, Any]


class Simulator:
    """Virtual cardiograph and cuff; `events` keeps everything they say, in order, with wall times in µs (`at_us`)."""

    def __init__(self, log: Path, arguments: Sequence[str] = ()) -> None:
        """Prepare; `arguments` go to the devices (`--patient NAME`, `--record FILE`, …), errors into `log`."""
        self.log, self.arguments = log, tuple(arguments)
        self.events: list[Event] = []
        self._changed = threading.Condition()
        self._child: subprocess.Popen[str] | None = None

    def start(self, dbus_address: str) -> str:
        """Start the devices on a D-Bus and return the cardiograph's serial path."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "feldsher_edge.simulate", "--cardiograph", "--cuff", "--dbus", dbus_address]
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command, *self.arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
                env=os.environ,
            )
        if self._child.stdout is None:
            raise ServiceError("the virtual devices have no output")
        threading.Thread(target=self._listen, args=(self._child.stdout,), daemon=True).start()
        self.wait("ready", timeout_s=60)
        return str(self.wait("cardiograph")["port"])

    def _listen(self, output: IO[str]) -> None:
        for line in output:
            with self._changed:
                self.events.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def say(self, command: str) -> int:
        """Give the devices a command (`bp 132 84 71`, …); return the number of events so far, for `wait`."""
        if self._child is None or self._child.stdin is None or self._child.poll() is not None:
            raise ServiceError(f"the virtual devices do not run; see {self.log}")
        before = len(self.events)
        self._child.stdin.write(command + "\n")
        self._child.stdin.flush()
        return before

    def wait(
        self, name: str, after: int = 0, *, where: Callable[[Event], bool] = lambda _: True, timeout_s: float = 30.0
    ) -> Event:
        """Return the first event `name` from number `after` on; ServiceError where it does not come in time."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                for event in self.events[after:]:
                    if event["event"] == name and where(event):
                        return event
                left = deadline - time.monotonic()
                if left <= 0 or (self._child is not None and self._child.poll() is not None):
                    raise ServiceError(f"the virtual devices did not say {name!r} in {timeout_s:g} s; see {self.log}")
                self._changed.wait(min(left, 0.5))

    def measure(self, readings: Sequence[tuple[int, int]]) -> int:
        """Let the cuff take blood pressures (systolic, diastolic); return the mark to wait for its hang-up from."""
        mark = len(self.events)
        for systolic, diastolic in readings:
            self.say(f"bp {systolic} {diastolic} 70")
        for _ in readings:
            self.wait("cuff_stored", mark)
            mark = 1 + next(i for i in range(mark, len(self.events)) if self.events[i]["event"] == "cuff_stored")
        return mark

    def hung_up(self, mark: int, *, timeout_s: float = 60.0) -> Event:
        """Wait until the cuff has brought everything and hung up."""
        return self.wait("cuff_hung_up", mark, where=lambda event: event["waiting"] == 0, timeout_s=timeout_s)

    def stop(self) -> None:
        """End the devices; ones that do not run are no error."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(10)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout) if self._child else ():
            if pipe:
                pipe.close()
        self._child = None
