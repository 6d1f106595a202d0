-- name: trend
-- Blood pressure panels of a patient in mmHg with the pulse of the same reading, newest first by the best known time.
-- Quantities and the time as sent stand beside them where they were converted or corrected.
SELECT o.id::text, coalesce(c.at, o.content ->> 'effectiveDateTime'),
       app.component(o.content, '8480-6'), app.component(o.content, '8462-4'), app.component(o.content, '8478-0'),
       (p.content #>> '{valueQuantity,value}')::numeric,
       o.content #>> '{device,reference}', o.content #>> '{note,0,text}',
       CASE WHEN c.at IS NOT NULL THEN o.content ->> 'effectiveDateTime' ELSE w.at END, s.sent
FROM fhir.observation o
CROSS JOIN LATERAL (
    SELECT jsonb_path_query_first(
        o.content, '$.extension[*] ? (@.url == "urn:feldsher:time-as-sent").valueDateTime') #>> '{}' AS at
) w
CROSS JOIN LATERAL (  -- as versions before 0.3 said it: the effective time as sent, the corrected one beside it
    SELECT jsonb_path_query_first(
        o.content, '$.extension[*] ? (@.url == "urn:feldsher:corrected-time").valueDateTime') #>> '{}' AS at
) c
CROSS JOIN LATERAL (
    SELECT string_agg(q #>> '{value}', '/') || ' ' || min(q #>> '{unit}') AS sent
    FROM jsonb_path_query(
        o.content, '$.component[*].extension[*] ? (@.url == "urn:feldsher:as-sent").valueQuantity') q
) s
LEFT JOIN LATERAL (
    SELECT content FROM fhir.observation p
    WHERE p.patient_id = o.patient_id AND p.date = o.date AND p.terms && ARRAY[fhir.term('code=8867-4')]
        AND p.terms && ARRAY(SELECT fhir.term(concat('identifier=', i ->> 'system', '|', i ->> 'value'))
                             FROM jsonb_array_elements(o.content -> 'identifier') i)
    LIMIT 1
) p ON true
CROSS JOIN LATERAL (SELECT coalesce(c.at::timestamptz, lower(o.date)) AS best) t
WHERE o.patient_id = :patient AND o.terms && ARRAY[fhir.term('code=85354-9')]
  AND (:start::timestamptz IS NULL OR t.best >= :start) AND (:end::timestamptz IS NULL OR t.best < :end)
ORDER BY t.best DESC, o.id
LIMIT :limit;
