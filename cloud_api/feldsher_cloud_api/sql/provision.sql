-- name: add_gateway!
-- Register a gateway with a claim; a registered one gets a new claim and keeps its certificate until that is used.
INSERT INTO cloud.gateway (id, name, claim_hash, claim_expires)
VALUES (:id, :name, :claim_hash, :claim_expires)
ON CONFLICT (id) DO UPDATE SET claim_hash = excluded.claim_hash, claim_expires = excluded.claim_expires,
    claimed_at = NULL, revoked_at = NULL, life = 'ready', life_at = NULL;

-- name: take_claim^
-- Use a claim up: unknown, used, expired and revoked all look the same. The lookup is of a hash of a random secret, so
-- its timing tells nothing about the secret.
UPDATE cloud.gateway SET claimed_at = :now, claim_hash = NULL
WHERE claim_hash = :claim_hash AND claimed_at IS NULL AND claim_expires > :now AND revoked_at IS NULL
RETURNING id, certificate_serial;

-- name: claimed!
-- A claim has brought a certificate.
UPDATE cloud.gateway SET state = 'claimed' WHERE id = :id;

-- name: revoke_gateway^
-- Mark a gateway as revoked and return its certificate's serial number.
UPDATE cloud.gateway SET revoked_at = coalesce(revoked_at, :now), claim_hash = NULL WHERE id = :id
RETURNING certificate_serial;

-- name: attach_device!
-- Note that a gateway reaches a device under a name.
INSERT INTO cloud.gateway_device (gateway, device, local_name) VALUES (:gateway, :device, :local_name)
ON CONFLICT (gateway, device) DO UPDATE SET local_name = excluded.local_name;

-- name: gateways
-- All gateways with their state.
SELECT id, name, state, state_at, claimed_at, certificate_expires, revoked_at, detail -> 'report' FROM cloud.gateway
ORDER BY id;
