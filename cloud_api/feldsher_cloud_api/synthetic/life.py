"""A resident's record: years of visits with what was found, prescribed and planned at them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from feldsher_cloud_api.synthetic.region import Clinic, Maker, Region, Resource, concept, data, moment, reference

LOINC, UCUM, ICD10, ATC = (
    "http://loinc.org",
    "http://unitsofmeasure.org",
    "http://hl7.org/fhir/sid/icd-10",
    "http://www.whocc.no/atc",
)
_HL7 = "http://terminology.hl7.org/CodeSystem"
YEARS = 5
"""How far back a record goes."""


def record(region: Region, number: int) -> Iterator[Resource]:
    """Yield one resident's resources, each after what it refers to, the Patient first."""
    patient = region.patient(number)
    yield patient
    yield from _Life(region, number, patient).told()


class _Life:
    def __init__(self, region: Region, number: int, patient: Resource) -> None:
        self.make = Maker(region.seed, "life", number)
        self.draw = self.make.draw
        self.clinic: Clinic = region.clinic_of(number)
        self.today = region.today
        self.born = date.fromisoformat(patient["birthDate"])
        self.subject = reference(patient)
        self.general: str = patient["generalPractitioner"][0]["reference"]
        self.age = (self.today - self.born).days / 365.25

    def told(self) -> Iterator[Resource]:
        """Yield everything but the Patient."""
        began = max(self.born, self.today - timedelta(days=YEARS * 365))
        chronic = [c for c in data()["chronic"] if self.draw.random() < self._chance(c)]
        yield from self._standing(began, chronic)
        visits = max(1, round((2 if chronic else 1) * YEARS * self.draw.uniform(0.3, 1.2)))
        days = sorted(
            self.draw.sample(range((self.today - began).days + 1), min(visits, (self.today - began).days + 1))
        )
        for day in days:
            yield from self._visit(began + timedelta(days=day), chronic)

    def _chance(self, chronic: dict[str, Any]) -> float:
        share = min(1.0, max(0.0, (self.age - 20) / 60))
        return chronic["young"] + share * (chronic["old"] - chronic["young"]) if self.age >= 18 else 0.0

    def _standing(self, began: date, chronic: list[dict[str, Any]]) -> Iterator[Resource]:
        """Yield what does not belong to one visit: insurance, allergies, chronic diagnoses with drugs and a plan."""
        at = moment(began, 8)
        payor = [{"reference": f"Organization/{self.clinic.id}"}]
        yield self.make.resource("Coverage", at, status="active", beneficiary=self.subject, payor=payor)
        if self.draw.random() < 0.1:
            yield self.make.resource(
                "AllergyIntolerance",
                at,
                clinicalStatus=concept(f"{_HL7}/allergyintolerance-clinical", "active", "Active"),
                verificationStatus=concept(f"{_HL7}/allergyintolerance-verification", "confirmed", "Confirmed"),
                code=concept(ATC, "J01C", "Penicillins"),
                patient=self.subject,
                recordedDate=at.isoformat(),
            )
        conditions = [self._condition(at, c["code"], c["display"], active=True) for c in chronic]
        yield from conditions
        for of, condition in zip(chronic, conditions, strict=True):
            yield self._prescription(at, of["drug"], condition)
        if conditions:
            yield self.make.resource(
                "CarePlan",
                at,
                status="active",
                intent="plan",
                subject=self.subject,
                period={"start": began.isoformat()},
                addresses=[reference(c) for c in conditions],
                author={"reference": self.general},
            )

    def _visit(self, day: date, chronic: list[dict[str, Any]]) -> Iterator[Resource]:
        at = moment(day, self.draw.randint(8, 17), self.draw.choice((0, 15, 30, 45)))
        doctor = self.general if self.draw.random() < 0.8 else f"Practitioner/{self.draw.choice(self.clinic.doctors)}"
        encounter = self.make.resource(
            "Encounter",
            at,
            status="finished",
            **{"class": {"system": f"{_HL7}/v3-ActCode", "code": "AMB", "display": "ambulatory"}},
            subject=self.subject,
            participant=[{"individual": {"reference": doctor}}],
            period={"start": at.isoformat(), "end": (at + timedelta(minutes=15)).isoformat()},
            serviceProvider={"reference": f"Organization/{self.clinic.id}"},
        )
        yield encounter
        yield from self._vitals(at, encounter, doctor, high=any(c["code"] == "I10" for c in chronic))
        if self.draw.random() < 0.5:
            acute = self.draw.choices(data()["acute"], [a["weight"] for a in data()["acute"]])[0]
            yield self._condition(at, acute["code"], acute["display"], active=False, encounter=encounter)
        if chronic or self.age > 40:
            yield from self._laboratory(at, encounter, doctor)
        for vaccine in data()["vaccine"]:
            if self.draw.random() < vaccine["chance"] / 2:
                yield self.make.resource(
                    "Immunization",
                    at,
                    status="completed",
                    vaccineCode=concept("http://hl7.org/fhir/sid/cvx", vaccine["code"], vaccine["display"]),
                    patient=self.subject,
                    encounter=reference(encounter),
                    occurrenceDateTime=at.isoformat(),
                )

    def _condition(
        self, at: datetime, code: str, display: str, *, active: bool, encounter: Resource | None = None
    ) -> Resource:
        status = ("active", "Active") if active else ("resolved", "Resolved")
        return self.make.resource(
            "Condition",
            at,
            clinicalStatus=concept(f"{_HL7}/condition-clinical", *status),
            verificationStatus=concept(f"{_HL7}/condition-ver-status", "confirmed", "Confirmed"),
            category=[concept(f"{_HL7}/condition-category", "encounter-diagnosis", "Encounter Diagnosis")],
            code=concept(ICD10, code, display),
            subject=self.subject,
            encounter=reference(encounter) if encounter else None,
            onsetDateTime=at.isoformat(),
            abatementDateTime=None if active else (at + timedelta(days=10)).isoformat(),
            recordedDate=at.isoformat(),
        )

    def _prescription(self, at: datetime, drug: list[Any], condition: Resource) -> Resource:
        code, name, dose = drug
        quantity = {"value": dose, "unit": "mg", "system": UCUM, "code": "mg"}
        repeat = {"frequency": 1, "period": 1, "periodUnit": "d"}
        return self.make.resource(
            "MedicationRequest",
            at,
            status="active",
            intent="order",
            medicationCodeableConcept=concept(ATC, code, name),
            subject=self.subject,
            authoredOn=at.isoformat(),
            requester={"reference": self.general},
            reasonReference=[reference(condition)],
            dosageInstruction=[{"timing": {"repeat": repeat}, "doseAndRate": [{"doseQuantity": quantity}]}],
        )

    def _vitals(self, at: datetime, encounter: Resource, doctor: str, *, high: bool) -> Iterator[Resource]:
        systolic = round(self.draw.gauss(142 if high else 122, 13))
        diastolic = round(systolic * self.draw.uniform(0.58, 0.68))
        pressure = [
            {"code": concept(LOINC, code, display), "valueQuantity": _quantity(Decimal(value), "mm[Hg]")}
            for code, display, value in (
                ("8480-6", "Systolic blood pressure", systolic),
                ("8462-4", "Diastolic blood pressure", diastolic),
            )
        ]
        code = concept(LOINC, "85354-9", "Blood pressure panel with all children optional")
        yield self._observation(at, "vital-signs", code, encounter, doctor, component=pressure)
        for vital in data()["vital"]:
            if self.draw.random() < vital["chance"]:
                yield self._measured(at, "vital-signs", vital, encounter, doctor)

    def _laboratory(self, at: datetime, encounter: Resource, doctor: str) -> Iterator[Resource]:
        for panel in data()["panel"]:
            if self.draw.random() > 1 / 2:
                continue
            results = list[Resource]()
            for code, display, unit, mean, sd, digits in panel["results"]:
                of = {"code": code, "display": display, "unit": unit, "mean": mean, "sd": sd, "digits": digits}
                results.append(self._measured(at, "laboratory", of, encounter, doctor))
            yield from results
            yield self.make.resource(
                "DiagnosticReport",
                at,
                status="final",
                category=[concept(f"{_HL7}/v2-0074", "LAB", "Laboratory")],
                code=concept(LOINC, panel["code"], panel["display"]),
                subject=self.subject,
                encounter=reference(encounter),
                effectiveDateTime=at.isoformat(),
                issued=(at + timedelta(hours=5)).isoformat(),
                result=[reference(r) for r in results],
            )

    def _measured(self, at: datetime, category: str, of: dict[str, Any], encounter: Resource, doctor: str) -> Resource:
        drawn = max(of["mean"] / 4, self.draw.gauss(of["mean"], of["sd"]))
        value = _quantity(Decimal(f"{drawn:.{of['digits']}f}"), of["unit"])
        code = concept(LOINC, of["code"], of["display"])
        return self._observation(at, category, code, encounter, doctor, valueQuantity=value)

    def _observation(
        self, at: datetime, category: str, code: dict[str, Any], encounter: Resource, doctor: str, **value: Any
    ) -> Resource:
        display = {"vital-signs": "Vital Signs", "laboratory": "Laboratory"}[category]
        return self.make.resource(
            "Observation",
            at,
            status="final",
            category=[concept(f"{_HL7}/observation-category", category, display)],
            code=code,
            subject=self.subject,
            encounter=reference(encounter),
            effectiveDateTime=at.isoformat(),
            performer=[{"reference": doctor}],
            **value,
        )


def _quantity(value: Decimal, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}
