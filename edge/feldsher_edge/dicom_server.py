"""The DICOM port's guard: who may connect, how many at once, and how long PDUs, messages and silences may be."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any, cast

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.transport import ThreadedAssociationServer

from feldsher_edge.dicom_talk import Peer

MOST_ASSOCIATIONS = 16
_MOST_OF_ONE = 4
"""Most connections of one address: who floods the port leaves room for the others."""
SILENCE_S = 30
"""Longest wait for the next bytes, seconds."""
_MOST_PDU = 1 << 20
_STALLED_S = 180.0
"""A peer that completes no PDU for so long is cut off, also where it sends a byte now and then."""
_AROUND = 1 << 20
"""Bytes that a message may have around its object."""


class Peers:
    """Who may speak."""

    def __init__(self, peers: tuple[Peer, ...]) -> None:
        self._peers = peers

    def near(self, address: str) -> bool:
        """Return whether a connection from an address may be one of them."""
        return any(peer.address in (None, address) for peer in self._peers)

    def named(self, ae_title: str, address: str) -> Peer | None:
        """Return the peer of an AE title that calls from an address; one bound to the address goes first."""
        fit = [it for it in self._peers if it.ae_title.strip() == ae_title.strip() and it.address in (None, address)]
        return min(fit, key=lambda it: it.address is None, default=None)


class Server(ThreadedAssociationServer):
    """Connections of allowed addresses only, so many at once, with PDUs and messages of bounded length."""

    peers = Peers(())
    most = 0
    daemon_threads = True

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Return whether a connection is taken at all."""
        address = str(client_address[0])
        live = [str(it.requestor.address) for it in threading.enumerate() if isinstance(it, Association)]
        room = len(live) < MOST_ASSOCIATIONS and live.count(address) < _MOST_OF_ONE
        return room and self.peers.near(address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a connection that failed is its peer's matter."""

    def guard(self) -> None:
        """Watch over every connection to come."""
        bind = cast("Any", self).bind
        bind(evt.EVT_CONN_OPEN, self.opened)
        bind(evt.EVT_PDU_RECV, self.pdu)
        bind(evt.EVT_DIMSE_RECV, self.message)

    def opened(self, event: evt.Event) -> None:
        """Bound what a connection may send."""
        wire = _socket(event.assoc)
        assoc = cast("Any", event.assoc)
        assoc.arrived, assoc.moved = 0, time.monotonic()
        real = wire.recv

        def bounded(count: int) -> bytearray:
            if count > _MOST_PDU:
                raise OSError(f"a PDU of {count} bytes")
            return real(count)

        wire.recv = bounded

    def pdu(self, event: evt.Event) -> None:
        """Cut off a peer whose message is longer than any original may be."""
        assoc = cast("Any", event.assoc)
        assoc.moved = time.monotonic()
        pdu = cast("Any", event).pdu
        if isinstance(pdu, P_DATA_TF):
            assoc.arrived += pdu.pdu_length
            if assoc.arrived > self.most + _AROUND:
                cut(event.assoc)

    def message(self, event: evt.Event) -> None:
        """Count anew: a whole message has arrived."""
        cast("Any", event.assoc).arrived = 0

    def service_actions(self) -> None:
        """Cut off who has stalled; called every half second."""
        super().service_actions()
        for thread in threading.enumerate():
            if (
                isinstance(thread, Association)
                and time.monotonic() - getattr(thread, "moved", time.monotonic()) > _STALLED_S
            ):
                cut(thread)


def cut(assoc: Association) -> None:
    """Close a connection under its association, which then ends by itself."""
    wire = _socket(assoc)
    if wire is not None and wire.socket is not None:
        with contextlib.suppress(OSError):
            wire.socket.shutdown(socket.SHUT_RDWR)


def _socket(assoc: Association) -> Any:
    return cast("Any", assoc).dul.socket
