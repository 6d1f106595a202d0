-- name: add_person!
-- Add a person; one of that name or id is left as it is.
INSERT INTO cloud.person (id, username, display, role, practitioner)
VALUES (:id, :username, :display, :role, :practitioner) ON CONFLICT DO NOTHING;

-- name: add_account!
-- Give a person a password.
INSERT INTO cloud.account (person, password_hash) VALUES (:person, :password_hash);

-- name: add_key!
-- Give a person a signing key.
INSERT INTO cloud.signing_key (person, public_pem, salt, nonce, wrapped)
VALUES (:person, :public_pem, :salt, :nonce, :wrapped);

-- name: link_patient!
-- Let a person speak for a patient.
INSERT INTO cloud.patient_link (person, patient) VALUES (:person, :patient) ON CONFLICT DO NOTHING;

-- name: care_for!
-- Put a doctor into care relationship.
INSERT INTO cloud.care_relationship (id, person, patient, reason) VALUES (:id, :person, :patient, :reason)
ON CONFLICT (id) DO NOTHING;

-- name: add_client!
-- Register a program.
INSERT INTO cloud.oauth_client (id, name, secret_hash, redirect_uris, grant_types, scopes, person, kind, keys, launch_uri)
VALUES (:id, :name, :secret_hash, :redirect_uris, :grant_types, :scopes, :person, :kind, :keys, :launch_uri)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, secret_hash = excluded.secret_hash,
    redirect_uris = excluded.redirect_uris, grant_types = excluded.grant_types, scopes = excluded.scopes,
    person = excluded.person, kind = excluded.kind, keys = excluded.keys, keys_uri = NULL,
    launch_uri = excluded.launch_uri, disabled_at = NULL;

-- name: person_id$
-- The id of a person by name.
SELECT id FROM cloud.person WHERE username = lower(:username);

-- name: disable$
-- Disable a person.
UPDATE cloud.person SET disabled_at = coalesce(disabled_at, :now) WHERE username = lower(:username) RETURNING id;

-- name: end_sessions!
-- End all sessions of a person.
DELETE FROM cloud.session WHERE person = :person;

-- name: end_grants!
-- End all grants of a person.
UPDATE cloud.oauth_grant SET revoked_at = coalesce(revoked_at, :now) WHERE person = :person;
