-- name: add!
-- Keep a bundle, one for each time that it was asked for.
INSERT INTO cloud.diagnostics_bundle (id, gateway, task, received_at, keep_until, size, sha256, content)
VALUES (:id, :gateway, :task, :now, :keep_until, :size, :sha256, :content) ON CONFLICT DO NOTHING;

-- name: bundles
-- The bundles of a gateway, newest first: who asked for them, and why.
SELECT b.id, b.gateway, b.received_at, b.keep_until, b.size, b.sha256, t.asked_by, t.reason
FROM cloud.diagnostics_bundle b JOIN cloud.gateway_task t ON t.id = b.task
WHERE b.gateway = :gateway ORDER BY b.received_at DESC, b.id DESC;

-- name: content$
-- The bytes of a bundle.
SELECT content FROM cloud.diagnostics_bundle WHERE id = :id;

-- name: purge!
-- Delete the bundles that need not be kept any more.
DELETE FROM cloud.diagnostics_bundle WHERE keep_until <= :now;
