"""`feldsher-cloud synthetic`: a made-up region's records, as NDJSON or as a transaction for each resident."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date, datetime
from typing import Annotated

import typer

from feldsher_cloud_api import db
from feldsher_cloud_api.synthetic.life import record
from feldsher_cloud_api.synthetic.region import Region, Resource

app = typer.Typer()


def transaction(found: list[Resource]) -> Resource:
    """Return a Bundle that creates resources under their own ids, all or none."""
    entries = [
        {
            "fullUrl": f"urn:uuid:{r['id']}",
            "resource": r,
            "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"},
        }
        for r in found
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def lines(region: Region, residents: int, *, bundles: bool) -> Iterator[bytes]:
    """Yield a region's records, one JSON document after the other: the clinics first, then resident by resident."""
    for found in (region.directory(), *(record(region, number) for number in range(residents))):
        if bundles:
            yield db.dumps(transaction(list(found)))
        else:
            yield from map(db.dumps, found)


@app.command()
def region(
    today: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="Until when lives are told.")],
    residents: Annotated[int, typer.Option(min=0, help="How many people.")] = 100,
    seed: Annotated[int, typer.Option(help="Another number is another region; the same is the same.")] = 1,
    clinics: Annotated[int, typer.Option(min=1, help="How many clinics.")] = 4,
    bundles: Annotated[bool, typer.Option(help="A transaction Bundle per line instead of a resource.")] = False,
) -> None:
    """Print people who do not exist, with five years of records, marked as test data (HTEST).

    As NDJSON it is what $import takes; a line of --bundles is what a POST to the server's root takes.
    """
    made = Region(seed, date(today.year, today.month, today.day), clinics)
    for line in lines(made, residents, bundles=bundles):
        sys.stdout.buffer.write(line + b"\n")
