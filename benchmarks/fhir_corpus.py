"""A corpus of any size: residents of a made-up region, stored as the bulk import stores them, by several processes."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.synthetic.life import record
from feldsher_cloud_api.synthetic.region import Region, Resource

NOW = datetime(2026, 11, 1, tzinfo=UTC)
KNOWN = 200
"""Of so many residents the resources stay in memory: questions are asked about them."""
_EACH = 100
_SAMPLE = 20


def filled(url: str, region: Region, resources: int) -> tuple[Sequence[Resource], int, int]:
    """Store a corpus; return some residents' resources, how many residents it has, and how many resources."""
    began = time.perf_counter()
    sample = sum(1 for number in range(_SAMPLE) for _ in record(region, number))
    residents = max(KNOWN, resources * _SAMPLE // sample)
    with db.connect(url) as connection:
        stored = _stored(connection, region.directory())
    parts = [(url, region, range(first, min(first + _EACH, residents))) for first in range(0, residents, _EACH)]
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        stored += sum(pool.map(_fill, parts))
    with db.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    took = time.perf_counter() - began
    print(f"{stored:,} resources of {residents:,} residents, stored in {took:.0f} s ({stored / took:.0f}/s)")
    spread = range(0, residents, max(1, residents // KNOWN))
    return [r for number in itertools.islice(spread, KNOWN) for r in record(region, number)], residents, stored


def _fill(part: tuple[str, Region, range]) -> int:
    url, region, numbers = part
    with db.connect(url) as connection:
        return _stored(connection, [r for number in numbers for r in record(region, number)])


def _stored(connection: db.Connection, found: Sequence[Resource]) -> int:
    with connection.transaction():
        store.insert_many(connection, found, now=NOW)
    return len(found)
