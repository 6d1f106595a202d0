"""The record: a FHIR R4 (4.0.1) server."""
