"""Where resources of each type are kept, and who may see them at all: a table per type of care, one for all others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from feldsher_cloud_api.fhir.r4 import SearchParameter, definitions

Scope = Literal["compartment", "directory", "device", "staff"]

CARE = tuple(
    """Account ActivityDefinition AllergyIntolerance Appointment AppointmentResponse AuditEvent Basic Binary CarePlan
    CareTeam ChargeItem ChargeItemDefinition Claim ClaimResponse ClinicalImpression CodeSystem Communication
    CommunicationRequest Composition ConceptMap Condition Consent Coverage DetectedIssue Device DeviceDefinition
    DeviceMetric DeviceRequest DeviceUseStatement DiagnosticReport DocumentReference Encounter EpisodeOfCare
    ExplanationOfBenefit FamilyMemberHistory Flag Goal Group HealthcareService ImagingStudy Immunization Invoice
    List Location Measure MeasureReport Media Medication MedicationAdministration MedicationDispense
    MedicationKnowledge MedicationRequest MedicationStatement Observation Organization Patient Person
    PlanDefinition Practitioner PractitionerRole Procedure Provenance Questionnaire QuestionnaireResponse
    RelatedPerson RequestGroup RiskAssessment Schedule ServiceRequest Slot Specimen Subscription Task
    ValueSet""".split()  # noqa: SIM905 - a list of names is read as one
)
"""The types with tables of their own (issue 6: those that care uses)."""
_DIRECTORY = frozenset(
    """ActivityDefinition CapabilityStatement CatalogEntry ChargeItemDefinition CodeSystem CompartmentDefinition
    ConceptMap DeviceDefinition EffectEvidenceSynthesis Endpoint EventDefinition Evidence EvidenceVariable
    ExampleScenario GraphDefinition HealthcareService ImplementationGuide InsurancePlan Library Location Measure
    Medication MedicationKnowledge MedicinalProduct MedicinalProductAuthorization MedicinalProductContraindication
    MedicinalProductIndication MedicinalProductIngredient MedicinalProductInteraction MedicinalProductManufactured
    MedicinalProductPackaged MedicinalProductPharmaceutical MedicinalProductUndesirableEffect MessageDefinition
    NamingSystem ObservationDefinition OperationDefinition Organization OrganizationAffiliation PlanDefinition
    Practitioner PractitionerRole Questionnaire ResearchDefinition ResearchElementDefinition RiskEvidenceSynthesis
    Schedule SearchParameter Slot SpecimenDefinition StructureDefinition StructureMap Substance
    SubstanceNucleicAcid SubstancePolymer SubstanceProtein SubstanceReferenceInformation SubstanceSourceMaterial
    SubstanceSpecification TerminologyCapabilities TestScript ValueSet""".split()  # noqa: SIM905 - as above
)
_LEADS = {"Task": ("patient",)}
"""What leads to a patient beside the standard's compartment."""
_OF_CARE = frozenset({"Binary"})
"""Of somebody, though no search parameter leads there."""
OWN: dict[str, dict[str, SearchParameter]] = {
    "DiagnosticReport": {
        "critical": SearchParameter("token", "DiagnosticReport.extension('urn:feldsher:critical').value")
    },
    "Flag": {"status": SearchParameter("token", "Flag.status")},  # of R5; R4 has none
}
"""Search parameters that R4 lacks and this server has."""
LETTERS: dict[Scope, str] = {"compartment": "c", "directory": "d", "device": "v", "staff": "s"}


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One resource type: its table (with `_history`), who may see it, its search parameters and its date columns.

    `leads`: the search parameters whose references say in which patients' compartments a resource lies.
    """

    name: str
    table: str
    scope: Scope
    search: dict[str, SearchParameter]
    dates: tuple[str, ...]
    leads: tuple[str, ...]

    @property
    def shared(self) -> bool:
        """Whether other types are kept in the same table: its column `type` tells them apart."""
        return self.table == "other"

    @property
    def letter(self) -> str:
        """The class of visibility as tables keep it."""
        return LETTERS[self.scope]


def column(parameter: str) -> str:
    """Return the column that holds the ranges of a date parameter."""
    return parameter.replace("-", "_")


def scope(name: str) -> Scope:
    """Return who may see a type at all."""
    if name in _DIRECTORY:
        return "directory"
    if name == "Device":
        return "device"
    ours = name in definitions().compartment or name in _LEADS or name in _OF_CARE
    return "compartment" if ours and name != "Group" else "staff"


@cache
def kinds() -> dict[str, Kind]:
    """Return all resource types that can be stored, by name."""
    of = definitions()
    common = of.search["Resource"] | of.search.get("DomainResource", {})
    out: dict[str, Kind] = {}
    for name in of.resources:
        search = common | of.search.get(name, {}) | OWN.get(name, {})
        dates = tuple(sorted(column(n) for n, p in search.items() if p.kind == "date" and n != "_lastUpdated"))
        table = name.lower() if name in CARE else "other"
        leads = of.compartment.get(name, ()) + _LEADS.get(name, ())
        out[name] = Kind(name, table, scope(name), search, dates, leads if scope(name) == "compartment" else ())
    return out


@cache
def kind(name: str) -> Kind:
    """Return a resource type; KeyError where R4 has none of this name."""
    return kinds()[name]
