-- name: alone
-- One sealer at a time. A statement of its own: the one that seals must begin, and so see, after the lock is held.
SELECT pg_advisory_xact_lock(7309);

-- name: seal$
-- Seal all unsealed events as the next link of the chain; 0 where there are none.
WITH fresh AS MATERIALIZED (
    SELECT id FROM fhir.auditevent WHERE seal IS NULL ORDER BY id LIMIT 10000
), last AS (
    SELECT coalesce(max(number), 0) AS number,
           coalesce((SELECT hash FROM cloud.audit_seal ORDER BY number DESC LIMIT 1), '\x') AS hash
    FROM cloud.audit_seal
), linked AS (
    SELECT sha256(last.hash || string_agg(sha256(convert_to(e.id::text || e.content::text, 'UTF8')), ''::bytea ORDER BY e.id))
               AS hash, last.hash AS previous, last.number + 1 AS number, count(*) AS events
    FROM last, fresh JOIN fhir.auditevent e ON e.id = fresh.id
    GROUP BY last.hash, last.number
), added AS (
    INSERT INTO cloud.audit_seal (number, previous, hash, events)
    SELECT number, previous, hash, events FROM linked RETURNING number, events
), marked AS (
    UPDATE fhir.auditevent e SET seal = added.number FROM added, fresh WHERE e.id = fresh.id RETURNING 1
)
SELECT count(*) FROM marked;

-- name: broken
-- Numbers of seals whose hash, predecessor or number of events does not fit what is stored, and of missing seals.
WITH found AS (
    SELECT s.number, s.previous, s.hash, s.events, count(e.id) AS present,
           sha256(s.previous || coalesce(
               string_agg(sha256(convert_to(e.id::text || e.content::text, 'UTF8')), ''::bytea ORDER BY e.id), '\x')) AS now,
           lag(s.hash, 1, '\x'::bytea) OVER (ORDER BY s.number) AS before,
           row_number() OVER (ORDER BY s.number) AS place
    FROM cloud.audit_seal s LEFT JOIN fhir.auditevent e ON e.seal = s.number
    GROUP BY s.number
)
SELECT number FROM found WHERE hash <> now OR previous <> before OR events <> present OR number <> place
UNION
SELECT DISTINCT e.seal FROM fhir.auditevent e WHERE e.seal IS NOT NULL
    AND NOT EXISTS (SELECT FROM cloud.audit_seal s WHERE s.number = e.seal)
ORDER BY 1;

-- name: counts^
-- How many seals, events and unsealed events there are.
SELECT (SELECT count(*) FROM cloud.audit_seal), count(*), count(*) FILTER (WHERE seal IS NULL) FROM fhir.auditevent;
