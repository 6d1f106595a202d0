-- What the cloud wants of gateways and what became of it: tasks, configurations, artefacts, rollouts, diagnostics bundles.
-- A task's id is the command's id on the wire; its state is the one truth, also of a configuration or an offered update.

CREATE FUNCTION app.gateway() RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT nullif(current_setting('app.gateway', true), '') $$;
COMMENT ON FUNCTION app.gateway IS 'The asking gateway, which has proved its name by a signed request';

-- ---------------------------------------------------------------- tasks
CREATE TABLE cloud.gateway_task (
    id uuid PRIMARY KEY,
    gateway text NOT NULL REFERENCES cloud.gateway,
    kind text NOT NULL CHECK (kind IN ('config', 'update', 'diagnose', 'wipe')),
    device text NOT NULL DEFAULT '',
    payload bytea NOT NULL,
    reason text NOT NULL,
    asked_by text NOT NULL,
    person uuid REFERENCES cloud.person,
    created timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent int NOT NULL DEFAULT 0,
    sent_at timestamptz,
    answered_at timestamptz,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN (
        'waiting', 'working', 'applied', 'refused', 'rolled-back', 'failed', 'lapsed', 'withdrawn')),
    detail text,
    state_at timestamptz
);
CREATE INDEX ON cloud.gateway_task (gateway, created DESC);
CREATE INDEX gateway_task_due ON cloud.gateway_task (due_at) WHERE state = 'waiting';
CREATE INDEX gateway_task_open ON cloud.gateway_task (expires_at) WHERE state IN ('waiting', 'working');
CREATE TRIGGER gateway_task_notify AFTER INSERT ON cloud.gateway_task
    FOR EACH STATEMENT EXECUTE FUNCTION cloud.notify_command();
COMMENT ON TABLE cloud.gateway_task IS 'What a gateway is asked to do to itself: published again and again, ever more rarely, until it answers; device: the kit that a firmware is for';
COMMENT ON COLUMN cloud.gateway_task.asked_by IS 'Who asked, as shown to technicians; person: their account, null where it was an administrator at the command line';
COMMENT ON COLUMN cloud.gateway_task.due_at IS 'When it is to be published next; a gateway that comes back makes its tasks due at once';
COMMENT ON COLUMN cloud.gateway_task.state IS 'waiting: not answered; working: begun, or on trial; lapsed: not answered in time; withdrawn: not wanted any more; the others are the gateway''s words';

-- ---------------------------------------------------------------- configurations
CREATE TABLE cloud.gateway_configuration (
    gateway text NOT NULL REFERENCES cloud.gateway,
    version int NOT NULL CHECK (version > 0),
    toml text NOT NULL,
    sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    signature bytea NOT NULL CHECK (octet_length(signature) = 64),
    task uuid NOT NULL UNIQUE REFERENCES cloud.gateway_task,
    PRIMARY KEY (gateway, version)
);
COMMENT ON TABLE cloud.gateway_configuration IS 'Every configuration that was wanted of a gateway: the signed TOML text in its version; who, when, why and what became of it: its task';
COMMENT ON COLUMN cloud.gateway_configuration.sha256 IS 'Of the text in UTF-8; the gateway reports that of what is in force';

-- ---------------------------------------------------------------- artefacts and rollouts
CREATE TABLE cloud.artefact (
    sha256 text PRIMARY KEY CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    kind text NOT NULL CHECK (kind IN ('gateway', 'kit')),
    version text NOT NULL,
    sequence int NOT NULL CHECK (sequence > 0),
    target text NOT NULL DEFAULT '',
    python text NOT NULL DEFAULT '',
    board text NOT NULL DEFAULT '',
    size bigint NOT NULL CHECK (size > 0),
    manifest bytea NOT NULL,
    signature bytea NOT NULL CHECK (octet_length(signature) = 64),
    release_key text NOT NULL REFERENCES cloud.release_key,
    added_by text NOT NULL,
    added_at timestamptz NOT NULL,
    UNIQUE (kind, target, python, board, sequence)
);
COMMENT ON TABLE cloud.artefact IS 'Signed updates that may be offered; their bytes are files of the artefact store, named by their SHA-256';
COMMENT ON COLUMN cloud.artefact.manifest IS 'The very bytes that release_key has signed (feldsher_ehr_core.signed); the columns before it are copies';

CREATE TABLE cloud.rollout (
    id uuid PRIMARY KEY,
    artefact text NOT NULL REFERENCES cloud.artefact,
    reason text NOT NULL,
    asked_by text NOT NULL,
    person uuid REFERENCES cloud.person,
    created timestamptz NOT NULL,
    stages int[] NOT NULL CHECK (cardinality(stages) > 0),
    least_applied int NOT NULL CHECK (least_applied BETWEEN 1 AND 100),
    most_failed int NOT NULL CHECK (most_failed BETWEEN 0 AND 99),
    observe_s int NOT NULL CHECK (observe_s >= 0),
    stage int NOT NULL DEFAULT -1,
    stage_at timestamptz,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'paused', 'halted', 'done')),
    why text,
    state_at timestamptz NOT NULL
);
COMMENT ON TABLE cloud.rollout IS 'An update brought to gateways in stages; halted where the failed share passes its limit, paused and resumed by people';
COMMENT ON COLUMN cloud.rollout.stages IS 'Share of the targets, percent, that each stage reaches in all; the last is 100';
COMMENT ON COLUMN cloud.rollout.least_applied IS 'Share of what was offered, percent, that must run it before the next stage begins';
COMMENT ON COLUMN cloud.rollout.most_failed IS 'Share of what was offered, percent, above which failures halt the rollout';
COMMENT ON COLUMN cloud.rollout.observe_s IS 'Seconds that a stage is observed before the next begins';
COMMENT ON COLUMN cloud.rollout.stage IS 'The newest stage that was offered, -1: none yet; stage_at: since when';

CREATE TABLE cloud.rollout_target (
    rollout uuid NOT NULL REFERENCES cloud.rollout,
    gateway text NOT NULL REFERENCES cloud.gateway,
    device text NOT NULL DEFAULT '',
    stage int NOT NULL CHECK (stage >= 0),
    task uuid UNIQUE REFERENCES cloud.gateway_task,
    PRIMARY KEY (rollout, gateway, device)
);
CREATE INDEX ON cloud.rollout_target (gateway);
COMMENT ON TABLE cloud.rollout_target IS 'Whom a rollout reaches in which stage; task: the offer, null while its stage has not come; device: the kit';

-- ---------------------------------------------------------------- diagnostics
CREATE TABLE cloud.diagnostics_bundle (
    id uuid PRIMARY KEY,
    gateway text NOT NULL REFERENCES cloud.gateway,
    task uuid NOT NULL UNIQUE REFERENCES cloud.gateway_task,
    received_at timestamptz NOT NULL,
    keep_until timestamptz NOT NULL,
    size int NOT NULL CHECK (size = octet_length(content)),
    sha256 text NOT NULL,
    content bytea NOT NULL
);
CREATE INDEX ON cloud.diagnostics_bundle (gateway, received_at DESC);
CREATE INDEX ON cloud.diagnostics_bundle (keep_until);
COMMENT ON TABLE cloud.diagnostics_bundle IS 'Bundles (ZIP of JSON, nothing personal) that gateways sent because somebody asked (task); deleted after keep_until';

-- ---------------------------------------------------------------- what is wanted beside what is reported
CREATE VIEW cloud.gateway_reported WITH (security_invoker = true) AS
SELECT id AS gateway,
       (detail #>> '{report,at}')::timestamptz AS at,
       detail #>> '{report,software}' AS software,
       coalesce((detail #>> '{report,config}')::int, 0) AS config,
       detail #>> '{report,config_sha256}' AS config_sha256,
       coalesce((detail #>> '{report,config_wanted}')::int, 0) AS config_wanted,
       coalesce(detail #>> '{report,config_state}', 'none') AS config_state,
       detail #>> '{report,config_detail}' AS config_detail,
       coalesce((detail #>> '{report,update}')::int, 0) AS update_sequence,
       coalesce((detail #>> '{report,update_wanted}')::int, 0) AS update_wanted,
       coalesce(detail #>> '{report,update_state}', 'none') AS update_state,
       detail #>> '{report,update_detail}' AS update_detail,
       detail #>> '{report,slot}' AS slot,
       to_timestamp((detail #>> '{report,certificate_until_us}')::bigint / 1e6) AS certificate_until
FROM cloud.gateway WHERE detail ? 'report';
COMMENT ON VIEW cloud.gateway_reported IS 'The newest report of each gateway on its configuration, software and certificate';

CREATE VIEW cloud.gateway_standing WITH (security_invoker = true) AS
SELECT g.id AS gateway, r.at AS reported_at, r.software,
       coalesce(c.version, 0) AS config_wanted, c.state AS config_state, c.detail AS config_detail, c.state_at AS config_at,
       coalesce(r.config, 0) AS config,
       coalesce(c.version, 0) <> coalesce(r.config, 0)
           OR (c.version IS NOT NULL AND r.config_sha256 IS NOT NULL AND r.config_sha256 <> c.sha256) AS config_differs,
       coalesce(u.sequence, 0) AS update_wanted, u.version AS update_version, u.state AS update_state, u.detail AS update_detail,
       coalesce(r.update_sequence, 0) AS update_sequence, r.slot,
       coalesce(u.sequence, 0) > coalesce(r.update_sequence, 0) AS update_differs,
       (SELECT count(*) FROM cloud.gateway_task t WHERE t.gateway = g.id AND t.state IN ('waiting', 'working')) AS open_tasks,
       (SELECT max(b.received_at) FROM cloud.diagnostics_bundle b WHERE b.gateway = g.id) AS bundle_at
FROM cloud.gateway g
LEFT JOIN cloud.gateway_reported r ON r.gateway = g.id
LEFT JOIN LATERAL (
    SELECT c.version, c.sha256, t.state, t.detail, coalesce(t.state_at, t.created) AS state_at
    FROM cloud.gateway_configuration c JOIN cloud.gateway_task t ON t.id = c.task
    WHERE c.gateway = g.id AND t.state <> 'withdrawn' ORDER BY c.version DESC LIMIT 1) c ON true
LEFT JOIN LATERAL (
    SELECT a.sequence, a.version, t.state, t.detail
    FROM cloud.rollout_target x JOIN cloud.rollout o ON o.id = x.rollout JOIN cloud.artefact a ON a.sha256 = o.artefact
    JOIN cloud.gateway_task t ON t.id = x.task
    WHERE x.gateway = g.id AND x.device = '' AND t.state <> 'withdrawn' ORDER BY t.created DESC, t.id DESC LIMIT 1) u ON true;
COMMENT ON VIEW cloud.gateway_standing IS 'What is wanted of each gateway beside what it reports, and whether they differ';

-- ---------------------------------------------------------------- rights
CREATE FUNCTION app.offered() RETURNS text[] LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$ SELECT coalesce(array_agg(o.artefact), '{}') FROM cloud.rollout_target x JOIN cloud.rollout o ON o.id = x.rollout
          JOIN cloud.gateway_task t ON t.id = x.task
          WHERE x.gateway = app.gateway() AND t.state IN ('waiting', 'working') $$;
COMMENT ON FUNCTION app.offered IS 'The artefacts that the asking gateway may fetch: offered to it, and not settled yet';
GRANT EXECUTE ON FUNCTION app.gateway, app.offered TO feldsher_api, feldsher_worker;

GRANT SELECT, INSERT, UPDATE ON cloud.gateway_task, cloud.rollout, cloud.rollout_target TO feldsher_worker;
GRANT SELECT ON cloud.gateway_configuration, cloud.artefact TO feldsher_worker;
GRANT SELECT, DELETE ON cloud.diagnostics_bundle TO feldsher_worker;
GRANT SELECT ON cloud.gateway_reported, cloud.gateway_standing TO feldsher_worker, feldsher_api;
GRANT SELECT, INSERT ON cloud.gateway_task, cloud.gateway_configuration, cloud.rollout, cloud.rollout_target,
    cloud.diagnostics_bundle TO feldsher_api;
GRANT UPDATE (state, detail, state_at) ON cloud.gateway_task TO feldsher_api;
GRANT UPDATE (state, why, state_at) ON cloud.rollout TO feldsher_api;
GRANT SELECT ON cloud.artefact TO feldsher_api;

CREATE FUNCTION pg_temp.technicians_only(name text, writable boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE cloud.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY worker ON cloud.%I TO feldsher_worker USING (true) WITH CHECK (true)', name);
    EXECUTE format('CREATE POLICY technicians ON cloud.%I FOR SELECT TO feldsher_api
                    USING ((SELECT app.role()) = ''technician'')', name);
    IF writable THEN
        EXECUTE format('CREATE POLICY technicians_add ON cloud.%I FOR INSERT TO feldsher_api
                        WITH CHECK ((SELECT app.role()) = ''technician'')', name);
        EXECUTE format('CREATE POLICY technicians_change ON cloud.%I FOR UPDATE TO feldsher_api
                        USING ((SELECT app.role()) = ''technician'') WITH CHECK ((SELECT app.role()) = ''technician'')', name);
    END IF;
END $$;
SELECT pg_temp.technicians_only('gateway_task', true), pg_temp.technicians_only('gateway_configuration', true),
       pg_temp.technicians_only('rollout', true), pg_temp.technicians_only('rollout_target', true),
       pg_temp.technicians_only('artefact', false), pg_temp.technicians_only('diagnostics_bundle', false);
-- A gateway sees what it was offered and what it was asked to send, and adds nothing but that.
CREATE POLICY gateways ON cloud.artefact FOR SELECT TO feldsher_api USING (sha256 = ANY ((SELECT app.offered())::text[]));
CREATE POLICY gateways ON cloud.gateway_task FOR SELECT TO feldsher_api USING (gateway = (SELECT app.gateway()));
CREATE POLICY gateways ON cloud.diagnostics_bundle FOR INSERT TO feldsher_api WITH CHECK (
    gateway = (SELECT app.gateway()) AND task IN (
        SELECT t.id FROM cloud.gateway_task t WHERE t.kind = 'diagnose' AND t.state IN ('waiting', 'working')));
