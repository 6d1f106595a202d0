-- name: know_gateway!
-- A gateway that speaks is known, also where it was certified elsewhere.
INSERT INTO cloud.gateway (id, name, state) VALUES (:gateway, :gateway, 'unknown') ON CONFLICT (id) DO NOTHING;

-- name: know_device!
-- Register a device at first sight; what was unknown gets its kind once that is seen.
INSERT INTO cloud.device (id, address, kind, model) VALUES (:id, :address, :kind, :model)
ON CONFLICT (address) DO UPDATE SET kind = excluded.kind
WHERE cloud.device.kind = 'unknown' AND excluded.kind <> 'unknown';

-- name: saw_device!
-- A gateway has heard of a device.
INSERT INTO cloud.gateway_device (gateway, device, local_name, last_seen) VALUES (:gateway, :device, :local_name, :now)
ON CONFLICT (gateway, device) DO UPDATE SET last_seen = greatest(cloud.gateway_device.last_seen, excluded.last_seen);

-- name: queue_unassigned!
-- What belongs to nobody waits for staff.
INSERT INTO cloud.unassigned (id, kind, resource, device, gateway, measured_at, reason)
VALUES (:id, :kind, :resource, :device, :gateway, :at, :reason) ON CONFLICT (id) DO NOTHING;

-- name: waiting
-- What of a gateway waits for staff for one reason: its id and device.
SELECT id, device FROM cloud.unassigned
WHERE gateway = :gateway AND kind = :kind AND reason = :reason AND resolved_at IS NULL ORDER BY id FOR UPDATE;

-- name: settle!
-- What is known now of a measurement that waited: its time, and whether it still waits and why.
UPDATE cloud.unassigned SET measured_at = :at, reason = :reason, resolved_at = :resolved WHERE id = :id;

-- name: command^
-- To which gateway an order went and until when it holds; locked, so that what becomes of it is decided once.
SELECT gateway, expires_at FROM cloud.gateway_command WHERE order_id = :order FOR UPDATE;

-- name: part_of_order$
-- Whether another part of an original, by its SHA-256 in base64, has fulfilled an order through a gateway.
SELECT EXISTS (SELECT FROM public.ecg_recording r JOIN fhir.diagnosticreport d ON d.id = r.id
               WHERE r.order_id = :order AND r.gateway = :gateway AND r.id <> :recording
                 AND r.origin ->> 'sha256' = :sha256 AND d.patient_id = :patient);

-- name: acknowledge!
-- The gateway has answered: the command is not published again. What has ended stays as it ended.
UPDATE cloud.gateway_command SET acknowledged_at = coalesce(acknowledged_at, :now), state = :state, detail = :detail
WHERE order_id = :order AND state IN ('waiting', 'armed', 'recording', 'taken');

-- name: reported!
-- The recording is here: the order has nothing to wait for.
UPDATE cloud.gateway_command SET acknowledged_at = coalesce(acknowledged_at, :now), state = 'reported'
WHERE order_id = :order;

-- name: gateway_state!
-- The newest word about a gateway.
UPDATE cloud.gateway SET state = :state, state_at = :at
WHERE id = :gateway AND revoked_at IS NULL AND (state_at IS NULL OR state_at <= :at);

-- name: line_state$
-- Whether a gateway is online or offline, as ingest knows it now.
SELECT state FROM public.gateway_state WHERE gateway = :gateway;

-- name: device_state!
-- The newest word about a device.
UPDATE cloud.device SET state = :state, state_at = :at WHERE id = :device AND (state_at IS NULL OR state_at <= :at);

-- name: gateway_report!
-- The newest report of a gateway on its configuration, software and certificate.
UPDATE cloud.gateway SET detail = detail || :report::jsonb
WHERE id = :gateway AND coalesce((detail #>> '{report,at}')::timestamptz, '-infinity') <= :at::timestamptz;

-- name: boot$
-- The boot of a gateway's kernel in which it made a message.
SELECT boot FROM public.message WHERE gateway = :gateway AND id = :message;

-- name: corrected_recordings
-- Recordings whose start is corrected and whose report nobody has signed, of one boot of a gateway.
SELECT r.id FROM public.ecg_recording r
JOIN public.message m ON m.gateway = r.gateway AND m.id = r.id
JOIN fhir.diagnosticreport d ON d.id = r.id
WHERE r.gateway = :gateway AND m.boot = :boot AND m.clock <> 'synced' AND r.corrected_started_at IS NOT NULL
  AND d.terms && ARRAY[fhir.term('status=preliminary')]
ORDER BY r.id;

-- name: for_staff$
-- Whether staff has said, or alone can say, whose a measurement is.
SELECT EXISTS (SELECT FROM cloud.unassigned WHERE id = :id AND (resolved_by IS NOT NULL OR reason = :earlier));

-- name: provenances
-- The Provenance of resources.
SELECT id FROM fhir.provenance
WHERE terms && ARRAY(SELECT fhir.term('target=' || r) FROM unnest(:references::text[]) r) ORDER BY id;

-- name: known_observations
-- Which of some Observations are there.
SELECT id FROM fhir.observation WHERE id = ANY(:ids::uuid[]);

-- name: heard
-- Of which devices, known for what they are, gateways were heard to speak a moment ago.
SELECT g.gateway, g.device FROM unnest(:gateways::text[], :devices::uuid[]) AS x (gateway, device)
JOIN cloud.gateway_device g USING (gateway, device) JOIN cloud.device d ON d.id = g.device
WHERE g.last_seen > :since AND d.kind <> 'unknown';

-- name: holding_all
-- What holds of devices at times: for each pair, its number from 1 on, patient and user number.
SELECT x.place, a.patient, a.user_no
FROM unnest(:devices::uuid[], :times::timestamptz[]) WITH ORDINALITY AS x (device, at, place)
JOIN cloud.device_assignment a ON a.device = x.device AND a.during @> x.at;
