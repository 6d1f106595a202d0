-- name: lock!
-- One author of a gateway's configuration at a time.
SELECT FROM cloud.gateway WHERE id = :gateway FOR UPDATE;

-- name: newest$
-- The highest version that a gateway was ever sent or says that it has seen.
SELECT greatest(
    (SELECT coalesce(max(version), 0) FROM cloud.gateway_configuration WHERE gateway = :gateway),
    (SELECT coalesce(max(greatest(config, config_wanted)), 0) FROM cloud.gateway_reported WHERE gateway = :gateway));

-- name: add!
-- Keep a signed configuration.
INSERT INTO cloud.gateway_configuration (gateway, version, toml, sha256, signature, task)
VALUES (:gateway, :version, :toml, :sha256, :signature, :task);

-- name: wanted^
-- The newest configuration that is in force, on its way or on trial.
SELECT c.version, c.toml, t.state FROM cloud.gateway_configuration c JOIN cloud.gateway_task t ON t.id = c.task
WHERE c.gateway = :gateway AND t.state IN ('waiting', 'working', 'applied') ORDER BY c.version DESC LIMIT 1;

-- name: versions
-- Every configuration of a gateway, newest first: who, when, why, and what became of it.
SELECT c.version, c.toml, c.sha256, t.reason, t.asked_by, t.created, t.state, t.detail, t.state_at
FROM cloud.gateway_configuration c JOIN cloud.gateway_task t ON t.id = c.task
WHERE c.gateway = :gateway ORDER BY c.version DESC LIMIT :most;

-- name: standing
-- What is wanted of gateways beside what they report (one gateway, or all where none is named).
SELECT gateway, reported_at, software, config_wanted, config_state, config_detail, config_at, config, config_differs,
       update_wanted, update_version, update_state, update_detail, update_sequence, slot, update_differs, open_tasks, bundle_at
FROM cloud.gateway_standing WHERE :gateway::text IS NULL OR gateway = :gateway ORDER BY gateway;
