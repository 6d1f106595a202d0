"""Gateways and virtual clouds on the session's broker."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from feldsher_cloud_api import ca
from feldsher_edge.link import Broker, tls_context
from feldsher_edge.simulate.cloud import VirtualCloud
from feldsher_ehr_core.ids import INGEST_USERS
from feldsher_tools.office import Office
from feldsher_tools.services import Broker as Server
from feldsher_tools.services import client_files

Reach = Callable[..., Broker]


@pytest.fixture
def file_limit() -> Iterator[Callable[[int], None]]:
    """Limit the size of files: what writes beyond it fails as on a broken disk (EFBIG, which SQLite calls IOERR)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A cloud's provisioning over TLS, whose clock can be set."""
    made = Office(tmp_path / "office")
    yield made
    made.close()


@pytest.fixture
def reach(mosquitto: Server, authority: ca.CertificateAuthority) -> Reach:
    """Return how a client named `name` reaches the session's broker, or the one on `port`."""

    def at(name: str, port: int | None = None) -> Broker:
        files = client_files(authority if port else mosquitto.authority, name)
        where = urlsplit(mosquitto.url)
        tls = partial(tls_context, files.ca, files.certificate, files.key)
        return Broker(where.hostname or "", port or where.port or 8883, tls, keepalive_s=5)

    return at


@pytest.fixture
def cloud(reach: Reach) -> Iterator[Callable[..., VirtualCloud]]:
    """Start virtual clouds; all are stopped after the test."""
    users = cycle(INGEST_USERS)  # the broker knows each name once at a time
    with ExitStack() as stack:

        def start(port: int | None = None, **options: object) -> VirtualCloud:
            broker = reach(next(users), port)
            return stack.enter_context(VirtualCloud(broker.host, broker.port, broker.tls(), **options))  # type: ignore[arg-type]

        yield start
