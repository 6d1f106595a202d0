-- name: client^
-- A registered program.
SELECT id, name, secret_hash, redirect_uris, grant_types, scopes, person FROM cloud.oauth_client
WHERE id = :id AND disabled_at IS NULL;

-- name: add_grant!
-- What a person grants to a client.
INSERT INTO cloud.oauth_grant (id, client, person, scope, created) VALUES (:id, :client, :person, :scope, :now);

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
    old.used_at IS NOT NULL AS was_used, g.revoked_at IS NOT NULL AS revoked;

-- name: add_refresh!
-- A refresh token of a grant.
INSERT INTO cloud.oauth_refresh (token_hash, grant_id, expires) VALUES (:token_hash, :grant_id, :expires);

-- name: take_refresh^
-- Use a refresh token up; was_used tells a second use, which revokes the grant.
UPDATE cloud.oauth_refresh r SET used_at = coalesce(r.used_at, :now)
FROM cloud.oauth_grant g, (SELECT token_hash, used_at FROM cloud.oauth_refresh WHERE token_hash = :token_hash FOR UPDATE) old
WHERE r.token_hash = old.token_hash AND g.id = r.grant_id AND g.client = :client
RETURNING r.grant_id, g.person, g.scope, r.expires,
    old.used_at IS NOT NULL AS was_used, g.revoked_at IS NOT NULL AS revoked;

-- name: revoke_grant!
-- End a grant and with it every token of it.
UPDATE cloud.oauth_grant SET revoked_at = coalesce(revoked_at, :now) WHERE id = :id;

-- name: grant_revoked$
-- Whether a grant has been revoked (a token names its grant).
SELECT revoked_at IS NOT NULL FROM cloud.oauth_grant WHERE id = :id;
