"""A child process that is recorded, dies with its parent, and can be killed as a power cut would."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from feldsher_tools.place import ServiceError

POLL_S = 0.02
LOG_LINES = 15


@dataclass(slots=True)
class Process:
    """One server process: `start`, `stop`, `kill`, and start again."""

    name: str
    argv: Sequence[str]
    log: Path
    pid_file: Path
    stop_signal: signal.Signals = signal.SIGTERM
    user: tuple[int, int] | None = None
    cwd: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    address: str = ""
    outlives_parent: bool = False
    child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; ServiceError where it runs already."""
        if self.running:
            raise ServiceError(f"{self.name} runs already")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                [*self._launcher(), *self.argv],
                cwd=self.cwd,
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        record(self.pid_file, self.child.pid, self.stop_signal, self.address)

    def _launcher(self) -> list[str]:
        # The signal comes when the *thread* that started it ends, so servers are started from main threads.
        death = "clear" if self.outlives_parent else self.stop_signal.name.removeprefix("SIG")
        return as_user(self.user, "--pdeathsig", death)

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self.child is not None and self.child.poll() is None

    @property
    def pid(self) -> int:
        """The process id; ServiceError where it does not run."""
        if self.child is None or self.child.poll() is not None:
            raise ServiceError(f"{self.name} does not run")
        return self.child.pid

    def wait_ready(self, ready: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Poll until `ready()`; ServiceError with the end of the log when the process ends or time runs out."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.running:
                code = None if self.child is None else self.child.returncode
                raise ServiceError(f"{self.name} ended with code {code} while starting\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ServiceError(f"{self.name} was not ready after {timeout_s:g} s\n{self.log_tail()}")
            time.sleep(POLL_S)

    def wait_end(self, timeout_s: float) -> None:
        """Wait until the process has ended well; ServiceError with the end of its log where it has not."""
        if self.child is None:
            raise ServiceError(f"{self.name} was not started")
        try:
            code = self.child.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ServiceError(f"{self.name} did not end within {timeout_s:g} s\n{self.log_tail()}") from error
        self.pid_file.unlink(missing_ok=True)
        if code:
            raise ServiceError(f"{self.name} ended with code {code}\n{self.log_tail()}")

    def stop(self, timeout_s: float = 20.0) -> None:
        """End the process in an orderly way; a process that does not run is no error."""
        if self.child is not None and self.child.poll() is None:
            self.child.send_signal(self.stop_signal)
            try:
                self.child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()
        self.pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """SIGKILL the process and all its descendants, as a power cut would, and wait until they are gone."""
        if self.child is not None and self.child.poll() is None:
            kill_tree(self.child.pid)
            self.child.wait()
        self.pid_file.unlink(missing_ok=True)

    def log_tail(self) -> str:
        """Return the last lines of the process's log."""
        return tail(self.log)


def as_user(user: tuple[int, int] | None, *options: str) -> list[str]:
    """Return the start of a command line that runs the rest as another user (uid, gid), or as the present one."""
    # setpriv (util-linux, essential on Debian) becomes the program: the process id stays
    ids = [f"--reuid={user[0]}", f"--regid={user[1]}", "--clear-groups"] if user else []
    return ["setpriv", *options, *ids] if ids or options else []


def tail(log: Path) -> str:
    """Return the last lines of a log file, introduced by its name."""
    lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:] if log.exists() else []
    return "\n".join([f"the end of {log}:", *(f"  {line}" for line in lines)])


def started_at(pid: int) -> int | None:
    """Return a process's start time (ticks since boot), or None where it does not live; it tells reused ids apart."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else int(fields[18])  # field 22 of proc(5); a zombie is dead


def descendants(pid: int) -> Iterator[int]:
    """Yield the process and everything below it, parents first."""
    yield pid
    with contextlib.suppress(OSError):
        for thread in list(Path(f"/proc/{pid}/task").iterdir()):
            for child in (thread / "children").read_text().split():
                yield from descendants(int(child))


def kill_tree(pid: int) -> None:
    """SIGKILL a process with its descendants and wait until none of them lives."""
    victims = {victim: started_at(victim) for victim in descendants(pid)}
    for victim in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    wait_gone(victims)


def wait_gone(victims: Mapping[int, int | None], timeout_s: float = 20.0) -> bool:
    """Wait until none of the processes (id → start time) lives; return whether that came true."""
    deadline = time.monotonic() + timeout_s
    while any(start is not None and started_at(pid) == start for pid, start in victims.items()):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


@dataclass(frozen=True, slots=True)
class Note:
    """What a pid file says."""

    name: str
    pid: int
    started: int
    signal: str
    address: str

    @property
    def alive(self) -> bool:
        """Whether this very process lives, not another one that got its id."""
        return started_at(self.pid) == self.started


def record(pid_file: Path, pid: int, stop_signal: signal.Signals, address: str = "") -> None:
    """Note a process in its pid file, with its start time, the signal that ends it, and where it answers."""
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    note = Note(pid_file.stem, pid, started_at(pid) or 0, stop_signal.name, address)
    half = pid_file.with_suffix(".new")
    half.write_text(json.dumps(asdict(note)) + "\n")
    half.replace(pid_file)


def recorded(run: Path) -> list[Note]:
    """Return the living processes noted in a folder of pid files, oldest first; notes of dead ones are removed."""
    notes: list[Note] = []
    for pid_file in run.glob("*.pid"):
        try:
            note = Note(**json.loads(pid_file.read_text()))
        except (OSError, ValueError, TypeError):
            note = None  # it ended just now, or an older version of this file wrote it
        if note is not None and note.alive:
            notes.append(note)
        else:
            pid_file.unlink(missing_ok=True)
    return sorted(notes, key=lambda note: note.started)


def stop_recorded(run: Path, timeout_s: float = 20.0) -> list[str]:
    """End every process noted in a folder, newest first, also those of a command that crashed; return their names."""
    stopped = recorded(run)[::-1]
    for note in stopped:
        with contextlib.suppress(ProcessLookupError):
            os.kill(note.pid, signal.Signals[note.signal])
        if not wait_gone({note.pid: note.started}, timeout_s):
            kill_tree(note.pid)
        (run / f"{note.name}.pid").unlink(missing_ok=True)
    return [note.name for note in stopped]
