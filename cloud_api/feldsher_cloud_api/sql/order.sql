-- name: route^
-- The claimed gateway that reaches a cardiograph, and the device's name there; of several the one that saw it last.
SELECT gd.gateway, gd.local_name
FROM cloud.gateway_device gd
JOIN cloud.gateway g ON g.id = gd.gateway
JOIN cloud.device d ON d.id = gd.device
WHERE gd.device = :device AND d.kind = 'cardiograph' AND g.revoked_at IS NULL AND g.certificate_serial IS NOT NULL
ORDER BY gd.last_seen DESC NULLS LAST
LIMIT 1;

-- name: add_command!
-- The command that the worker publishes until it is acknowledged or lapses.
INSERT INTO cloud.gateway_command (order_id, gateway, payload, created, expires_at)
VALUES (:order, :gateway, :payload, :created, :expires);

-- name: gateway$
-- The gateway that an order was given to.
SELECT gateway FROM cloud.gateway_command WHERE order_id = :order;
