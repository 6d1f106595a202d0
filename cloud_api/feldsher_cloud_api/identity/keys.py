"""The keys under which a Patient is found by $match, as terms of its row beside those of its search parameters."""

from __future__ import annotations

from typing import Any

from feldsher_ehr_core import identity
from feldsher_ehr_core.identity import Traits

from feldsher_cloud_api.fhir.forms import term
from feldsher_cloud_api.identity.traits import traits


def of_patient(patient: dict[str, Any]) -> set[int]:
    """Return the terms of a Patient's own keys."""
    return {term(f"match={key}") for key in identity.keys(traits(patient))}


def of_question(asked: Traits) -> list[int]:
    """Return the terms under which records that may be meant stand."""
    return [term(f"match={key}") for key in identity.keys(asked, asking=True)]
