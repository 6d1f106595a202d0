-- Sign-in: programs with keys of their own, their registration and approval, launches, second factors, sessions that
-- can be listed and locked, people whom another provider vouches for.

-- ---------------------------------------------------------------- programs
ALTER TABLE cloud.oauth_client
    ADD kind text NOT NULL DEFAULT 'server' CHECK (kind IN ('browser', 'native', 'server', 'program')),
    ADD keys jsonb,
    ADD keys_uri text,
    ADD launch_uri text,
    ADD sandbox boolean NOT NULL DEFAULT false,
    ADD asks boolean NOT NULL DEFAULT false,
    ADD state text NOT NULL DEFAULT 'approved' CHECK (state IN ('waiting', 'approved', 'refused')),
    ADD detail jsonb NOT NULL DEFAULT '{}',
    ADD registration_hash bytea,
    ADD registered timestamptz NOT NULL DEFAULT now(),
    ADD decided timestamptz,
    ADD CHECK (keys IS NULL OR keys_uri IS NULL),
    ADD CHECK (NOT ((keys IS NOT NULL OR keys_uri IS NOT NULL) AND secret_hash IS NOT NULL));
COMMENT ON COLUMN cloud.oauth_client.keys IS 'Public keys (JSON Web Key Set) of a client that signs assertions; keys_uri: where it publishes them';
COMMENT ON COLUMN cloud.oauth_client.state IS 'A client that registered itself waits until an administrator approves or refuses it';
COMMENT ON COLUMN cloud.oauth_client.sandbox IS 'It reaches the demo organisation and its patients only';
COMMENT ON COLUMN cloud.oauth_client.asks IS 'People are asked before it gets anything of theirs';
COMMENT ON COLUMN cloud.oauth_client.detail IS 'What it said of itself: contacts, software';

CREATE FUNCTION app.register_client(
    id text, name text, kind text, secret_hash bytea, keys jsonb, keys_uri text, redirect_uris text[],
    grant_types text[], scopes text[], launch_uri text, sandbox boolean, detail jsonb, registration_hash bytea,
    at timestamptz, most int
) RETURNS boolean LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    INSERT INTO cloud.oauth_client (id, name, kind, secret_hash, keys, keys_uri, redirect_uris, grant_types, scopes,
                                    launch_uri, sandbox, detail, registration_hash, registered, asks, state)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, true, 'waiting'
    WHERE (SELECT count(*) FROM cloud.oauth_client c WHERE c.state = 'waiting') < most
    RETURNING true
$$;
COMMENT ON FUNCTION app.register_client IS 'Registers a program that waits for approval, unless too many wait already: the only way in which the API adds one';
REVOKE ALL ON FUNCTION app.register_client FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.register_client TO feldsher_api;

CREATE TABLE cloud.oauth_assertion (
    client text NOT NULL REFERENCES cloud.oauth_client ON DELETE CASCADE,
    jti_hash bytea NOT NULL,
    expires timestamptz NOT NULL,
    PRIMARY KEY (client, jti_hash)
);
CREATE INDEX ON cloud.oauth_assertion (expires);
COMMENT ON TABLE cloud.oauth_assertion IS 'Assertions that clients have used, until they end: each is good once';

CREATE TABLE cloud.oauth_revoked (
    jti uuid PRIMARY KEY,
    expires timestamptz NOT NULL
);
CREATE INDEX ON cloud.oauth_revoked (expires);
COMMENT ON TABLE cloud.oauth_revoked IS 'Access tokens of programs that were revoked, until they end';

-- ---------------------------------------------------------------- launches and grants
CREATE TABLE cloud.launch (
    token_hash bytea PRIMARY KEY,
    client text NOT NULL REFERENCES cloud.oauth_client ON DELETE CASCADE,
    person uuid NOT NULL REFERENCES cloud.person,
    patient uuid NOT NULL,
    encounter text,
    expires timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX ON cloud.launch (expires);
COMMENT ON TABLE cloud.launch IS 'Programs started from the workstation for a patient (SMART EHR launch): a token, good once, for one person';

ALTER TABLE cloud.oauth_grant
    ADD patient uuid,
    ADD encounter text,
    ADD session uuid;
COMMENT ON COLUMN cloud.oauth_grant.patient IS 'The patient of the launch, whom scopes patient/ mean';
COMMENT ON COLUMN cloud.oauth_grant.session IS 'The browser session with which it ends (online_access); NULL: it outlasts the session';

-- ---------------------------------------------------------------- people
ALTER TABLE cloud.session
    ADD id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    ADD agent text NOT NULL DEFAULT '',
    ADD factors text[] NOT NULL DEFAULT '{password}',
    ADD locked_at timestamptz;
COMMENT ON COLUMN cloud.session.agent IS 'What kind of browser it is, for its owner to recognise';
COMMENT ON COLUMN cloud.session.locked_at IS 'Since when it waits for its owner''s password while others use the same browser';

CREATE TABLE cloud.draft (
    session uuid NOT NULL REFERENCES cloud.session (id) ON DELETE CASCADE,
    path text NOT NULL,
    fields bytea NOT NULL,
    saved timestamptz NOT NULL,
    PRIMARY KEY (session, path)
);
COMMENT ON TABLE cloud.draft IS 'What somebody had typed when their session was locked, sealed; it goes with the session';

CREATE TABLE cloud.second_factor (
    person uuid PRIMARY KEY REFERENCES cloud.person,
    sealed bytea NOT NULL,
    created timestamptz NOT NULL,
    confirmed timestamptz,
    last_step bigint NOT NULL DEFAULT 0,
    failed int NOT NULL DEFAULT 0,
    locked_until timestamptz
);
COMMENT ON TABLE cloud.second_factor IS 'Secrets of authenticator apps (RFC 6238), sealed; last_step: the time step used last, so that a code is good once';

CREATE TABLE cloud.recovery_code (
    person uuid NOT NULL REFERENCES cloud.person,
    code_hash bytea NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (person, code_hash)
);
COMMENT ON TABLE cloud.recovery_code IS 'Codes for who has lost the authenticator app (hashed), each good once';

CREATE TABLE cloud.external_identity (
    issuer text NOT NULL,
    subject_hash bytea NOT NULL,
    person uuid NOT NULL REFERENCES cloud.person,
    linked timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (issuer, subject_hash)
);
CREATE INDEX ON cloud.external_identity (person);
COMMENT ON TABLE cloud.external_identity IS 'People whom another OpenID provider vouches for; its subject is kept as a keyed hash only';

GRANT SELECT, INSERT, DELETE ON cloud.oauth_assertion, cloud.oauth_revoked, cloud.draft TO feldsher_api;
GRANT UPDATE ON cloud.draft TO feldsher_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON cloud.launch, cloud.second_factor, cloud.recovery_code TO feldsher_api;
GRANT SELECT ON cloud.external_identity TO feldsher_api;
