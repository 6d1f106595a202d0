-- The cloud's own tables: people and their rights, gateways and devices, orders on their way, sign-in, signatures, audit;
-- and the record: one table per FHIR resource type, made by fhir.create_type.
-- The migrating user owns everything; feldsher_api is bound by row-level security, feldsher_worker is not.

CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE SCHEMA app;
CREATE SCHEMA cloud;
CREATE SCHEMA fhir;
COMMENT ON SCHEMA app IS 'Who is asking: functions over the settings app.user, app.role and app.patients of a transaction';
COMMENT ON SCHEMA cloud IS 'Relational facts of the cloud: people, rights, gateways, orders, sign-in, signatures, audit seals';
COMMENT ON SCHEMA fhir IS 'The record: one table per FHIR R4 resource type, each with its history';
REVOKE ALL ON SCHEMA app, cloud, fhir FROM PUBLIC;
GRANT USAGE ON SCHEMA app, cloud, fhir TO feldsher_api, feldsher_worker;

-- ---------------------------------------------------------------- people and rights
CREATE TABLE cloud.person (
    id uuid PRIMARY KEY,
    username text NOT NULL UNIQUE CHECK (username = lower(username)),
    display text NOT NULL,
    role text NOT NULL CHECK (role IN ('doctor', 'patient', 'technician', 'service')),
    practitioner uuid,
    disabled_at timestamptz,
    created timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE cloud.person IS 'Everybody and every program that may sign in, with one role; practitioner: their FHIR Practitioner';

CREATE TABLE cloud.account (
    person uuid PRIMARY KEY REFERENCES cloud.person,
    password_hash text NOT NULL,
    failed int NOT NULL DEFAULT 0,
    locked_until timestamptz,
    changed timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE cloud.account IS 'Passwords (argon2id) and the lock after repeated failures';

CREATE TABLE cloud.patient_link (
    person uuid NOT NULL REFERENCES cloud.person,
    patient uuid NOT NULL,
    during tstzrange NOT NULL DEFAULT tstzrange(now(), NULL),
    PRIMARY KEY (person, patient)
);
COMMENT ON TABLE cloud.patient_link IS 'Which FHIR Patient an account of role patient speaks for, and from when to when';

CREATE TABLE cloud.care_relationship (
    id uuid PRIMARY KEY,
    person uuid NOT NULL REFERENCES cloud.person,
    patient uuid,
    during tstzrange NOT NULL DEFAULT tstzrange(now(), NULL),
    reason text NOT NULL
);
CREATE INDEX ON cloud.care_relationship (person);
COMMENT ON TABLE cloud.care_relationship IS 'Whose patients a doctor may see; patient NULL: every patient of this clinic';

-- ---------------------------------------------------------------- gateways, devices, orders
CREATE TABLE cloud.gateway (
    id text PRIMARY KEY,
    name text NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    claim_hash bytea,
    claim_expires timestamptz,
    claimed_at timestamptz,
    certificate_serial text,
    certificate_expires timestamptz,
    revoked_at timestamptz,
    state text NOT NULL DEFAULT 'new',
    state_at timestamptz,
    detail jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE cloud.gateway IS 'Gateways: the one-time claim (hashed), the certificate, and the last known state (birth, heartbeat, death)';

CREATE TABLE cloud.device (
    id uuid PRIMARY KEY,
    address text NOT NULL UNIQUE,
    kind text NOT NULL DEFAULT 'unknown' CHECK (kind IN ('cuff', 'cardiograph', 'unknown')),
    state text,
    state_at timestamptz
);
COMMENT ON TABLE cloud.device IS 'Devices by their own address (or gateway/name where the address is only local); id: their FHIR Device';

CREATE TABLE cloud.gateway_device (
    gateway text NOT NULL REFERENCES cloud.gateway,
    device uuid NOT NULL REFERENCES cloud.device,
    local_name text NOT NULL,
    last_seen timestamptz,
    PRIMARY KEY (gateway, device)
);
COMMENT ON TABLE cloud.gateway_device IS 'Which gateway reaches which device, under which name on the wire';

CREATE TABLE cloud.device_assignment (
    id uuid PRIMARY KEY,
    device uuid NOT NULL REFERENCES cloud.device,
    patient uuid NOT NULL,
    during tstzrange NOT NULL CHECK (NOT isempty(during)),
    assigned_by uuid REFERENCES cloud.person,
    EXCLUDE USING gist (device WITH =, during WITH &&)
);
CREATE INDEX ON cloud.device_assignment (patient);
COMMENT ON TABLE cloud.device_assignment IS 'Whose device when: one patient at a time, resolved by measurement time';

CREATE TABLE cloud.gateway_command (
    order_id uuid PRIMARY KEY,
    gateway text NOT NULL REFERENCES cloud.gateway,
    payload bytea NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    sent int NOT NULL DEFAULT 0,
    sent_at timestamptz,
    acknowledged_at timestamptz,
    state text NOT NULL DEFAULT 'waiting',
    detail text
);
CREATE INDEX gateway_command_open ON cloud.gateway_command (expires_at) WHERE acknowledged_at IS NULL;
COMMENT ON TABLE cloud.gateway_command IS 'Orders for gateways (order_id: the ServiceRequest), published again and again until acknowledged or lapsed';

CREATE FUNCTION cloud.notify_command() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('feldsher_command', '');
    RETURN NULL;
END $$;
CREATE TRIGGER gateway_command_notify AFTER INSERT ON cloud.gateway_command
    FOR EACH STATEMENT EXECUTE FUNCTION cloud.notify_command();

CREATE TABLE cloud.unassigned (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('vitals', 'ecg')),
    resource text NOT NULL,
    device uuid NOT NULL,
    gateway text NOT NULL,
    measured_at timestamptz NOT NULL,
    reason text NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    resolved_by uuid REFERENCES cloud.person
);
CREATE INDEX unassigned_open ON cloud.unassigned (measured_at) WHERE resolved_at IS NULL;
COMMENT ON TABLE cloud.unassigned IS 'Measurements that belong to nobody yet: the queue that staff works off';

-- ---------------------------------------------------------------- sign-in
CREATE TABLE cloud.session (
    token_hash bytea PRIMARY KEY,
    person uuid NOT NULL REFERENCES cloud.person,
    created timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    expires timestamptz NOT NULL
);
CREATE INDEX ON cloud.session (person);
COMMENT ON TABLE cloud.session IS 'Signed-in browsers: SHA-256 of the cookie; ended by deleting the row';

CREATE TABLE cloud.oauth_client (
    id text PRIMARY KEY,
    name text NOT NULL,
    secret_hash bytea,
    redirect_uris text[] NOT NULL DEFAULT '{}',
    grant_types text[] NOT NULL,
    scopes text[] NOT NULL,
    person uuid REFERENCES cloud.person,
    disabled_at timestamptz
);
COMMENT ON TABLE cloud.oauth_client IS 'Programs that may ask for tokens; secret_hash NULL: public client (PKCE); person: whom client credentials act as';

CREATE TABLE cloud.oauth_grant (
    id uuid PRIMARY KEY,
    client text NOT NULL REFERENCES cloud.oauth_client,
    person uuid NOT NULL REFERENCES cloud.person,
    scope text NOT NULL,
    created timestamptz NOT NULL,
    revoked_at timestamptz
);
COMMENT ON TABLE cloud.oauth_grant IS 'What a person granted to a client once; a reused code or refresh token revokes the whole grant';

CREATE TABLE cloud.oauth_code (
    code_hash bytea PRIMARY KEY,
    grant_id uuid NOT NULL REFERENCES cloud.oauth_grant,
    redirect_uri text NOT NULL,
    challenge text NOT NULL,
    nonce text,
    expires timestamptz NOT NULL,
    used_at timestamptz
);
COMMENT ON TABLE cloud.oauth_code IS 'Authorization codes (hashed), each good for one exchange within a minute';

CREATE TABLE cloud.oauth_refresh (
    token_hash bytea PRIMARY KEY,
    grant_id uuid NOT NULL REFERENCES cloud.oauth_grant,
    expires timestamptz NOT NULL,
    used_at timestamptz
);
COMMENT ON TABLE cloud.oauth_refresh IS 'Refresh tokens (hashed), rotated: each is good once';

-- ---------------------------------------------------------------- signatures and audit
CREATE TABLE cloud.signing_key (
    person uuid PRIMARY KEY REFERENCES cloud.person,
    public_pem text NOT NULL,
    salt bytea NOT NULL,
    nonce bytea NOT NULL,
    wrapped bytea NOT NULL,
    created timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE cloud.signing_key IS 'A person''s own EC P-256 key, sealed (AES-256-GCM) under a key derived from their password (argon2id)';

CREATE TABLE cloud.signature (
    id uuid PRIMARY KEY,
    report uuid NOT NULL,
    version int NOT NULL,
    person uuid NOT NULL REFERENCES cloud.person,
    at timestamptz NOT NULL,
    signed bytea NOT NULL,
    jws text NOT NULL,
    UNIQUE (report, version)
);
COMMENT ON TABLE cloud.signature IS 'Signatures: the exact bytes that were signed and the detached JWS over them; version: of the report as shown';

CREATE TABLE cloud.audit_seal (
    number bigint PRIMARY KEY,
    previous bytea NOT NULL,
    hash bytea NOT NULL,
    events int NOT NULL,
    sealed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE cloud.audit_seal IS 'The chain over audit events: hash = SHA-256(previous, SHA-256 of each sealed event in order of id)';

-- ---------------------------------------------------------------- who is asking
CREATE FUNCTION app.role() RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT coalesce(current_setting('app.role', true), '') $$;
CREATE FUNCTION app.person() RETURNS uuid LANGUAGE sql STABLE
    AS $$ SELECT nullif(current_setting('app.user', true), '')::uuid $$;
CREATE FUNCTION app.patients() RETURNS uuid[] LANGUAGE sql STABLE
    AS $$ SELECT coalesce(string_to_array(nullif(current_setting('app.patients', true), ''), ',')::uuid[], '{}') $$;
CREATE FUNCTION app.cares_for_all() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$ SELECT EXISTS (SELECT FROM cloud.care_relationship
                         WHERE person = app.person() AND patient IS NULL AND during @> now()) $$;
CREATE FUNCTION app.cared_for() RETURNS uuid[] LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$ SELECT coalesce(array_agg(patient), '{}') FROM cloud.care_relationship
          WHERE person = app.person() AND patient IS NOT NULL AND during @> now() $$;
CREATE FUNCTION app.principal(who uuid, OUT role text, OUT display text, OUT practitioner uuid, OUT patients uuid[])
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$ SELECT p.role, p.display, p.practitioner,
                 ARRAY(SELECT l.patient FROM cloud.patient_link l WHERE l.person = p.id AND l.during @> now())
          FROM cloud.person p WHERE p.id = who AND p.disabled_at IS NULL $$;
CREATE FUNCTION app.component(content jsonb, code text) RETURNS numeric LANGUAGE sql IMMUTABLE
    AS $$ SELECT (c #>> '{valueQuantity,value}')::numeric FROM jsonb_array_elements(content -> 'component') c
          WHERE c #>> '{code,coding,0,code}' = code LIMIT 1 $$;
COMMENT ON FUNCTION app.component IS 'The value of an Observation''s component by its first code';
COMMENT ON FUNCTION app.role IS 'Role of the asking person, empty where nobody is signed in';
COMMENT ON FUNCTION app.person IS 'The asking person';
COMMENT ON FUNCTION app.patients IS 'The patients for whom the asking person speaks';
COMMENT ON FUNCTION app.cares_for_all IS 'Whether the asking person is in care relationship with the whole clinic';
COMMENT ON FUNCTION app.cared_for IS 'The patients with whom the asking person is in care relationship';
COMMENT ON FUNCTION app.principal IS 'What a person is: used once per request, before the role is known';

-- ---------------------------------------------------------------- the record
CREATE FUNCTION fhir.scope_rule(scope text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE scope
        WHEN 'compartment' THEN
            'CASE (SELECT app.role())
                WHEN ''doctor'' THEN (SELECT app.cares_for_all()) OR patient_id = ANY ((SELECT app.cared_for())::uuid[])
                WHEN ''patient'' THEN patient_id = ANY ((SELECT app.patients())::uuid[])
                WHEN ''service'' THEN true
                ELSE false END'
        WHEN 'device' THEN
            'CASE (SELECT app.role())
                WHEN ''patient'' THEN id IN (SELECT a.device FROM cloud.device_assignment a
                                             WHERE a.patient = ANY ((SELECT app.patients())::uuid[]))
                ELSE (SELECT app.role()) IN (''doctor'', ''technician'', ''service'') END'
        WHEN 'directory' THEN
            '(SELECT app.role()) IN (''doctor'', ''patient'', ''technician'', ''service'')'
    END
$$;
COMMENT ON FUNCTION fhir.scope_rule IS 'Who may see a row of a type: by patient compartment, by device, or everybody signed in (directory)';

CREATE PROCEDURE fhir.create_type(
    type text, scope text, about text, arrays text[], dates text[], writers text[]
) LANGUAGE plpgsql AS $$
DECLARE
    name text := lower(type);
    history text := lower(type) || '_history';
    col text;
    rule text := fhir.scope_rule(scope);
    may_write text := format('(SELECT app.role()) = ANY (%L::text[])', writers);
BEGIN
    EXECUTE format('CREATE TABLE fhir.%I (
        id uuid PRIMARY KEY, version int NOT NULL CHECK (version > 0), updated timestamptz NOT NULL,
        txid xid8 NOT NULL DEFAULT pg_current_xact_id(), patient_id uuid, content jsonb NOT NULL)', name);
    EXECUTE format('CREATE TABLE fhir.%I (
        id uuid NOT NULL, version int NOT NULL, updated timestamptz NOT NULL,
        txid xid8 NOT NULL, patient_id uuid, content jsonb NOT NULL, PRIMARY KEY (id, version))', history);
    EXECUTE format('COMMENT ON TABLE fhir.%I IS %L', name, 'FHIR R4 ' || type || ': ' || about);
    EXECUTE format('COMMENT ON TABLE fhir.%I IS %L', history, 'FHIR R4 ' || type || ': superseded versions');
    FOREACH col IN ARRAY arrays LOOP
        EXECUTE format('ALTER TABLE fhir.%I ADD COLUMN %I text[] NOT NULL DEFAULT ''{}''', name, col);
        EXECUTE format('CREATE INDEX ON fhir.%I USING gin (%I)', name, col);
    END LOOP;
    FOREACH col IN ARRAY dates LOOP
        EXECUTE format('ALTER TABLE fhir.%I ADD COLUMN %I tstzrange', name, col);
        EXECUTE format('CREATE INDEX ON fhir.%I USING gist (%I)', name, col);
        EXECUTE format('CREATE INDEX ON fhir.%I (patient_id, lower(%I))', name, col);
    END LOOP;
    EXECUTE format('CREATE INDEX ON fhir.%I (updated, id)', name);
    FOREACH col IN ARRAY ARRAY[name, history] LOOP
        EXECUTE format('ALTER TABLE fhir.%I ENABLE ROW LEVEL SECURITY', col);
        EXECUTE format('CREATE POLICY worker ON fhir.%I TO feldsher_worker USING (true) WITH CHECK (true)', col);
        EXECUTE format('CREATE POLICY readers ON fhir.%I FOR SELECT TO feldsher_api USING (%s)', col, rule);
        EXECUTE format('CREATE POLICY writers ON fhir.%I FOR INSERT TO feldsher_api WITH CHECK (%s AND (%s))',
                       col, may_write, rule);
        EXECUTE format('GRANT SELECT, INSERT ON fhir.%I TO feldsher_api, feldsher_worker', col);
    END LOOP;
    EXECUTE format('CREATE POLICY changers ON fhir.%I FOR UPDATE TO feldsher_api USING (%s AND (%s))
                    WITH CHECK (%2$s)', name, may_write, rule);
    EXECUTE format('GRANT UPDATE ON fhir.%I TO feldsher_worker', name);
    IF cardinality(writers) > 0 THEN
        EXECUTE format('GRANT UPDATE ON fhir.%I TO feldsher_api', name);
    END IF;
END $$;
COMMENT ON PROCEDURE fhir.create_type IS
    'Makes the table of a resource type: array columns (tokens, references, strings), date ranges, history, row security';

CALL fhir.create_type('Patient', 'compartment', 'the people cared for',
    '{identifier,name,family,given,gender,active,general_practitioner,organization}', '{birthdate}', '{}');
CALL fhir.create_type('Practitioner', 'directory', 'the people who care', '{identifier,name,family,given,active}', '{}', '{}');
CALL fhir.create_type('Organization', 'directory', 'clinics', '{identifier,name,active}', '{}', '{}');
CALL fhir.create_type('Device', 'device', 'cuffs and cardiographs; whose they are is in cloud.device_assignment',
    '{identifier,type,status,model,organization}', '{}', '{}');
CALL fhir.create_type('ServiceRequest', 'compartment', 'orders, first of all "take an ECG"',
    '{identifier,status,intent,priority,code,category,subject,requester,performer,based_on}', '{authored}', '{doctor,service}');
CALL fhir.create_type('Observation', 'compartment', 'vital signs and measurements',
    '{identifier,status,code,component_code,category,subject,performer,device,based_on,part_of,has_member,derived_from}',
    '{date}', '{doctor}');
CALL fhir.create_type('DiagnosticReport', 'compartment', 'interpreted cardiograms: preliminary until signed',
    '{identifier,status,code,category,subject,performer,results_interpreter,based_on,result,conclusion,critical}', '{date,issued}', '{doctor}');
CALL fhir.create_type('Provenance', 'compartment', 'where a resource came from and who signed it',
    '{target,agent,patient,signature_type}', '{recorded}', '{doctor,service}');
CALL fhir.create_type('AuditEvent', 'compartment', 'who did what with whose data',
    '{type,subtype,action,outcome,agent,entity,patient}', '{date}', '{}');
CALL fhir.create_type('Binary', 'compartment', 'pictures; the bytes themselves stand beside the resource', '{}', '{}', '{doctor}');

ALTER TABLE fhir.binary ADD COLUMN bytes bytea NOT NULL;
ALTER TABLE fhir.binary_history ADD COLUMN bytes bytea NOT NULL;
ALTER TABLE fhir.diagnosticreport ADD COLUMN recording uuid;
CREATE UNIQUE INDEX ON fhir.diagnosticreport (recording);
COMMENT ON COLUMN fhir.diagnosticreport.recording IS 'The stored recording (ingest) that the report interprets';

-- Audit events are only ever added; a person adds them by reading, so no role is asked for.
ALTER TABLE fhir.auditevent ADD COLUMN seal bigint;
CREATE INDEX auditevent_unsealed ON fhir.auditevent (id) WHERE seal IS NULL;
CREATE INDEX auditevent_seal ON fhir.auditevent (seal);
COMMENT ON COLUMN fhir.auditevent.seal IS 'Number of the seal in cloud.audit_seal that covers this event';
DROP POLICY writers ON fhir.auditevent;
CREATE POLICY writers ON fhir.auditevent FOR INSERT TO feldsher_api WITH CHECK (seal IS NULL AND version = 1);
REVOKE UPDATE ON fhir.auditevent FROM feldsher_worker;
GRANT UPDATE (seal) ON fhir.auditevent TO feldsher_worker;

-- ---------------------------------------------------------------- rights
GRANT SELECT, INSERT, UPDATE ON cloud.gateway, cloud.device, cloud.gateway_device, cloud.gateway_command,
    cloud.unassigned, cloud.audit_seal TO feldsher_worker;
GRANT SELECT ON cloud.person, cloud.device_assignment TO feldsher_worker;

GRANT SELECT ON cloud.person, cloud.gateway, cloud.device, cloud.gateway_device, cloud.device_assignment,
    cloud.patient_link, cloud.unassigned, cloud.signing_key, cloud.signature, cloud.oauth_client TO feldsher_api;
GRANT SELECT, UPDATE ON cloud.account TO feldsher_api;
GRANT UPDATE (claim_hash, claim_expires, claimed_at, certificate_serial, certificate_expires, state, state_at)
    ON cloud.gateway TO feldsher_api;
GRANT INSERT (id, name, claim_hash, claim_expires), UPDATE (revoked_at) ON cloud.gateway TO feldsher_api;
GRANT INSERT, SELECT ON cloud.gateway_command TO feldsher_api;
GRANT INSERT ON cloud.signature TO feldsher_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON cloud.session, cloud.oauth_grant, cloud.oauth_code, cloud.oauth_refresh TO feldsher_api;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA app TO feldsher_api, feldsher_worker;

ALTER TABLE cloud.device_assignment ENABLE ROW LEVEL SECURITY;
CREATE POLICY worker ON cloud.device_assignment TO feldsher_worker USING (true);
CREATE POLICY readers ON cloud.device_assignment FOR SELECT TO feldsher_api USING (
    (SELECT app.role()) IN ('doctor', 'technician', 'service') OR patient = ANY ((SELECT app.patients())::uuid[]));
ALTER TABLE cloud.patient_link ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON cloud.patient_link FOR SELECT TO feldsher_api USING (person = (SELECT app.person()));
ALTER TABLE cloud.gateway_command ENABLE ROW LEVEL SECURITY;
CREATE POLICY worker ON cloud.gateway_command TO feldsher_worker USING (true) WITH CHECK (true);
CREATE POLICY readers ON cloud.gateway_command FOR SELECT TO feldsher_api USING (
    order_id IN (SELECT id FROM fhir.servicerequest));
CREATE POLICY writers ON cloud.gateway_command FOR INSERT TO feldsher_api WITH CHECK (
    order_id IN (SELECT id FROM fhir.servicerequest));
ALTER TABLE cloud.unassigned ENABLE ROW LEVEL SECURITY;
CREATE POLICY worker ON cloud.unassigned TO feldsher_worker USING (true) WITH CHECK (true);
CREATE POLICY readers ON cloud.unassigned FOR SELECT TO feldsher_api USING ((SELECT app.role()) = 'doctor');
ALTER TABLE cloud.signature ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON cloud.signature FOR SELECT TO feldsher_api USING (report IN (SELECT id FROM fhir.diagnosticreport));
CREATE POLICY writers ON cloud.signature FOR INSERT TO feldsher_api WITH CHECK (
    person = (SELECT app.person()) AND report IN (SELECT id FROM fhir.diagnosticreport));
ALTER TABLE cloud.signing_key ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON cloud.signing_key FOR SELECT TO feldsher_api USING (person = (SELECT app.person()));
