"""A region: its clinics with their staff, and residents, each of whom is the same for the same seed and number."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from functools import cache
from importlib import resources
from typing import Any
from uuid import UUID

from feldsher_ehr_core.ids import uuid7

Resource = dict[str, Any]

ZONE = timezone(timedelta(hours=5))
DEMO = "urn:feldsher:demo"
"""System of every identifier made here, so that nobody takes one for a person's."""
TAG = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST", "display": "test health data"}
_OLDEST = 95


@cache
def data() -> dict[str, Any]:
    """Return the names, frequencies and codes that lives are made of (region.toml)."""
    return tomllib.loads((resources.files(__package__ or "") / "region.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Clinic:
    """A clinic with its doctors (ids of Practitioner), in a town."""

    number: int
    id: UUID
    location: UUID
    town: str
    doctors: tuple[UUID, ...]


class Maker:
    """Draws of one seed, and resources with ids that are drawn too: of the time they tell of, as ours are."""

    def __init__(self, *seed: object) -> None:
        """Start the draws that belong to `seed`."""
        self.draw = random.Random("/".join(map(str, seed)))  # noqa: S311 - nothing secret is made

    def id(self, at: datetime) -> UUID:
        """Return a fresh UUIDv7."""
        return uuid7(max(0, int(at.timestamp() * 1000)), self.draw.randbytes(10))

    def resource(self, kind: str, at: datetime, **elements: Any) -> Resource:
        """Return a resource of a time; elements that are None are left out."""
        head: Resource = {"resourceType": kind, "id": str(self.id(at)), "meta": {"tag": [TAG]}}
        return head | {name: value for name, value in elements.items() if value is not None}


def moment(day: date, hour: int = 9, minute: int = 0) -> datetime:
    """Return a time of a day in the region."""
    return datetime.combine(day, time(hour, minute), ZONE)


def reference(resource: Resource) -> dict[str, str]:
    """Return a reference to a resource."""
    return {"reference": f"{resource['resourceType']}/{resource['id']}"}


def concept(system: str, code: str, display: str) -> dict[str, Any]:
    """Return a CodeableConcept of one coding."""
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


class Region:
    """Clinics and residents. `seed`: another seed is another region; `today`: until when lives are told."""

    def __init__(self, seed: int, today: date, clinics: int = 4) -> None:
        """Lay out the clinics."""
        self.seed, self.today = seed, today
        self._founded = moment(date(2000, 1, 1))
        self._directory = [r for number in range(clinics) for r in self._clinic(number)]
        self.clinics = tuple(self._laid_out())

    def directory(self) -> list[Resource]:
        """Return the organisations, places and staff, each after what it refers to."""
        return self._directory

    def _clinic(self, number: int) -> Iterator[Resource]:
        make = Maker(self.seed, "clinic", number)
        names, places = data()["names"], data()["places"]
        town = places["towns"][number % len(places["towns"])]
        organization = make.resource(
            "Organization",
            self._founded,
            identifier=[{"system": f"{DEMO}:clinic", "value": str(number)}],
            active=True,
            name=f"Поликлиника № {number + 1}, {town}",
        )
        location = make.resource(
            "Location",
            self._founded,
            status="active",
            name=f"{town}, главный корпус",
            managingOrganization=reference(organization),
        )
        yield from (organization, location)
        for code, display in places["specialties"] * 2:
            practitioner = make.resource(
                "Practitioner", self._founded, active=True, name=[_name(make, "female", names)], gender="female"
            )
            yield practitioner
            yield make.resource(
                "PractitionerRole",
                self._founded,
                active=True,
                practitioner=reference(practitioner),
                organization=reference(organization),
                location=[reference(location)],
                specialty=[concept("http://snomed.info/sct", code, display)],
            )

    def _laid_out(self) -> Iterator[Clinic]:
        of_kind = {k: [r for r in self._directory if r["resourceType"] == k] for k in ("Organization", "Location")}
        doctors = [UUID(r["id"]) for r in self._directory if r["resourceType"] == "Practitioner"]
        places, each = data()["places"]["towns"], len(doctors) // max(1, len(of_kind["Organization"]))
        for number, (organization, location) in enumerate(
            zip(of_kind["Organization"], of_kind["Location"], strict=True)
        ):
            own = tuple(doctors[number * each : (number + 1) * each])
            town = places[number % len(places)]
            yield Clinic(number, UUID(organization["id"]), UUID(location["id"]), town, own)

    def clinic_of(self, number: int) -> Clinic:
        """Return the clinic that a resident is attached to."""
        return self.clinics[number % len(self.clinics)]

    def patient(self, number: int) -> Resource:
        """Return one resident's Patient."""
        make, clinic, places = Maker(self.seed, "patient", number), self.clinic_of(number), data()["places"]
        draw = make.draw
        gender = draw.choice(("male", "female"))
        born = self.today - timedelta(days=int(draw.triangular(0, _OLDEST * 365, 45 * 365)))
        address = {
            "use": "home",
            "city": clinic.town,
            "country": "RU",
            "line": [f"ул. {draw.choice(places['streets'])}, {draw.randint(1, 120)}"],
            "postalCode": str(620000 + draw.randint(0, 999)),
        }
        return make.resource(
            "Patient",
            max(moment(born), self._founded),
            identifier=[{"system": f"{DEMO}:resident", "value": f"{number:08d}"}],
            active=True,
            name=[_name(make, gender, data()["names"])],
            telecom=[{"system": "phone", "value": f"+7 000 {draw.randint(0, 9_999_999):07d}", "use": "mobile"}],
            gender=gender,
            birthDate=born.isoformat(),
            address=[address],
            generalPractitioner=[{"reference": f"Practitioner/{draw.choice(clinic.doctors)}"}],
            managingOrganization={"reference": f"Organization/{clinic.id}"},
        )


def _name(make: Maker, gender: str, names: dict[str, list[str]]) -> dict[str, Any]:
    family, father = make.draw.choice(names["family"]), make.draw.choice(names["patronymic"])
    given = make.draw.choice(names[gender])
    if gender == "female":
        family, father = family + "а", father + "на"
    else:
        father += "ич"
    return {"use": "official", "text": f"{family} {given} {father}", "family": family, "given": [given, father]}
