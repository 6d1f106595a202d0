-- name: register$
-- Register a program that waits for approval; nothing where too many wait.
SELECT app.register_client(:id, :name, :kind, :secret_hash, :keys, :keys_uri, :redirect_uris, :grant_types, :scopes,
    :launch_uri, :sandbox, :detail, :registration_hash, :now, :most);

-- name: registration^
-- What a program registered, and how that stands.
SELECT registration_hash, name, kind, secret_hash IS NOT NULL, redirect_uris, grant_types, scopes, keys, keys_uri,
    launch_uri, sandbox, detail, CASE WHEN disabled_at IS NULL THEN state ELSE 'refused' END
FROM cloud.oauth_client WHERE id = :id AND registration_hash IS NOT NULL;

-- name: all
-- All registered programs, those that wait first, for an administrator.
SELECT id, name, CASE WHEN disabled_at IS NULL THEN state ELSE 'disabled' END AS state, kind, sandbox,
    CASE WHEN keys IS NOT NULL OR keys_uri IS NOT NULL THEN 'key' WHEN secret_hash IS NOT NULL THEN 'secret' ELSE 'none' END
        AS proof,
    grant_types, scopes, redirect_uris, keys_uri, launch_uri, detail, registered, decided
FROM cloud.oauth_client ORDER BY (state = 'waiting' AND disabled_at IS NULL) DESC, registered DESC, id;

-- name: waiting^
-- A program that waits for a decision.
SELECT name, kind, sandbox FROM cloud.oauth_client WHERE id = :id AND state = 'waiting' AND disabled_at IS NULL;

-- name: approve!
-- Approve a program; person: whom a backend service acts as.
UPDATE cloud.oauth_client SET state = 'approved', decided = :now, person = :person WHERE id = :id AND state = 'waiting';

-- name: refuse!
-- Refuse a program that waits, or end one that was approved.
UPDATE cloud.oauth_client SET state = 'refused', decided = :now WHERE id = :id AND state <> 'refused';

-- name: end_grants!
-- End all grants of a program.
UPDATE cloud.oauth_grant SET revoked_at = coalesce(revoked_at, :now) WHERE client = :id;
