-- name: trend
-- Blood pressure panels of a patient with the pulse of the same reading, newest first.
SELECT o.id::text, o.content ->> 'effectiveDateTime',
       app.component(o.content, '8480-6'), app.component(o.content, '8462-4'), app.component(o.content, '8478-0'),
       (p.content #>> '{valueQuantity,value}')::numeric,
       o.content #>> '{device,reference}', o.content #>> '{note,0,text}'
FROM fhir.observation o
LEFT JOIN LATERAL (
    SELECT content FROM fhir.observation p
    WHERE p.patient_id = o.patient_id AND p.date = o.date AND p.code && '{8867-4}' AND p.identifier && o.identifier
        AND p.identifier <> '{}'
    LIMIT 1
) p ON true
WHERE o.patient_id = :patient AND o.code && '{85354-9}'
  AND (:start::timestamptz IS NULL OR lower(o.date) >= :start) AND (:end::timestamptz IS NULL OR lower(o.date) < :end)
ORDER BY lower(o.date) DESC, o.id
LIMIT :limit;
