"""Bulk data (hl7.org/fhir/uv/bulkdata/STU2): export as NDJSON, asked for, written in the background, fetched."""
