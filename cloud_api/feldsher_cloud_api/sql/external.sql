-- name: linked$
-- Who is linked to a subject of another provider.
SELECT person FROM cloud.external_identity WHERE issuer = :issuer AND subject_hash = :subject_hash;

-- name: named$
-- The person of a name.
SELECT id FROM cloud.person WHERE username = lower(:username) AND disabled_at IS NULL;

-- name: link!
-- Link a person to a subject of another provider.
INSERT INTO cloud.external_identity (issuer, subject_hash, person) VALUES (:issuer, :subject_hash, :person)
ON CONFLICT (issuer, subject_hash) DO UPDATE SET person = excluded.person, linked = now();
