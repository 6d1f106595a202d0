"""A private mosquitto: mutual TLS, the certificate's common name as user, and topics pinned by an ACL."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from feldsher_ehr_core.ids import CLOUD_WORKER, INGEST_TOOL, INGEST_USERS

from feldsher_tools.place import Place, free_port
from feldsher_tools.process import Process

_GATEWAYS = """\
# A gateway (user = its certificate's common name) speaks in its own name only; ingest checks the shard.
pattern write feldsher/1/+/%u/up/#
pattern read feldsher/1/%u/down/#
"""
_READS_UP, _WRITES_DOWN = "topic read feldsher/1/+/+/up/#\n", "topic write feldsher/1/+/down/#\n"
ACL = "\n".join(
    (
        _GATEWAYS,
        "# Services by name; the dot keeps their names apart from any gateway's.",
        *(f"user {name}\n{_READS_UP}{_WRITES_DOWN}" for name in INGEST_USERS),
        *(f"user {name}\n{_WRITES_DOWN}" for name in (INGEST_TOOL, CLOUD_WORKER)),
    )
)
"""Who may read and write which topics (docs/decisions/0007 and 0008)."""

CONFIGURATION = """\
# One listener, so its rules are the broker's: with per_listener_settings, 2.0.21 cannot tie the user of a persistent
# session to the ACL after a restart and drops everything that session subscribes (measured).
per_listener_settings false
{user}
listener {port} {address}
cafile {tls.ca}
certfile {tls.certificate}
keyfile {tls.key}
{crl}
require_certificate true
use_identity_as_username true
# The client id is the certificate's name too, whatever a client calls itself: nobody takes over another's session.
use_username_as_clientid true
tls_version tlsv1.2
{websockets}
allow_anonymous false
acl_file {directory}/acl

# An ECG of 60 s is below 1 MB. The limit is told at each connection, so that a gateway keeps a larger message as its
# own dead letter. Not message_size_limit: it answers with a PUBACK that MQTT 5 does not know, and paho hangs up.
max_packet_size 1100000
# Messages for an ingest worker that is away wait here. Not 0: some versions take 0 for "none" (mosquitto issue 2879).
max_queued_messages 1000000
max_inflight_messages 100
# small packets (receipts, orders) leave at once: 25 ms less per receipt
set_tcp_nodelay true
persistence true
persistence_location {directory}/
autosave_interval 60
log_dest file {directory}/log
log_timestamp_format %Y-%m-%dT%H:%M:%S
log_type error
log_type warning
log_type notice
log_type information
"""

WEBSOCKETS = """\
# MQTT over WebSocket, for networks that let only web traffic out: in production on port 443, same certificates.
listener {port} {address}
protocol websockets
cafile {tls.ca}
certfile {tls.certificate}
keyfile {tls.key}
{crl}
require_certificate true
use_identity_as_username true
tls_version tlsv1.2
"""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What a listener needs: its authority, its certificate and key, and the list of revoked certificates."""

    ca: Path
    certificate: Path
    key: Path
    crl: Path | None = None


def configuration(
    port: int, address: str, directory: str, tls: TlsFiles, *, as_root: bool, websockets: int | None = None
) -> str:
    """Return the broker's configuration file; `directory` holds its ACL, log and persistent sessions.

    `websockets`: the port of a second listener, for MQTT over WebSocket.
    """
    crl = f"crlfile {tls.crl}" if tls.crl else ""
    # as root it would drop to a user that cannot read the keys; development only
    user = "user root" if as_root else ""
    second = "" if websockets is None else WEBSOCKETS.format(port=websockets, address=address, tls=tls, crl=crl)
    return CONFIGURATION.format(
        port=port, address=address, directory=directory, tls=tls, crl=crl, user=user, websockets=second
    )


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read: mosquitto wants that of an ACL."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)


class Mosquitto:
    """A private broker: a context manager, or `start`, `stop`, `kill` (SIGKILL) and `start` again on the same port."""

    def __init__(
        self,
        place: Place,
        directory: Path,
        tls: TlsFiles,
        *,
        name: str = "mosquitto",
        port: int | None = None,
        outlives: bool = False,
    ) -> None:
        """Keep configuration, log and persistent sessions in `directory`; `web_port` is the WebSocket listener's."""
        self.directory, self.tls = directory, tls
        self.port = port or free_port()
        self.web_port = free_port()
        self.process = Process(
            name=name,
            argv=[place.program("mosquitto"), "-c", str(directory / "mosquitto.conf")],
            log=directory / "log",
            pid_file=place.run / f"{name}.pid",
            cwd=directory,
            address=self.url,
            outlives_parent=outlives,
        )

    @property
    def url(self) -> str:
        """The broker's address."""
        return f"mqtts://127.0.0.1:{self.port}"

    def configure(self) -> None:
        """Write configuration and ACL."""
        text = configuration(
            self.port,
            "127.0.0.1",
            str(self.directory),
            self.tls,
            as_root=os.geteuid() == 0,
            websockets=self.web_port,
        )
        write_private(self.directory / "mosquitto.conf", text)
        write_private(self.directory / "acl", ACL)

    def start(self) -> None:
        """Start the broker and wait until it listens."""
        self.configure()
        self.process.start()
        self.process.wait_ready(self._listens)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def reload(self) -> None:
        """Make the broker read its ACL and certificates again (SIGHUP)."""
        os.kill(self.process.pid, signal.SIGHUP)

    def stop(self) -> None:
        """End the broker in an orderly way: it writes its persistent sessions."""
        self.process.stop()

    def kill(self) -> None:
        """SIGKILL the broker: messages it acknowledged since its last autosave are lost, which is the point."""
        self.process.kill()

    def __enter__(self) -> Self:
        """Start the broker."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the broker."""
        self.stop()
