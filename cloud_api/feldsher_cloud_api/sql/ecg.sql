-- name: recording_id$
-- The recording that a report interprets.
SELECT recording FROM fhir.diagnosticreport WHERE id = :report;
