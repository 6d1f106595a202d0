-- Individual limits of patients, every version of each (ingest's watch_limit).

-- name: every
-- A patient's limits with all versions, the newest of each first; a version that never held is not told.
SELECT id, version, rule::text, severity, zone, lower(during), upper(during), review_at, set_by, set_at, ended_by, ended_at
FROM public.watch_limit WHERE subject = :patient AND NOT isempty(during) ORDER BY id, version DESC;

-- name: whose^
-- Whose a limit is that may be seen.
SELECT subject FROM public.watch_limit WHERE id = :id ORDER BY version LIMIT 1;

-- name: put$
-- Set a limit from a time on; what held of it from then on ends. Returns the version.
SELECT public.watch_set_limit(:id, :patient, :rule::jsonb, :severity, :zone, tstzrange(:start, :until), :review, :person);

-- name: end$
-- End a limit at a time; returns how many versions that cut short.
SELECT public.watch_end_limit(:id, :at, :person);
