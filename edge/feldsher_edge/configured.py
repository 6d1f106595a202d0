"""The configuration that the cloud wants: believed by its signature, tried, and kept only where the gateway stays well.

It is laid over the technician's file (feldsher_ehr_core.gateway_config) and first on trial: it is kept when the health
check says so, else the one before it is in force again. A version comes once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog
from feldsher_ehr_core import signed, wire
from feldsher_ehr_core.gateway_config import laid_over

from feldsher_edge import config
from feldsher_edge.config import Config, ConfigError, Table
from feldsher_edge.files import write_file
from feldsher_edge.signing import verified

_log = structlog.get_logger("configured")
STARTS = 2
"""So often a configuration on trial may be started without the health check passing; then it is given up."""


class Wanted(msgspec.Struct, frozen=True):
    """A configuration from the cloud as it is kept; `starts`: how often it was started while on trial."""

    version: int
    toml: str
    starts: int = 0


class Last(msgspec.Struct, frozen=True):
    """The newest version that was ever received, and what became of it."""

    version: int = 0
    state: wire.ReportedState = "none"
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Configured:
    """The wanted configurations in a state directory. `local`: the technician's file as tables; `source`: its name."""

    state: Path
    local: Table
    source: str

    def receive(self, message: wire.Configuration, gateway: str, keys: tuple[str, ...]) -> bool:
        """Take a configuration; return whether it is to be tried now. What is refused is remembered with its reason.

        A version that was seen before, or an older one, is passed over: repeats and replays change nothing.
        """
        if not verified(keys, message.signature, signed.configuration(gateway, message.version, message.toml)):
            _log.error("configuration without the cloud's signature", version=message.version)
            return False
        if message.version <= self.last().version:
            return False
        try:
            self.over(message.toml, f"configuration {message.version}")
        except ConfigError as error:
            self._note(message.version, "refused", str(error))
            return False
        self._write("trial", Wanted(message.version, message.toml))
        self._note(message.version, "working", None)
        return True

    def effective(self) -> Config:
        """Return the configuration to start with: on trial, kept, or the file's own; counts a trial's starts.

        A trial that was started STARTS times without being kept is given up here: it took the gateway down with it.
        """
        trial = self.trial()
        if trial is not None and trial.starts >= STARTS:
            self.roll_back(f"the gateway did not stay up with it, {trial.starts} times")
            trial = None
        if trial is not None:
            self._write("trial", Wanted(trial.version, trial.toml, trial.starts + 1))
            return self.over(trial.toml, f"configuration {trial.version}")
        kept = self._read("kept")
        if kept is not None:
            try:
                return self.over(kept.toml, f"configuration {kept.version}")
            except ConfigError as error:  # the file has changed since, or this program has
                self._note(kept.version, "failed", str(error))
                _log.error("the kept configuration does not fit any more; the file's own is used", error=str(error))
        return config.convert(self.local, self.source)

    def keep(self) -> None:
        """Keep the configuration on trial: the gateway is well with it."""
        trial = self.trial()
        if trial is None:
            return
        self._write("kept", Wanted(trial.version, trial.toml))
        self._file("trial").unlink()
        self._note(trial.version, "applied", None)

    def roll_back(self, why: str) -> None:
        """Give up the configuration on trial; the one before it is in force at the next start."""
        trial = self.trial()
        if trial is None:
            return
        self._note(trial.version, "rolled-back", why)
        self._file("trial").unlink()
        _log.error("configuration rolled back", version=trial.version, why=why)

    def trial(self) -> Wanted | None:
        """Return the configuration that is on trial."""
        return self._read("trial")

    @property
    def version(self) -> int:
        """The version that is kept, 0 where it is the file's own."""
        kept = self._read("kept")
        return 0 if kept is None else kept.version

    @property
    def sha256(self) -> str | None:
        """The SHA-256 of the text that is kept, hexadecimal; None where the file alone is in force."""
        kept = self._read("kept")
        return None if kept is None else hashlib.sha256(kept.toml.encode()).hexdigest()

    def last(self) -> Last:
        """Return the newest version that was received, and what became of it."""
        try:
            return msgspec.json.decode(self._file("last").read_bytes(), type=Last)
        except (OSError, msgspec.DecodeError):
            return Last()

    def over(self, toml: str, source: str) -> Config:
        """Return the file's configuration with a TOML text laid over it; ConfigError names the field that is wrong."""
        return laid_over(self.local, toml, source)

    def _file(self, name: str) -> Path:
        return self.state / "config" / f"{name}.json"

    def _read(self, name: str) -> Wanted | None:
        try:
            return msgspec.json.decode(self._file(name).read_bytes(), type=Wanted)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            _log.error("a stored configuration cannot be read", which=name, error=str(error))
            return None

    def _write(self, name: str, wanted: Wanted) -> None:
        self._file(name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_file(self._file(name), msgspec.json.encode(wanted))

    def _note(self, version: int, state: wire.ReportedState, detail: str | None) -> None:
        self._file("last").parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_file(self._file("last"), msgspec.json.encode(Last(version, state, detail)))
