"""A real gateway's identity and HTTPS interface against the running application."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from feldsher_cloud_api import ca, db, provision
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.manage import release
from feldsher_edge.api import Api
from feldsher_edge.clock import SystemClock
from feldsher_edge.identity import load_identity
from feldsher_edge.provision import claim_identity
from feldsher_edge.true_time import TrueTime
from feldsher_tools.clinic import Clinic
from feldsher_tools.served import Site, served


@pytest.fixture
def settings(clinic: Clinic) -> Iterator[Settings]:
    """The clinic's settings, its application answering on a port."""
    with served(clinic.settings) as at:
        yield at


@pytest.fixture
def claim(clinic: Clinic, settings: Settings, tmp_path: Path) -> Callable[[], Site]:
    """Add and claim a gateway with the gateway's own code."""

    def make() -> Site:
        name, state = f"gw-{uuid4().hex[:12]}", tmp_path / uuid4().hex[:8]
        with clinic.owner() as connection:
            authority = ca.load(settings.ca_directory, clinic.time)
            made = provision.add_gateway(connection, settings, authority, name, "test")
        claim_identity(made.text(), state)
        mine = load_identity(state)
        assert mine is not None
        return Site(clinic, settings, name, state, Api(mine, TrueTime(SystemClock(), state)))

    return make


@pytest.fixture
def release_key(clinic: Clinic, tmp_path: Path) -> Path:
    """A release key that this cloud trusts: the file of its private part."""
    public = release.new_key(tmp_path / "keys", "test")
    with clinic.owner() as connection:
        release.trust(connection, "test", public, clinic.time())
    return tmp_path / "keys" / "test.key"


@pytest.fixture
def site(release_key: Path, claim: Callable[[], Site]) -> Site:
    """A gateway that was claimed when the release key was trusted already."""
    del release_key
    return claim()


@pytest.fixture
def worker(clinic: Clinic) -> Iterator[db.Connection]:
    """A connection of the cloud's worker; each statement outside of a transaction is one of its own."""
    with db.connect(clinic.url, db.WORKER, autocommit=True) as connection:
        yield connection
