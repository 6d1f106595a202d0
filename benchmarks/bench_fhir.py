"""The FHIR server over HTTP: what it does in a second, and how long a search takes, audit and row security on.

Server processes, database and this client share the machine; the client's share is printed. `--json` ends with one line
of JSON; `--corpus` is how many resources the searches have to find theirs among.
"""

from __future__ import annotations

import argparse
import json
import random
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import fhir_corpus
import fhir_load
import fhir_peer
from feldsher_cloud_api import db
from feldsher_cloud_api.synthetic.cli import transaction
from feldsher_cloud_api.synthetic.life import record
from feldsher_cloud_api.synthetic.region import Region, Resource
from fhir_load import Load
from fhir_site import Site, site

TODAY = date(2026, 11, 1)
READS, CREATES, SEARCHES, SEEN = 3000, 1500, 150, 200
BUNDLED = 60
"""Residents whose records are sent as transactions, each of some fifty resources."""
LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"


@dataclass(slots=True)
class Bench:
    """A running server, and what of the corpus questions are asked about."""

    site: Site
    region: Region
    known: Sequence[Resource]
    draw: random.Random
    out: dict[str, Any] = field(default_factory=dict[str, Any])

    def asked(self, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> bytes:
        """Return one request."""
        return fhir_load.request(method, f"{self.site.base}/fhir{path}", self.site.token, body, **headers)

    def run(self, requests: Sequence[bytes], connections: int = 8) -> tuple[Load, float, float]:
        """Send requests; return what came of them, and the processor ms of one: the server's and this client's."""
        server, client = self.site.cpu_s(), time.process_time()
        load = fhir_load.run("127.0.0.1", self.site.port, requests, connections)
        if len(load.seconds) < len(requests):
            raise SystemExit(f"{dict(load.statuses)}: {load.failed.decode(errors='replace')}")
        each = 1000 / len(requests)
        return load, (self.site.cpu_s() - server) * each, (time.process_time() - client) * each

    def note(self, name: str, requests: Sequence[bytes], unit: int = 1, connections: int = 8) -> None:
        """Send requests, print what they came to, and keep their rate; `unit`: how much of it one request is."""
        load, server, client = self.run(requests, connections)
        self.out[name] = round(load.per_s * unit)
        print(
            f"{name:26}{load.per_s * unit:10.0f}/s   p50 {load.percentile(0.5):7.2f}  p95 {load.percentile(0.95):7.2f}",
            end="",
        )
        print(f"  p99 {load.percentile(0.99):7.2f} ms   processor ms: server {server:.2f}, client {client:.2f}")

    def of(self, kind: str) -> list[Resource]:
        """Return the known resources of a type."""
        return [r for r in self.known if r["resourceType"] == kind]


def reads(bench: Bench) -> list[bytes]:
    """Return reads of resources drawn at random."""
    found = (bench.draw.choice(bench.known) for _ in range(READS))
    return [bench.asked(f"/{r['resourceType']}/{r['id']}") for r in found]


def creates(bench: Bench) -> list[bytes]:
    """Return creations of Observations like the known ones."""
    like = [{k: v for k, v in r.items() if k != "id"} for r in bench.of("Observation")]
    return [bench.asked("/Observation", "POST", db.dumps(bench.draw.choice(like))) for _ in range(CREATES)]


def bundles(bench: Bench, first: int) -> tuple[list[bytes], float]:
    """Return transactions of residents that are not there yet, and how many resources one holds on average."""
    sent = [transaction(list(record(bench.region, first + number))) for number in range(BUNDLED)]
    size = sum(len(b["entry"]) for b in sent) / len(sent)
    return [bench.asked("", "POST", db.dumps(b)) for b in sent], size


def _day(bench: Bench) -> str:
    return (TODAY - timedelta(days=bench.draw.randrange(5 * 365))).isoformat()


def questions(bench: Bench) -> dict[str, Callable[[], dict[str, str]]]:
    """Return by class of search what draws its parameters; the type is `_`."""
    people, draw = bench.of("Patient"), bench.draw

    def name() -> str:
        return draw.choice(people)["name"][0]["family"]

    def person() -> dict[str, str]:
        chosen = draw.choice(people)
        return {"_": "Patient", "name": chosen["name"][0]["family"], "birthdate": chosen["birthDate"]}

    def quantity() -> str:
        return f"gt{draw.uniform(7.5, 9.0):.2f}|{UCUM}|mmol/L"

    return {
        "string": lambda: {"_": "Patient", "name": name()},
        "name and birth date": person,
        "date": lambda: {"_": "Observation", "date": _day(bench)},
        "token": lambda: {"_": "Observation", "code": f"{LOINC}|{draw.choice(['8867-4', '718-7', '14647-2'])}"},
        "quantity": lambda: {"_": "Observation", "value-quantity": quantity()},
        "composite": lambda: {
            "_": "Observation",
            "component-code-value-quantity": f"{LOINC}|8480-6$gt{draw.randrange(150, 175)}",
        },
        "reference": lambda: {"_": "Observation", "subject": f"Patient/{draw.choice(people)['id']}"},
        "chained": lambda: {
            "_": "Condition",
            "subject:Patient.name": name(),
            "code": f"http://hl7.org/fhir/sid/icd-10|{draw.choice(['I10', 'E11.9'])}",
        },
    }


def searches(bench: Bench) -> None:
    """Ask every class of search, one after the other over one connection, and keep its p95 in milliseconds."""
    found = dict[str, float]()
    for name, drawn in questions(bench).items():
        asked = [drawn() for _ in range(SEARCHES)]
        sent = [bench.asked(f"/{a.pop('_')}?{urllib.parse.urlencode(a)}&_count=20") for a in asked]
        load, server, _ = bench.run(sent, connections=1)
        found[name] = round(load.percentile(0.95), 2)
        print(f"search {name:19}{'':12}   p50 {load.percentile(0.5):7.2f}  p95 {found[name]:7.2f} ms", end="")
        print(f"{'':17}processor ms: server {server:.2f}")
    bench.out["search_p95_ms"] = found


def visible(bench: Bench) -> None:
    """Measure from sending a write to its being read by another session, milliseconds at p99."""
    like = {k: v for k, v in bench.of("Observation")[0].items() if k != "id"}
    took = list[float]()
    for number in range(SEEN):
        tag = f"urn:example:bench|{number}"
        body = db.dumps(like | {"identifier": [{"system": "urn:example:bench", "value": str(number)}]})
        began = time.perf_counter()
        bench.run([bench.asked("/Observation", "POST", body)], 1)
        bench.run([bench.asked(f"/Observation?identifier={tag}")], 1)
        took.append(time.perf_counter() - began)
    bench.out["visible_p99_ms"] = round(1000 * sorted(took)[int(0.99 * SEEN)], 1)
    print(f"written and found by another session: p99 {bench.out['visible_p99_ms']} ms")


def steps(bench: Bench, first: int) -> Iterator[None]:
    """Measure one thing after the other."""
    bench.note("read_per_s", reads(bench))
    yield
    bench.note("create_per_s", creates(bench))
    yield
    sent, size = bundles(bench, first)
    bench.note("bundle_resources_per_s", sent, round(size), connections=4)
    yield
    searches(bench)
    yield
    visible(bench)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=int, default=20_000, help="resources stored before anything is measured")
    parser.add_argument("--processes", type=int, default=2, help="of the server")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args(argv)
    with site(options.processes) as running:
        region = Region(1, TODAY)
        known, residents, corpus = fhir_corpus.filled(running.database, region, options.corpus)
        bench = Bench(running, region, known, random.Random(1))  # noqa: S311 - nothing secret is drawn
        bench.out["corpus"] = corpus
        for _ in steps(bench, residents):
            pass
    bench.out |= fhir_peer.measured(known)
    if options.json:
        print(json.dumps(bench.out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
