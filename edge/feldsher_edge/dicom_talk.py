"""The words between the daemon and its DICOM child: a length of four bytes, then MessagePack, both ways.

The daemon says Setup, the child Listening or Failed; then the child asks and the daemon answers, one at a time.
"""

from __future__ import annotations

import msgspec

from feldsher_edge.original import Seen
from feldsher_edge.originals import Verdict
from feldsher_edge.worklist_item import Item


class Peer(msgspec.Struct, frozen=True, array_like=True):
    """A cart that may speak: AE title, and address where it is bound to one."""

    device: str
    ae_title: str
    address: str | None = None


class Setup(msgspec.Struct, frozen=True, tag=True):
    """What the child is told: whom to answer where, and how much; `folder`: where sealed originals go.

    `greeting_s`: longest wait for a peer to ask for its association, and to close its connection after it ended.
    """

    ae_title: str
    listen: str
    port: int
    peers: tuple[Peer, ...]
    folder: str
    most: int
    greeting_s: int
    certificate: str | None = None
    key: str | None = None
    ca: str | None = None


class Listening(msgspec.Struct, frozen=True, tag=True):
    """The port is open; `port` is the one that was given where 0 was wanted."""

    port: int


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The port cannot be opened, and why."""

    why: str


class Heard(msgspec.Struct, frozen=True, tag=True):
    """A cart has opened an association."""

    device: str


class Want(msgspec.Struct, frozen=True, tag=True):
    """A cart asks for its worklist."""

    device: str


class Work(msgspec.Struct, frozen=True, tag=True):
    """The worklist of the cart that asked."""

    items: tuple[Item, ...] = ()


class Brought(msgspec.Struct, frozen=True, tag=True):
    """A cart has sent an object, which waits in the child's memory."""

    device: str
    seen: Seen


class Said(msgspec.Struct, frozen=True, tag=True):
    """What became of an object: `verdict` None where nothing could be committed now.

    `certificate`: the PEM text that the original is to be sealed to.
    """

    verdict: Verdict | None
    certificate: str = ""


FromChild = Listening | Failed | Heard | Want | Brought
ToChild = Setup | Work | Said
