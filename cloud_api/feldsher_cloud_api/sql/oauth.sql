-- name: client^
-- A registered program.
SELECT id, name, secret_hash, redirect_uris, grant_types, scopes, person, kind, keys, keys_uri, sandbox, asks, launch_uri
FROM cloud.oauth_client WHERE id = :id AND disabled_at IS NULL AND state = 'approved';

-- name: add_grant!
-- What a person grants to a client.
INSERT INTO cloud.oauth_grant (id, client, person, scope, created, patient, encounter, session)
VALUES (:id, :client, :person, :scope, :now, :patient, :encounter, :session);

-- name: add_code!
-- An authorization code of a grant.
INSERT INTO cloud.oauth_code (code_hash, grant_id, redirect_uri, challenge, nonce, expires)
VALUES (:code_hash, :grant_id, :redirect_uri, :challenge, :nonce, :expires);

-- name: take_code^
-- Use a code up; was_used tells a second use, which revokes the grant.
UPDATE cloud.oauth_code c SET used_at = coalesce(c.used_at, :now)
FROM cloud.oauth_grant g, (SELECT code_hash, used_at FROM cloud.oauth_code WHERE code_hash = :code_hash FOR UPDATE) old
WHERE c.code_hash = old.code_hash AND g.id = c.grant_id AND g.client = :client
RETURNING c.grant_id, g.person, g.scope, c.redirect_uri, c.challenge, c.nonce, c.expires,
    old.used_at IS NOT NULL AS was_used, g.revoked_at IS NOT NULL AS revoked, g.patient, g.encounter;

-- name: add_refresh!
-- A refresh token of a grant.
INSERT INTO cloud.oauth_refresh (token_hash, grant_id, expires) VALUES (:token_hash, :grant_id, :expires);

-- name: take_refresh^
-- Use a refresh token up; was_used tells a second use, which revokes the grant.
UPDATE cloud.oauth_refresh r SET used_at = coalesce(r.used_at, :now)
FROM cloud.oauth_grant g, (SELECT token_hash, used_at FROM cloud.oauth_refresh WHERE token_hash = :token_hash FOR UPDATE) old
WHERE r.token_hash = old.token_hash AND g.id = r.grant_id AND g.client = :client
RETURNING r.grant_id, g.person, g.scope, r.expires,
    old.used_at IS NOT NULL AS was_used, g.revoked_at IS NOT NULL AS revoked, g.patient, g.encounter,
    g.session IS NULL OR EXISTS (SELECT FROM cloud.session s
        WHERE s.id = g.session AND s.expires > :now AND s.last_seen > :idle_since) AS session_stands;

-- name: revoke_grant!
-- End a grant and with it every token of it.
UPDATE cloud.oauth_grant SET revoked_at = coalesce(revoked_at, :now) WHERE id = :id;

-- name: token_stands$
-- Whether an access token still stands: its client is approved, its grant and the token itself are not revoked.
SELECT EXISTS (SELECT FROM cloud.oauth_client WHERE id = :client AND disabled_at IS NULL AND state = 'approved')
    AND (:grant::uuid IS NULL OR EXISTS (SELECT FROM cloud.oauth_grant WHERE id = :grant AND revoked_at IS NULL))
    AND NOT EXISTS (SELECT FROM cloud.oauth_revoked WHERE jti = :jti);

-- name: use_assertion!
-- Use a client's assertion up; no row where it has been used.
INSERT INTO cloud.oauth_assertion (client, jti_hash, expires) VALUES (:client, :jti_hash, :expires) ON CONFLICT DO NOTHING;

-- name: forget_assertions!
-- Forget assertions that are over anyway.
DELETE FROM cloud.oauth_assertion WHERE expires < :now;

-- name: revoke_token!
-- Revoke one access token until it ends by itself.
INSERT INTO cloud.oauth_revoked (jti, expires) VALUES (:jti, :expires) ON CONFLICT DO NOTHING;

-- name: forget_revoked!
-- Forget revoked tokens that are over anyway.
DELETE FROM cloud.oauth_revoked WHERE expires < :now;

-- name: find_refresh^
-- The grant of a refresh token that is still good.
SELECT g.id, g.client, g.person, g.scope, g.patient, g.encounter, r.expires
FROM cloud.oauth_refresh r JOIN cloud.oauth_grant g ON g.id = r.grant_id
WHERE r.token_hash = :token_hash AND r.used_at IS NULL AND r.expires > :now AND g.revoked_at IS NULL;

-- name: grant_of_refresh^
-- The grant of a refresh token, used or not.
SELECT g.id, g.client FROM cloud.oauth_refresh r JOIN cloud.oauth_grant g ON g.id = r.grant_id
WHERE r.token_hash = :token_hash;

-- name: add_launch!
-- A program started from the workstation for a patient.
INSERT INTO cloud.launch (token_hash, client, person, patient, encounter, expires)
VALUES (:token_hash, :client, :person, :patient, :encounter, :expires);

-- name: launch^
-- A launch of this client by this person that is neither used nor over.
SELECT patient, encounter FROM cloud.launch
WHERE token_hash = :token_hash AND client = :client AND person = :person AND used_at IS NULL AND expires > :now;

-- name: use_launch!
-- Use a launch up.
UPDATE cloud.launch SET used_at = :now WHERE token_hash = :token_hash AND used_at IS NULL;

-- name: forget_launches!
-- Forget launches that are over.
DELETE FROM cloud.launch WHERE expires < :now;

-- name: launchable
-- Programs that can be started from the workstation.
SELECT id, name FROM cloud.oauth_client
WHERE launch_uri IS NOT NULL AND disabled_at IS NULL AND state = 'approved' ORDER BY name, id;
