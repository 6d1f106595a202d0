"""Bundles: sent by a gateway's own code, taken only where somebody has asked, deleted after a month."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from uuid import UUID

import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.manage import diagnostics
from feldsher_cloud_api.manage.tasks import Asker
from feldsher_edge.api import RefusedError
from feldsher_tools.served import Site

WHO = Asker("The technician")


def bundle(size: int = 100, parts: int = 1) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for n in range(parts):
            made.writestr(f"{n}.json", b"0" * size)
    return out.getvalue()


def send(site: Site, data: bytes) -> None:
    site.api.send("POST", "/gateway/diagnostics", data, "application/zip")


def ask(site: Site) -> UUID:
    with site.clinic.owner() as connection:
        return diagnostics.ask(connection, site.name, WHO, reason="it is slow", now=site.clinic.time())


def kept(site: Site) -> list[diagnostics.Bundle]:
    with site.clinic.owner() as connection:
        return diagnostics.bundles(connection, site.name)


def test_a_bundle_that_was_asked_for_is_kept_once_with_who_asked(site: Site) -> None:
    ask(site)
    data = bundle()
    send(site, data)
    send(site, data)
    [one] = kept(site)
    assert (one.size, one.asked_by, one.reason) == (len(data), "The technician", "it is slow")
    with site.clinic.owner() as connection:
        assert diagnostics.content(connection, one.id) == data


def test_nobody_sends_what_nobody_asked_for(site: Site, claim: Callable[[], Site]) -> None:
    other = claim()
    task = ask(other)
    with pytest.raises(RefusedError, match="nobody has asked") as refused:
        send(site, bundle())
    assert refused.value.code == "not-asked"
    other.say(task=task, task_state="applied")
    with pytest.raises(RefusedError, match="nobody has asked"):
        send(other, bundle())
    assert kept(site) == kept(other) == []


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"nonsense", "not a ZIP file"),
        (bundle(25_000_000), "too large unpacked"),
        (bundle(1, 51), "too many parts"),
        (bytes(1_000_001), "more than 1000000"),
        (bytes(2_000_001), "a body of known length"),
    ],
    ids=["nonsense", "bomb", "parts", "large", "too large for any route"],
)
def test_what_is_no_reasonable_bundle_is_refused(site: Site, data: bytes, why: str) -> None:
    ask(site)
    with pytest.raises(RefusedError, match=why):
        send(site, data)
    assert kept(site) == []


def test_bundles_are_deleted_after_a_month(site: Site, worker: db.Connection) -> None:
    ask(site)
    send(site, bundle())
    now = site.clinic.time()
    assert diagnostics.purge(worker, now + diagnostics.KEPT / 2) == 0
    assert diagnostics.purge(worker, now + diagnostics.KEPT) == 1
    assert kept(site) == []
