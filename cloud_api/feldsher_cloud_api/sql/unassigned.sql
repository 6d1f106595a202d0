-- name: waiting
-- What belongs to nobody, oldest first; of a recording also the order that it names.
SELECT u.id, u.kind, u.resource, d.address, u.gateway, u.measured_at, u.reason, e.order_id
FROM cloud.unassigned u
LEFT JOIN cloud.device d ON d.id = u.device
LEFT JOIN public.ecg_recording e ON u.kind = 'ecg' AND e.id = u.id
WHERE u.resolved_at IS NULL ORDER BY u.measured_at, u.id;

-- name: entry^
-- One entry of the queue, locked: kind, resource, and whether it is resolved.
SELECT kind, resource, resolved_at IS NOT NULL FROM cloud.unassigned WHERE id = :id FOR UPDATE;

-- name: observations
-- The Observations of one reading.
SELECT id FROM fhir.observation WHERE terms && ARRAY[fhir.term('identifier=urn:feldsher:reading|' || :reading::text)] ORDER BY id;

-- name: provenances
-- The Provenance of resources.
SELECT id FROM fhir.provenance
WHERE terms && ARRAY(SELECT fhir.term('target=' || r) FROM unnest(:references::text[]) r) ORDER BY id;

-- name: resolve!
-- An entry of the queue has found its patient.
UPDATE cloud.unassigned SET resolved_at = :now, resolved_by = :person WHERE id = :id;

-- name: staff^
-- A person of the clinic by the name under which they sign in.
SELECT id, role, display, practitioner FROM cloud.person WHERE username = lower(:username) AND disabled_at IS NULL;
