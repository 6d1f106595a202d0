"""The compiled definitions are R4's."""

from __future__ import annotations

from feldsher_cloud_api.fhir.r4 import definitions


def test_every_type_of_the_standard_is_there() -> None:
    of = definitions()
    assert len(of.resources) == 146
    assert sum(not each.abstract and each.kind == "complex" for each in of.types.values()) == 39
    assert len(of.compartment) == 66


def test_elements_include_what_a_type_inherits() -> None:
    of = definitions().types
    assert list(of["Patient"].elements)[:8] == [
        "id",
        "meta",
        "implicitRules",
        "language",
        "text",
        "contained",
        "extension",
        "modifierExtension",
    ]
    assert of["Patient"].elements["gender"].codes == "administrative-gender"
    assert of["Patient"].elements["deceased"].choice
    assert of["Questionnaire.item"].elements["item"].types == ("Questionnaire.item",)
    assert of["Age"].elements["value"].types == ("decimal",)


def test_every_type_that_an_element_names_exists() -> None:
    of = definitions()
    primitive = {
        "base64Binary",
        "boolean",
        "canonical",
        "code",
        "date",
        "dateTime",
        "decimal",
        "id",
        "instant",
        "integer",
    }
    primitive |= {"markdown", "oid", "positiveInt", "string", "time", "unsignedInt", "uri", "url", "uuid", "xhtml"}
    named = {kind for each in of.types.values() for element in each.elements.values() for kind in element.types}
    assert named - primitive - set(of.types) == set()
    bound = {element.codes for each in of.types.values() for element in each.elements.values()} - {""}
    assert bound == set(of.codes)


def test_search_parameters_speak_of_their_own_type() -> None:
    search = definitions().search
    assert search["Patient"]["name"].expression == "Patient.name"
    assert search["Observation"]["code-value-quantity"].components[1].name == "value-quantity"
    assert search["Observation"]["subject"].targets == {"Group", "Device", "Patient", "Location"}
    assert search["Resource"]["_lastUpdated"].kind == "date"
