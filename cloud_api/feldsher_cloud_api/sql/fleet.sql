-- name: gateways()
-- Every gateway with what it last said of itself; nothing clinical.
SELECT g.id, CASE WHEN g.revoked_at IS NOT NULL THEN 'revoked' ELSE coalesce(s.state, 'never') END,
       s.seen_at, s.outbox_rows, s.oldest_at, s.software
FROM cloud.gateway g LEFT JOIN public.gateway_state s ON s.gateway = g.id
ORDER BY g.id;

-- name: devices()
-- Every device with its newest status and the gateway that saw it last.
SELECT d.address, coalesce(s.model, d.kind), gd.gateway, coalesce(s.state, d.state), s.battery,
       greatest(gd.last_seen, d.state_at, s.at)
FROM cloud.device d
LEFT JOIN LATERAL (SELECT gateway, local_name, last_seen FROM cloud.gateway_device
                   WHERE device = d.id ORDER BY last_seen DESC NULLS LAST LIMIT 1) gd ON true
LEFT JOIN LATERAL (SELECT state, battery, model, at FROM public.device_status
                   WHERE device = gd.local_name AND gateway = gd.gateway ORDER BY at DESC LIMIT 1) s ON true
ORDER BY d.address;

-- name: cardiographs()
-- Cardiographs that an order can reach: through a claimed gateway that is not revoked.
SELECT DISTINCT d.id, d.address, gd.gateway
FROM cloud.device d
JOIN cloud.gateway_device gd ON gd.device = d.id
JOIN cloud.gateway g ON g.id = gd.gateway
WHERE d.kind = 'cardiograph' AND g.revoked_at IS NULL AND g.certificate_serial IS NOT NULL
ORDER BY d.address, gd.gateway;
