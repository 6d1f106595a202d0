-- name: recording_of^
-- The recording that a report interprets, and the later engine whose interpretation it shows, if any.
SELECT recording, reinterpreted_by FROM fhir.diagnosticreport WHERE id = :report AND recording IS NOT NULL;
