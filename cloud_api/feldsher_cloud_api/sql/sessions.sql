-- name: of_person
-- A person's sessions that still count.
SELECT id, agent, created, last_seen, locked_at IS NOT NULL, factors FROM cloud.session
WHERE person = :person AND expires > :now AND (last_seen > :idle_since OR locked_at IS NOT NULL)
ORDER BY last_seen DESC, id;

-- name: end!
-- End one of a person's sessions.
DELETE FROM cloud.session WHERE person = :person AND id = :id;

-- name: end_others!
-- End a person's sessions but one.
DELETE FROM cloud.session WHERE person = :person AND token_hash <> :keep;

-- name: end_grants!
-- End all that a person granted to programs.
UPDATE cloud.oauth_grant SET revoked_at = coalesce(revoked_at, :now) WHERE person = :person;

-- name: end_grants_to!
-- End what a person granted to one program.
UPDATE cloud.oauth_grant SET revoked_at = coalesce(revoked_at, :now) WHERE person = :person AND client = :client;

-- name: grants
-- Programs that a person has granted something that lasts.
SELECT DISTINCT c.id, c.name FROM cloud.oauth_grant g JOIN cloud.oauth_client c ON c.id = g.client
JOIN cloud.oauth_refresh r ON r.grant_id = g.id
WHERE g.person = :person AND g.revoked_at IS NULL AND r.used_at IS NULL AND r.expires > :now ORDER BY c.name, c.id;

-- name: lock!
-- Lock a session.
UPDATE cloud.session SET locked_at = :now WHERE token_hash = :token_hash;

-- name: unlock!
-- Open a person's locked session again.
UPDATE cloud.session SET locked_at = NULL, last_seen = :now
WHERE token_hash = :token_hash AND person = :person AND expires > :now AND locked_at IS NOT NULL;

-- name: names
-- Whose locked sessions these are.
SELECT p.display FROM cloud.session s, LATERAL app.principal(s.person) p
WHERE s.token_hash = ANY (:hashes) AND s.expires > :now AND s.locked_at IS NOT NULL AND p.display IS NOT NULL
ORDER BY s.locked_at DESC;

-- name: keep_draft!
-- Keep what was typed on a page.
INSERT INTO cloud.draft (session, path, fields, saved)
SELECT id, :path, :fields, :now FROM cloud.session WHERE token_hash = :token_hash
ON CONFLICT (session, path) DO UPDATE SET fields = excluded.fields, saved = excluded.saved;

-- name: take_draft$
-- Return what was typed on a page, and forget it.
DELETE FROM cloud.draft d USING cloud.session s
WHERE s.token_hash = :token_hash AND d.session = s.id AND d.path = :path RETURNING d.fields;
