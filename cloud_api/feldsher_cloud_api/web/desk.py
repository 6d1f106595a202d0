"""One page's work on the record: every search and read is permitted first; what was shown is audited at the end."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from feldsher_cloud_api import access, audit, db
from feldsher_cloud_api.access import Principal, Reach
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir import search, store
from feldsher_cloud_api.fhir.store import Stored


@dataclass(slots=True)
class Desk:
    """The record as one person sees it in one transaction; `seen`: references shown so far, by patient."""

    of: Context
    who: Principal
    connection: db.Connection
    reach: Reach
    searched: bool = False
    seen: dict[UUID | None, list[str]] = field(default_factory=dict[UUID | None, list[str]])

    def search(self, kind: str, **parameters: str) -> list[Stored]:
        """Return what a FHIR search finds; `_` in a parameter's name inside a word stands for `-`."""
        return self.page(kind, None, **parameters)[0]

    def page(
        self, kind: str, after: Sequence[str] | None, **parameters: str
    ) -> tuple[list[Stored], list[str] | None, int | None]:
        """Return a page of a FHIR search: what stands after a place, the place after that, the total if asked for."""
        access.permit(self.who, kind, "search")
        pairs = [(n if n.startswith("_") else n.replace("_", "-"), v) for n, v in parameters.items()]
        query = search.understand(kind, pairs, self.of.settings.fhir_base)
        found, place, total = search.run(self.connection, query, self.reach, after=list(after) if after else None)
        self.searched = True
        for stored in found:
            self.note(kind, stored.patient, [stored.id])
        return found, place, total

    def part(self, kind: str, **parameters: str) -> tuple[list[Stored], int]:
        """Return the first page of a FHIR search and how many rows it would find in all."""
        found, _, total = self.page(kind, None, **parameters, _total="accurate")
        return found, total if total is not None else len(found)

    def read(self, kind: str, identity: UUID) -> Stored:
        """Return one resource; FhirError 404 where there is none within reach."""
        access.permit(self.who, kind, "read")
        stored = store.read(self.connection, kind, identity, self.reach)
        self.note(kind, stored.patient, [stored.id])
        return stored

    def picture(self, identity: UUID) -> bytes:
        """Return the bytes of a Binary; FhirError 404 where there is none within reach."""
        access.permit(self.who, "Binary", "read")
        data, stored = store.picture(self.connection, identity, self.reach)
        self.note("Binary", stored.patient, [identity])
        return data

    def unshown(self) -> None:
        """Forget what was looked up: the reader already sees it and nothing new is shown."""
        self.seen.clear()

    def note(self, kind: str, patient: UUID | None, ids: Iterable[object]) -> None:
        """Remember that resources of a patient are shown."""
        if patient is None and kind not in access.CLINICAL:
            return  # a device or a colleague: nothing clinical is shown
        references = self.seen.setdefault(patient, [])
        if kind != "Patient":
            references += [f"{kind}/{i}" for i in ids]

    def settle(self) -> None:
        """Write one audit event for each patient of whom something was shown, and one for what is nobody's yet."""
        interaction, action = ("search-type", "E") if self.searched else ("read", "R")
        now = self.of.settings.clock()
        for patient, references in self.seen.items():
            if patient is None and not references:
                continue
            audit.record(
                self.connection,
                self.who,
                interaction=interaction,
                action=action,
                now=now,
                resources=dict.fromkeys(references),
                patient=patient,
            )


@contextmanager
def desk(of: Context, who: Principal) -> Generator[Desk]:
    """Open the one transaction of a page; it commits, with its audit events, where the block ends well."""
    with access.asking(of.pool, who) as connection:
        opened = Desk(of, who, connection, access.reach(connection, who))
        yield opened
        opened.settle()
