-- name: know_gateway!
-- A gateway that speaks is known, also where it was certified elsewhere.
INSERT INTO cloud.gateway (id, name, state) VALUES (:gateway, :gateway, 'unknown') ON CONFLICT (id) DO NOTHING;

-- name: know_device!
-- Register a device at first sight; what was unknown gets its kind once that is seen.
INSERT INTO cloud.device (id, address, kind) VALUES (:id, :address, :kind)
ON CONFLICT (address) DO UPDATE SET kind = excluded.kind
WHERE cloud.device.kind = 'unknown' AND excluded.kind <> 'unknown';

-- name: saw_device!
-- A gateway has heard of a device.
INSERT INTO cloud.gateway_device (gateway, device, local_name, last_seen) VALUES (:gateway, :device, :local_name, :now)
ON CONFLICT (gateway, device) DO UPDATE SET last_seen = greatest(cloud.gateway_device.last_seen, excluded.last_seen);

-- name: assigned_patient$
-- To whom a device was assigned at a time.
SELECT patient FROM cloud.device_assignment WHERE device = :device AND during @> :at::timestamptz;

-- name: queue_unassigned!
-- What belongs to nobody waits for staff.
INSERT INTO cloud.unassigned (id, kind, resource, device, gateway, measured_at, reason)
VALUES (:id, :kind, :resource, :device, :gateway, :at, :reason) ON CONFLICT (id) DO NOTHING;

-- name: acknowledge!
-- The gateway has answered: the command is not published again.
UPDATE cloud.gateway_command SET acknowledged_at = coalesce(acknowledged_at, :now), state = :state, detail = :detail
WHERE order_id = :order;

-- name: gateway_state!
-- The newest word about a gateway.
UPDATE cloud.gateway SET state = :state, state_at = :at
WHERE id = :gateway AND revoked_at IS NULL AND (state_at IS NULL OR state_at <= :at);

-- name: device_state!
-- The newest word about a device.
UPDATE cloud.device SET state = :state, state_at = :at WHERE id = :device AND (state_at IS NULL OR state_at <= :at);
