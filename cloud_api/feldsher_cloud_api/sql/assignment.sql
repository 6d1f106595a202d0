-- name: know_device!
-- Register a device, or say more about one that is known.
INSERT INTO cloud.device (id, address, kind, model, label) VALUES (:id, :address, :kind, :model, :label)
ON CONFLICT (address) DO UPDATE SET kind = excluded.kind, model = coalesce(excluded.model, cloud.device.model),
    label = coalesce(excluded.label, cloud.device.label);

-- name: know_gateway!
-- A device may be registered before its gateway is.
INSERT INTO cloud.gateway (id, name) VALUES (:gateway, :gateway) ON CONFLICT (id) DO NOTHING;

-- name: attach!
-- Note that a gateway reaches a device under a name.
INSERT INTO cloud.gateway_device (gateway, device, local_name) VALUES (:gateway, :device, :local_name)
ON CONFLICT (gateway, device) DO UPDATE SET local_name = excluded.local_name;

-- name: assign$
-- Assign a device, or one of its user numbers, from a time on: assigned, theirs, or whole.
SELECT app.assign_device(:id, :device, :user, :patient, :start, :until, :person);

-- name: share$
-- Make a device of one patient a shared one; false where nobody has it as a whole.
SELECT app.share_device(:id, :device, :user, :start, :person);

-- name: end$
-- End what holds at a time and take back what would begin later; returns how many.
SELECT app.end_assignments(:device, :user, :at);

-- name: move$
-- Give another device to whoever has one; returns to how many people.
SELECT app.move_assignments(:old, :new, :at, :person);

-- name: holding
-- What holds of a device at a time: patient and user number.
SELECT patient, user_no FROM cloud.device_assignment WHERE device = :device AND during @> :at::timestamptz;

-- name: sole_patient$
-- The one patient whom a device's readings of a user number can ever have been, where that covers both of two times.
SELECT min(patient::text)::uuid FROM cloud.device_assignment
WHERE device = :device AND (user_no IS NULL OR :user::int IS NULL OR user_no = :user)
HAVING count(DISTINCT patient) = 1
   AND bool_or(during @> :at::timestamptz AND during @> :received::timestamptz AND (user_no IS NULL OR user_no = :user));

-- name: may_hold_others$
-- Whether a device may still hold readings of somebody else: who had it before, and nobody has emptied it since.
SELECT EXISTS (SELECT FROM cloud.device_assignment a JOIN cloud.device d ON d.id = a.device
               WHERE a.device = :device AND a.patient <> :patient AND upper(a.during) <= :at
                 AND (:user::int IS NULL OR a.user_no IS NULL OR a.user_no = :user)
                 AND (d.cleaned_at IS NULL OR d.cleaned_at < upper(a.during)));
