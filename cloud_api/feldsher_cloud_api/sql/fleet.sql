-- What technicians and managers see of gateways and devices, and what technicians note of them; nothing clinical.

-- name: cardiographs()
-- Cardiographs that an order can reach: through a claimed gateway that is not revoked.
SELECT DISTINCT d.id, d.address, gd.gateway
FROM cloud.device d
JOIN cloud.gateway_device gd ON gd.device = d.id
JOIN cloud.gateway g ON g.id = gd.gateway
WHERE d.kind = 'cardiograph' AND d.life = 'ready' AND g.revoked_at IS NULL AND g.certificate_serial IS NOT NULL
ORDER BY d.address, gd.gateway;

-- name: gateways
-- A page of gateways, each with what it last said of itself and what is wanted of it; all columns by name.
WITH shown AS (
    SELECT g.*, s.state AS heard, s.seen_at, s.clock, s.wall_at, s.outbox_rows, s.outbox_bytes, s.oldest_at, s.sources,
        s.software AS born,
        CASE WHEN g.life = 'retired' THEN 'retired' WHEN g.life = 'returning' THEN 'returning'
             WHEN g.revoked_at IS NOT NULL THEN 'revoked' WHEN g.certificate_serial IS NULL AND s.gateway IS NULL THEN 'unclaimed'
             ELSE coalesce(s.state, 'never') END AS shown_state
    FROM cloud.gateway g LEFT JOIN public.gateway_state s ON s.gateway = g.id
)
SELECT g.id, g.name, g.shown_state AS state, g.seen_at AS heard_at, g.clock, coalesce(r.software, g.born) AS software,
    g.certificate_expires, g.claim_expires, g.outbox_rows, g.outbox_bytes, g.oldest_at AS oldest_waiting, g.sources,
    r.config_wanted, r.config AS config_reported, r.config_state, r.config_detail, r.update_wanted,
    r.update_sequence AS update_reported, r.update_state, r.update_detail, r.slot, r.open_tasks, r.bundle_at,
    (SELECT coalesce(sum(l.readings), 0)::bigint FROM cloud.gateway_loss l
     WHERE l.gateway = g.id AND l.received_at > :since) AS lost_readings,
    (SELECT coalesce(sum(l.count), 0)::bigint FROM cloud.gateway_loss l
     WHERE l.gateway = g.id AND l.received_at > :since) AS lost_messages,
    g.revoked_at, g.replaced_by,
    (SELECT count(*) FROM cloud.gateway_device d WHERE d.gateway = g.id) AS devices
FROM shown g LEFT JOIN LATERAL (SELECT * FROM cloud.fleet_standing r WHERE r.gateway = g.id) r ON true
WHERE (:after::text IS NULL OR g.id > :after) AND (:only::text[] IS NULL OR g.id = ANY (:only))
  AND (:state::text IS NULL OR g.shown_state = :state)
  AND (:named::text IS NULL OR strpos(lower(g.id || ' ' || g.name), lower(:named)) > 0)
ORDER BY g.id LIMIT :most;

-- name: gateway_count$
-- How many gateways the same conditions find.
SELECT count(*) FROM (
    SELECT g.id, g.name,
        CASE WHEN g.life = 'retired' THEN 'retired' WHEN g.life = 'returning' THEN 'returning'
             WHEN g.revoked_at IS NOT NULL THEN 'revoked' WHEN g.certificate_serial IS NULL AND s.gateway IS NULL THEN 'unclaimed'
             ELSE coalesce(s.state, 'never') END AS shown_state
    FROM cloud.gateway g LEFT JOIN public.gateway_state s ON s.gateway = g.id) g
WHERE (:only::text[] IS NULL OR g.id = ANY (:only)) AND (:state::text IS NULL OR g.shown_state = :state)
  AND (:named::text IS NULL OR strpos(lower(g.id || ' ' || g.name), lower(:named)) > 0);

-- name: gateway_states
-- How many gateways are in which state.
SELECT CASE WHEN g.life = 'retired' THEN 'retired' WHEN g.life = 'returning' THEN 'returning'
            WHEN g.revoked_at IS NOT NULL THEN 'revoked' WHEN g.certificate_serial IS NULL AND s.gateway IS NULL THEN 'unclaimed'
            ELSE coalesce(s.state, 'never') END, count(*)
FROM cloud.gateway g LEFT JOIN public.gateway_state s ON s.gateway = g.id GROUP BY 1 ORDER BY 1;

-- name: losses
-- What a gateway had to drop, newest first.
SELECT received_at, what, why, device, count, readings, first_at, last_at FROM cloud.gateway_loss
WHERE gateway = :gateway ORDER BY received_at DESC LIMIT :most;

-- name: devices
-- A page of devices, each with its newest status, its last reading's time, its check and its periods; columns by name.
SELECT d.id, d.address, d.label, d.kind, coalesce(s.model, d.model) AS model, d.life, d.life_at, d.cleaned_at,
    d.replaced_by, gd.gateway, gd.local_name, gd.last_seen AS heard_at, coalesce(s.state, d.state) AS state, s.detail,
    s.firmware, b.battery, b.at AS battery_at, (SELECT max(app.last_measured(x.gateway, x.local_name)) FROM cloud.gateway_device x
     WHERE x.device = d.id) AS measured_at,
    c.done_on AS calibrated_on, c.due_on AS calibration_due, coalesce(u.waiting, 0) AS unassigned,
    p.assigned, p.since AS assigned_since
FROM cloud.device d
LEFT JOIN LATERAL (SELECT gateway, local_name, last_seen FROM cloud.gateway_device
                   WHERE device = d.id ORDER BY last_seen DESC NULLS LAST LIMIT 1) gd ON true
LEFT JOIN LATERAL (SELECT state, detail, model, firmware FROM public.device_status
                   WHERE device = gd.local_name AND gateway = gd.gateway ORDER BY at DESC LIMIT 1) s ON true
LEFT JOIN LATERAL (SELECT battery, at FROM public.device_status WHERE device = gd.local_name AND gateway = gd.gateway
                   AND battery IS NOT NULL ORDER BY at DESC LIMIT 1) b ON true
LEFT JOIN LATERAL (SELECT done_on, due_on FROM cloud.calibration
                   WHERE device = d.id ORDER BY done_on DESC, entered_at DESC LIMIT 1) c ON true
LEFT JOIN LATERAL (SELECT count(*) AS assigned, min(since) AS since FROM cloud.device_period
                   WHERE device = d.id AND since <= :now AND (until IS NULL OR until > :now)) p ON true
LEFT JOIN cloud.device_unassigned u ON u.device = d.id
WHERE (:after::uuid IS NULL OR d.id > :after) AND (:only::uuid[] IS NULL OR d.id = ANY (:only))
  AND (:kind::text IS NULL OR d.kind = :kind) AND (:life::text IS NULL OR d.life = :life)
  AND (:gateway::text IS NULL OR EXISTS (SELECT FROM cloud.gateway_device x WHERE x.device = d.id AND x.gateway = :gateway))
  AND (:assigned::boolean IS NULL OR (p.assigned > 0) = :assigned)
  AND (:named::text IS NULL OR strpos(lower(concat_ws(' ', d.address, d.label, d.model)), lower(:named)) > 0)
ORDER BY d.id LIMIT :most;

-- name: device_count$
-- How many devices the same conditions find.
SELECT count(*) FROM cloud.device d
WHERE (:only::uuid[] IS NULL OR d.id = ANY (:only))
  AND (:kind::text IS NULL OR d.kind = :kind) AND (:life::text IS NULL OR d.life = :life)
  AND (:gateway::text IS NULL OR EXISTS (SELECT FROM cloud.gateway_device x WHERE x.device = d.id AND x.gateway = :gateway))
  AND (:assigned::boolean IS NULL OR :assigned = EXISTS (
       SELECT FROM cloud.device_period p WHERE p.device = d.id AND p.since <= :now AND (p.until IS NULL OR p.until > :now)))
  AND (:named::text IS NULL OR strpos(lower(concat_ws(' ', d.address, d.label, d.model)), lower(:named)) > 0);

-- name: device_lives
-- How many devices are assigned, ready in stock, to be cleaned, retired.
SELECT CASE WHEN d.life = 'ready' AND EXISTS (
            SELECT FROM cloud.device_period p WHERE p.device = d.id AND p.since <= :now AND (p.until IS NULL OR p.until > :now))
       THEN 'assigned' ELSE d.life END, count(*)
FROM cloud.device d GROUP BY 1 ORDER BY 1;

-- name: periods
-- When a device was assigned to somebody, newest first.
SELECT since, until, user_no FROM cloud.device_period WHERE device = :device ORDER BY since DESC, user_no LIMIT :most;

-- name: calibrations
-- The checks of a device, newest first.
SELECT done_on, months, due_on, done_by, certificate, entered_by, entered_at FROM cloud.calibration
WHERE device = :device ORDER BY done_on DESC, entered_at DESC LIMIT :most;

-- name: device_actions
-- What was done with a device, newest first.
SELECT at, what, detail, asked_by FROM cloud.fleet_action WHERE device = :device ORDER BY at DESC, id DESC LIMIT :most;

-- name: gateway_actions
-- What was done with a gateway, newest first.
SELECT at, what, detail, asked_by FROM cloud.fleet_action WHERE gateway = :gateway ORDER BY at DESC, id DESC LIMIT :most;

-- name: add_action!
-- Note what somebody did.
INSERT INTO cloud.fleet_action (id, at, gateway, device, what, detail, asked_by, person)
VALUES (:id, :at, :gateway, :device, :what, :detail, :by, :person);

-- name: add_calibration!
-- Enter a check of a device.
INSERT INTO cloud.calibration (id, device, done_on, months, due_on, done_by, certificate, entered_by, entered_at)
VALUES (:id, :device, :done_on, :months, :due_on, :done_by, :certificate, :by, :now);

-- name: is_gateway$
-- Whether there is a gateway of a name.
SELECT EXISTS (SELECT FROM cloud.gateway WHERE id = :gateway);

-- name: device_state^
-- A device's life and kind, locked until the end of the transaction.
SELECT life, kind FROM cloud.device WHERE id = :device FOR UPDATE;

-- name: device_name$
-- What a device is called: its sticker, else its address.
SELECT coalesce(label, address) FROM cloud.device WHERE id = :device;

-- name: is_assigned$
-- Whether anybody has a device at a time or later.
SELECT EXISTS (SELECT FROM cloud.device_period WHERE device = :device AND (until IS NULL OR until > :at));

-- name: device_life!
-- What has become of a device.
UPDATE cloud.device SET life = :life, life_at = :now WHERE id = :device;

-- name: device_cleaned!
-- A device is empty and may be handed out.
UPDATE cloud.device SET life = 'ready', life_at = :now, cleaned_at = :now WHERE id = :device;

-- name: device_replaced!
-- Another device took a device's place; it came back.
UPDATE cloud.device SET life = 'to_clean', life_at = :now, replaced_by = :by WHERE id = :device;

-- name: patient_to_assign^
-- The patient of a number: for technicians, by the whole number only.
SELECT id, name, born FROM app.patient_to_assign(:number);

-- name: gateway_state$
-- A gateway's life.
SELECT life FROM cloud.gateway WHERE id = :gateway;

-- name: gateway_name$
-- What a gateway is called beside its id.
SELECT name FROM cloud.gateway WHERE id = :gateway;

-- name: gateway_may_enter$
-- Whether a gateway has a certificate with which the broker lets it in.
SELECT EXISTS (SELECT FROM cloud.gateway
               WHERE id = :gateway AND revoked_at IS NULL AND certificate_serial IS NOT NULL
                 AND (certificate_expires IS NULL OR certificate_expires > :now));

-- name: gateway_life!
-- What has become of a gateway.
UPDATE cloud.gateway SET life = :life, life_at = :now WHERE id = :gateway;

-- name: gateway_replaced!
-- Another gateway took a gateway's place.
UPDATE cloud.gateway SET replaced_by = :by WHERE id = :gateway;

-- name: attached
-- The devices that a gateway reaches, with the names under which it knows them.
SELECT d.id, x.local_name, d.kind, d.model, d.label FROM cloud.gateway_device x JOIN cloud.device d ON d.id = x.device
WHERE x.gateway = :gateway AND d.life = 'ready' ORDER BY d.id;
