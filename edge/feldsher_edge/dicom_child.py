"""The child process that answers carts over DICOM: C-ECHO, modality worklist, storage of ECGs.

`python -m feldsher_edge.dicom_child` is told what to do on its standard input (dicom_talk.py). An object is answered
with success only when the daemon has committed what it says; it waits in memory, and on disk it is only ever sealed.
Nothing is logged: what peers send may be a name.
"""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import msgspec
from pynetdicom import AE, evt
from pynetdicom.association import Association

from feldsher_edge.dicom_server import MOST_ASSOCIATIONS, SILENCE_S, Peers, Server, cut
from feldsher_edge.dicom_talk import (
    Brought,
    Failed,
    FromChild,
    Heard,
    Listening,
    Peer,
    Said,
    Setup,
    ToChild,
    Want,
    Work,
)
from feldsher_edge.dropbox import DONE, QUARANTINE
from feldsher_edge.interpreter import LENGTH
from feldsher_edge.original_read import bound_memory, keep, read
from feldsher_edge.worklist import answers

STORED = (
    "1.2.840.10008.5.1.4.1.1.9.1.1",
    "1.2.840.10008.5.1.4.1.1.9.1.2",
    "1.2.840.10008.5.1.4.1.1.9.1.3",
    "1.2.840.10008.5.1.4.1.1.9.1.4",
)
"""Waveform storage: 12-lead, general, ambulatory and 32-bit general ECG (PS3.4 table B.5-1)."""
SYNTAXES = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"]
SUCCESS, NO_RESOURCES, DUPLICATE, NOT_UNDERSTOOD, UNABLE = 0x0000, 0xA700, 0x0111, 0xC000, 0xC001
"""Statuses of C-STORE (PS3.4 table B.2-1, PS3.7 annex C) and, the last one, of C-FIND (PS3.4 table K.4-2)."""
_ECHO, _WORKLIST = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.31"
_PDU = 1 << 16
_Answer = TypeVar("_Answer")


class Talk:
    """Questions to the daemon, one at a time."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO) -> None:
        self._from, self._to = requests, answers
        self._lock = threading.Lock()
        self._decoder = msgspec.msgpack.Decoder(ToChild)

    def tell(self, message: FromChild) -> None:
        """Say something that has no answer."""
        with self._lock:
            self._send(message)

    def ask(self, message: FromChild, kind: type[_Answer]) -> _Answer:
        """Return the daemon's answer; EOFError where the daemon has ended, which ends this process."""
        with self._lock:
            self._send(message)
            answer = self.read()
        if not isinstance(answer, kind):
            raise EOFError("the daemon answered something else")
        return answer

    def read(self) -> ToChild:
        """Return the daemon's next message."""
        head = self._from.read(LENGTH.size)
        if len(head) < LENGTH.size:
            os._exit(0)  # the daemon was killed: nobody takes what carts bring, and they keep it
        return self._decoder.decode(self._from.read(LENGTH.unpack(head)[0]))

    def _send(self, message: FromChild) -> None:
        body = msgspec.msgpack.encode(message)
        self._to.write(LENGTH.pack(len(body)) + body)
        self._to.flush()


class Port:
    """What carts are answered."""

    def __init__(self, setup: Setup, talk: Talk) -> None:
        self._setup = setup
        self._talk = talk
        self._peers = Peers(setup.peers)
        self._one_at_a_time = threading.Lock()

    def serve(self) -> None:
        """Open the port and answer until the process ends."""
        server = self._server()
        server.peers, server.most = self._peers, self._setup.most
        server.guard()
        self._talk.tell(Listening(int(server.server_address[1])))
        server.serve_forever(poll_interval=0.5)

    def _server(self) -> Server:
        ae = cast("Any", AE(ae_title=self._setup.ae_title))
        ae.require_called_aet = True
        ae.require_calling_aet = sorted({peer.ae_title for peer in self._setup.peers})
        ae.maximum_associations = MOST_ASSOCIATIONS
        ae.maximum_pdu_size = _PDU
        ae.dimse_timeout = ae.network_timeout = SILENCE_S
        ae.acse_timeout = ae.connection_timeout = self._setup.greeting_s
        for uid in (_ECHO, _WORKLIST, *STORED):
            ae.add_supported_context(uid, SYNTAXES)
        handlers: list[Any] = [
            (evt.EVT_ACCEPTED, self.accepted),
            (evt.EVT_C_ECHO, self.echo),
            (evt.EVT_C_FIND, self.find),
            (evt.EVT_C_STORE, self.store),
        ]
        address = (self._setup.listen, self._setup.port)
        context = tls(self._setup)
        server = ae.make_server(address, ssl_context=context, evt_handlers=handlers, server_class=Server)
        assert isinstance(server, Server)  # noqa: S101 - what make_server was asked for
        return server

    def _peer(self, assoc: Association) -> Peer | None:
        return self._peers.named(assoc.requestor.ae_title, str(assoc.requestor.address))

    def accepted(self, event: evt.Event) -> None:
        """Tell that a cart is there; an AE title that calls from elsewhere is cut off."""
        peer = self._peer(event.assoc)
        if peer is None:
            cut(event.assoc)
        else:
            self._talk.tell(Heard(peer.device))

    def echo(self, event: evt.Event) -> int:
        """Answer a C-ECHO."""
        return SUCCESS if self._peer(event.assoc) else NO_RESOURCES

    def find(self, event: evt.Event) -> Iterator[tuple[int, Any]]:
        """Answer a worklist query with the orders of the cart that asks."""
        peer = self._peer(event.assoc)
        if peer is None:
            yield UNABLE, None
            return
        try:
            query = event.identifier
            work = self._talk.ask(Want(peer.device), Work)
            found = list(answers(query, work.items, peer.ae_title.strip()))
        except Exception:  # whatever a peer sends as a query
            yield UNABLE, None
            return
        for it in found:
            if event.is_cancelled:
                yield 0xFE00, None
                return
            yield 0xFF00, it

    def store(self, event: evt.Event) -> int:
        """Take an object; success means: committed to the gateway's disk, the original sealed."""
        peer = self._peer(event.assoc)
        if peer is None:
            return NO_RESOURCES
        with self._one_at_a_time:
            try:
                raw = event.encoded_dataset()
                if len(raw) > self._setup.most:
                    return NO_RESOURCES
                return self._taken(peer, raw, str(event.request.AffectedSOPInstanceUID))  # type: ignore[union-attr]
            except (EOFError, OSError, ValueError, MemoryError):
                return NO_RESOURCES

    def _taken(self, peer: Peer, raw: bytes, instance: str) -> int:
        seen = read(raw, hashlib.sha256(instance.encode()).digest())
        said = self._talk.ask(Brought(peer.device, seen), Said)
        if said.verdict is None:
            return NO_RESOURCES
        bad = seen.recording is None or said.verdict == "conflict"
        folder = Path(self._setup.folder) / (QUARANTINE if bad else DONE)
        reason = (seen.fault or "SOP Instance UID: known with other samples") if bad else None
        keep(raw, folder, said.certificate, reason)
        if said.verdict == "conflict":
            return DUPLICATE
        return NOT_UNDERSTOOD if bad else SUCCESS


def tls(setup: Setup) -> ssl.SSLContext | None:
    """Return the TLS of the port, None where it has none."""
    if setup.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(setup.certificate, setup.key)
    if setup.ca is not None:
        context.load_verify_locations(setup.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def main() -> None:
    """Be the child: frames on the true standard output, whatever libraries print nowhere."""
    answers_to = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    bound_memory()
    threading.stack_size(1 << 20)
    socket.setdefaulttimeout(SILENCE_S)  # of accepted connections, the TLS handshake included
    talk = Talk(sys.stdin.buffer, answers_to)
    setup = talk.read()
    assert isinstance(setup, Setup)  # noqa: S101 - what the daemon says first
    try:
        for name in (DONE, QUARANTINE):
            (Path(setup.folder) / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        Port(setup, talk).serve()
    except (OSError, ValueError) as error:
        talk.tell(Failed(f"{setup.listen}:{setup.port}: {error}"))


if __name__ == "__main__":
    main()
