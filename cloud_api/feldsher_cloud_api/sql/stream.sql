-- name: expect!
-- A continuous ECG is evaluated when it has ended.
INSERT INTO cloud.stream_report (stream) VALUES (:stream) ON CONFLICT DO NOTHING;

-- name: turn$
-- Let one worker at a time evaluate.
SELECT pg_try_advisory_xact_lock(hashtext('stream_report'));

-- name: due$
-- A continuous ECG of which nothing has come for a while and which was not evaluated since, or whose clock was set right.
SELECT stream FROM (
    SELECT r.stream, s.received_at FROM cloud.stream_report r JOIN public.ecg_stream s USING (stream)
    WHERE r.received_at = '-infinity' AND s.received_at < clock_timestamp() - :quiet * interval '1 second'
    UNION ALL
    SELECT r.stream, s.received_at FROM public.ecg_stream s JOIN cloud.stream_report r USING (stream)
    WHERE s.received_at < clock_timestamp() - :quiet * interval '1 second'
      AND s.received_at > clock_timestamp() - interval '30 days' AND r.received_at > '-infinity'
      AND (r.received_at < s.received_at OR (r.taken_from, r.taken_until) <> (s.taken_from, s.taken_until))) x
ORDER BY received_at, stream LIMIT 1;

-- name: evaluated!
-- What was made of a continuous ECG.
UPDATE cloud.stream_report SET received_at = :received, taken_from = :taken_from, taken_until = :taken_until,
    made_at = :now, report = :report::jsonb, why = :why
WHERE stream = :stream;

-- name: signed!
-- What came after a doctor had signed changes nothing.
UPDATE cloud.stream_report SET received_at = :received, taken_from = :taken_from, taken_until = :taken_until
WHERE stream = :stream;

-- name: evaluation^
-- What was made of a continuous ECG: the report as JSON text, and why there is none.
SELECT report::text, why FROM cloud.stream_report WHERE stream = :stream;

-- name: others$
-- Whether somebody else than a patient had a device within a time.
SELECT EXISTS (SELECT FROM cloud.device_assignment WHERE device = :device AND patient <> :patient
               AND during && tstzrange(:start::timestamptz, :until::timestamptz));

-- name: stream_of$
-- The continuous ECG that a report is about.
SELECT s.stream FROM fhir.diagnosticreport d JOIN public.ecg_stream s ON s.stream = d.recording WHERE d.id = :report;
