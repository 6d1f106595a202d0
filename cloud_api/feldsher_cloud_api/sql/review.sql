-- name: report^
-- The report of a recording and the later engine that it shows, if any; locked, so that nobody signs it meanwhile.
SELECT id, reinterpreted_by FROM fhir.diagnosticreport WHERE recording = :recording FOR UPDATE;

-- name: awaited$
-- Whether a recording's own event is still to be projected.
SELECT EXISTS (SELECT FROM public.event WHERE kind = 'ecg' AND message_id = :recording AND done_at IS NULL);

-- name: lock
-- Lets one person at a time end a Task.
SELECT FROM fhir.task WHERE id = :task FOR UPDATE;

-- name: counts^
-- What a run of re-interpretation came to in the record: reports, of patients, that differ; of them signed; reviews.
SELECT count(*) FILTER (WHERE i.differs) AS reports,
       count(DISTINCT d.patient_id) FILTER (WHERE i.differs) AS patients,
       count(*) FILTER (WHERE i.differs AND d.patient_id IS NULL) AS of_nobody,
       count(*) FILTER (WHERE i.differs AND d.terms && ARRAY[fhir.term('status=final'), fhir.term('status=amended'), fhir.term('status=corrected'),
                fhir.term('status=appended')]) AS signed,
       count(*) FILTER (WHERE i.new_critical <> '{}') AS critical_reports,
       count(DISTINCT d.patient_id) FILTER (WHERE i.new_critical <> '{}') AS critical_patients,
       count(*) FILTER (WHERE d.reinterpreted_by = i.engine) AS applied
FROM public.ecg_interpretation i JOIN fhir.diagnosticreport d ON d.recording = i.recording
WHERE i.run = :run AND i.failed IS NULL;

-- name: reviews^
-- The reviews that a run of re-interpretation asked for, and how many of them are open.
SELECT count(*), count(*) FILTER (WHERE t.terms && ARRAY[fhir.term('status=requested')])
FROM public.ecg_interpretation i
CROSS JOIN LATERAL unnest(i.new_critical) AS said(statement)
JOIN fhir.task t ON t.terms && ARRAY[fhir.term('identifier=urn:feldsher:review|' || i.recording || '/' || said.statement)]
WHERE i.run = :run;

-- name: run^
-- A run of re-interpretation.
SELECT run, engine FROM public.replay_run WHERE run = :run;
