-- name: standing^
-- Whether a gateway or its certificate is revoked, and whether the certificate was superseded.
SELECT c.revoked_at IS NOT NULL OR g.revoked_at IS NOT NULL, c.superseded_at IS NOT NULL
FROM cloud.certificate c JOIN cloud.gateway g ON g.id = c.gateway
WHERE c.serial = :serial AND c.gateway = :gateway;

-- name: issued!
-- Remember a certificate, to be able to revoke it.
INSERT INTO cloud.certificate (serial, gateway, pem, issued_at, expires, replaces, used_at)
VALUES (:serial, :gateway, :pem, :now, :expires, :replaces, :used_at);

-- name: lock!
-- One renewal of a gateway at a time.
SELECT FROM cloud.gateway WHERE id = :gateway FOR UPDATE;

-- name: successor^
-- The successor of a certificate that is not in use yet: serial number and PEM.
SELECT serial, pem FROM cloud.certificate
WHERE replaces = :serial AND used_at IS NULL AND revoked_at IS NULL AND superseded_at IS NULL;

-- name: revoke_one!
-- A certificate is revoked.
UPDATE cloud.certificate SET revoked_at = coalesce(revoked_at, :now) WHERE serial = :serial;

-- name: use!
-- A gateway has connected with a certificate.
UPDATE cloud.certificate SET used_at = coalesce(used_at, :now) WHERE serial = :serial AND superseded_at IS NULL;

-- name: supersede!
-- All other certificates of a gateway may not renew any more; the broker takes them until they end.
UPDATE cloud.certificate SET superseded_at = :now
WHERE gateway = :gateway AND serial <> :serial AND superseded_at IS NULL;

-- name: current!
-- The gateway's certificate is this one.
UPDATE cloud.gateway g SET certificate_serial = c.serial, certificate_expires = c.expires
FROM cloud.certificate c WHERE c.serial = :serial AND g.id = c.gateway;

-- name: revoke_all
-- All certificates of a gateway are revoked; returns the serial numbers of those that have not ended by themselves.
WITH changed AS (
    UPDATE cloud.certificate SET revoked_at = coalesce(revoked_at, :now) WHERE gateway = :gateway AND serial <> :but
    RETURNING serial, expires
)
SELECT serial FROM changed WHERE expires > :now ORDER BY serial;

-- name: release_keys
-- The public keys whose owners sign updates.
SELECT public FROM cloud.release_key WHERE retired_at IS NULL ORDER BY added_at, public;
