-- The fleet: technicians and managers, assignments by a device's user number, the life of devices and gateways.
-- Technicians and managers see devices and gateways, never a person, a measurement, or whose a device is. What their
-- pages need of other tables comes through views and functions here that leave all else out.

-- ---------------------------------------------------------------- roles
ALTER TABLE cloud.person DROP CONSTRAINT person_role_check;
ALTER TABLE cloud.person ADD CONSTRAINT person_role_check CHECK (
    role IN ('doctor', 'patient', 'technician', 'manager', 'service'));

-- Accounts of patients bear their names.
ALTER TABLE cloud.person ENABLE ROW LEVEL SECURITY;
CREATE POLICY worker ON cloud.person TO feldsher_worker USING (true);
CREATE POLICY readers ON cloud.person FOR SELECT TO feldsher_api USING (
    (SELECT app.role()) NOT IN ('technician', 'manager', 'patient') OR id = (SELECT app.person()));

CREATE FUNCTION app.keeps_fleet() RETURNS boolean LANGUAGE sql STABLE SET search_path = pg_catalog
    AS $$ SELECT app.role() = 'technician' OR (current_setting('role') = 'none' AND pg_has_role(
        session_user, (SELECT relowner FROM pg_class WHERE oid = 'cloud.device_assignment'::regclass), 'MEMBER')) $$;
COMMENT ON FUNCTION app.keeps_fleet IS 'Whether the asking person may change it: a technician, or the administrator at the command line';
CREATE FUNCTION app.sees_fleet() RETURNS boolean LANGUAGE sql STABLE
    AS $$ SELECT app.role() IN ('technician', 'manager', 'service') OR app.keeps_fleet() $$;
COMMENT ON FUNCTION app.sees_fleet IS 'Whether the asking person may see the state of gateways and devices';

-- ---------------------------------------------------------------- assignments by user number
ALTER TABLE cloud.device_assignment
    ADD COLUMN user_no int CHECK (user_no BETWEEN 0 AND 254),
    ADD COLUMN users int4range GENERATED ALWAYS AS (
        CASE WHEN user_no IS NULL THEN int4range(NULL, NULL) ELSE int4range(user_no, user_no, '[]') END) STORED;
ALTER TABLE cloud.device_assignment DROP CONSTRAINT device_assignment_device_during_excl;
ALTER TABLE cloud.device_assignment ADD CONSTRAINT device_assignment_one_at_a_time
    EXCLUDE USING gist (device WITH =, users WITH &&, during WITH &&);
COMMENT ON TABLE cloud.device_assignment IS 'Whose device when, resolved by measurement time: of one patient as a whole, or of one patient per user number';
COMMENT ON COLUMN cloud.device_assignment.user_no IS 'The user number of a shared device whose readings are this patient''s; null: the device is theirs alone, whatever number it sends';
COMMENT ON COLUMN cloud.device_assignment.users IS 'The user numbers that it covers';

DROP POLICY readers ON cloud.device_assignment;
CREATE POLICY readers ON cloud.device_assignment FOR SELECT TO feldsher_api USING (
    (SELECT app.role()) IN ('doctor', 'service') OR patient = ANY ((SELECT app.patients())::uuid[]));

CREATE VIEW cloud.device_period WITH (security_barrier) AS
SELECT id, device, user_no, lower(during) AS since, upper(during) AS until
FROM cloud.device_assignment WHERE app.sees_fleet();
COMMENT ON VIEW cloud.device_period IS 'When devices were assigned to somebody, and which user number; never to whom';

CREATE FUNCTION app.cut_assignments(of_device uuid, of_user int, ends timestamptz) RETURNS int
    LANGUAGE sql SET search_path = pg_catalog AS $$
    WITH never AS (
        DELETE FROM cloud.device_assignment a
        WHERE a.device = of_device AND (of_user IS NULL OR a.user_no = of_user)
          AND a.during @> ends AND lower(a.during) = ends RETURNING 1
    ), ended AS (
        UPDATE cloud.device_assignment a SET during = tstzrange(lower(a.during), ends)
        WHERE a.device = of_device AND (of_user IS NULL OR a.user_no = of_user)
          AND a.during @> ends AND lower(a.during) < ends RETURNING 1
    ) SELECT (SELECT count(*) FROM never)::int + (SELECT count(*) FROM ended)::int $$;
COMMENT ON FUNCTION app.cut_assignments IS 'Ends what holds at a time, of one user number or of all (null); what began at that very time never was. A part of the functions that check who asks';

CREATE FUNCTION app.assign_device(
    identity uuid, of_device uuid, of_user int, to_patient uuid, start timestamptz, ends timestamptz, person uuid
) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF NOT app.keeps_fleet() THEN
        RAISE insufficient_privilege USING MESSAGE = 'only a technician assigns devices';
    END IF;
    PERFORM FROM cloud.device d WHERE d.id = of_device FOR UPDATE;
    IF EXISTS (SELECT FROM cloud.device_assignment a WHERE a.device = of_device AND a.patient = to_patient
               AND a.user_no IS NOT DISTINCT FROM of_user AND a.during @> start) THEN
        RETURN 'theirs';
    END IF;
    IF of_user IS NOT NULL AND EXISTS (SELECT FROM cloud.device_assignment a WHERE a.device = of_device
               AND a.user_no IS NULL AND a.during @> start) THEN
        RETURN 'whole';
    END IF;
    PERFORM app.cut_assignments(of_device, of_user, start);
    INSERT INTO cloud.device_assignment (id, device, user_no, patient, during, assigned_by)
    VALUES (identity, of_device, of_user, to_patient, tstzrange(start, ends), person);
    RETURN 'assigned';
END $$;
COMMENT ON FUNCTION app.assign_device IS 'Assigns a device, or one user number of it, from a time on; what held there ends. theirs: it held already; whole: the device is one patient''s alone, and has to be shared first';

CREATE FUNCTION app.end_assignments(of_device uuid, of_user int, ends timestamptz) RETURNS int
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    planned int;
BEGIN
    IF NOT app.keeps_fleet() THEN
        RAISE insufficient_privilege USING MESSAGE = 'only a technician ends assignments';
    END IF;
    DELETE FROM cloud.device_assignment a
    WHERE a.device = of_device AND (of_user IS NULL OR a.user_no = of_user) AND lower(a.during) > ends;
    GET DIAGNOSTICS planned = ROW_COUNT;
    RETURN planned + app.cut_assignments(of_device, of_user, ends);
END $$;
COMMENT ON FUNCTION app.end_assignments IS 'Ends what holds at a time, of one user number or of all (null), and takes back what would begin later; returns how many';

CREATE FUNCTION app.share_device(identity uuid, of_device uuid, as_user int, start timestamptz, person uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    present uuid;
BEGIN
    IF NOT app.keeps_fleet() THEN
        RAISE insufficient_privilege USING MESSAGE = 'only a technician shares devices';
    END IF;
    SELECT a.patient INTO present FROM cloud.device_assignment a
    WHERE a.device = of_device AND a.user_no IS NULL AND a.during @> start FOR UPDATE;
    IF present IS NULL THEN
        RETURN false;
    END IF;
    PERFORM app.cut_assignments(of_device, NULL, start);
    INSERT INTO cloud.device_assignment (id, device, user_no, patient, during, assigned_by)
    VALUES (identity, of_device, as_user, present, tstzrange(start, NULL), person);
    RETURN true;
END $$;
COMMENT ON FUNCTION app.share_device IS 'Makes a device of one patient a shared one, that patient being its user as_user from a time on; false where nobody has it as a whole';

CREATE FUNCTION app.move_assignments(from_device uuid, to_device uuid, start timestamptz, person uuid) RETURNS int
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    moved int;
BEGIN
    IF NOT app.keeps_fleet() THEN
        RAISE insufficient_privilege USING MESSAGE = 'only a technician replaces devices';
    END IF;
    INSERT INTO cloud.device_assignment (id, device, user_no, patient, during, assigned_by)
    SELECT gen_random_uuid(), to_device, a.user_no, a.patient, tstzrange(start, upper(a.during)), person
    FROM cloud.device_assignment a WHERE a.device = from_device AND a.during @> start;
    GET DIAGNOSTICS moved = ROW_COUNT;
    PERFORM app.end_assignments(from_device, NULL, start);
    RETURN moved;
END $$;
COMMENT ON FUNCTION app.move_assignments IS 'Gives another device to whoever has one, each with their user number, from a time on; returns to how many people';

CREATE FUNCTION app.patient_to_assign(number text, OUT id uuid, OUT name text, OUT born int) RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$ SELECT p.id, concat_ws(' ', p.content #>> '{name,0,given,0}', p.content #>> '{name,0,family}'),
                 left(p.content ->> 'birthDate', 4)::int
          FROM fhir.patient p
          WHERE app.role() = 'technician' AND length(number) >= 4 AND p.identifier && ARRAY[number]
            AND position('|' IN number) = 0 $$;
COMMENT ON FUNCTION app.patient_to_assign IS 'The patient of a whole number on a card: name and year of birth, to make sure that a device goes to the right person';

-- ---------------------------------------------------------------- the life of devices and gateways
ALTER TABLE cloud.device
    ADD COLUMN label text,
    ADD COLUMN model text,
    ADD COLUMN registered_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN life text NOT NULL DEFAULT 'ready' CHECK (life IN ('ready', 'to_clean', 'retired')),
    ADD COLUMN life_at timestamptz,
    ADD COLUMN cleaned_at timestamptz,
    ADD COLUMN replaced_by uuid REFERENCES cloud.device;
COMMENT ON COLUMN cloud.device.label IS 'What stands on the clinic''s sticker';
COMMENT ON COLUMN cloud.device.life IS 'ready: may be used or assigned; to_clean: came back and may still hold readings and bonds of its last user; retired';
COMMENT ON COLUMN cloud.device.cleaned_at IS 'When somebody last confirmed that its memory and bonds are empty: only after that a reading without a time of its own can be a new user''s';
UPDATE cloud.device d SET model = (SELECT r.content ->> 'modelNumber' FROM fhir.device r WHERE r.id = d.id);

ALTER TABLE cloud.gateway
    ADD COLUMN life text NOT NULL DEFAULT 'ready' CHECK (life IN ('ready', 'returning', 'retired')),
    ADD COLUMN life_at timestamptz,
    ADD COLUMN replaced_by text REFERENCES cloud.gateway;
COMMENT ON COLUMN cloud.gateway.life IS 'ready; returning: told to forget everything, not used any more; retired';

CREATE TABLE cloud.calibration (
    id uuid PRIMARY KEY,
    device uuid NOT NULL REFERENCES cloud.device,
    done_on date NOT NULL,
    months int NOT NULL CHECK (months BETWEEN 1 AND 120),
    due_on date NOT NULL CHECK (due_on > done_on),
    done_by text NOT NULL,
    certificate text NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamptz NOT NULL
);
CREATE INDEX ON cloud.calibration (device, done_on DESC);
COMMENT ON TABLE cloud.calibration IS 'Metrological checks of devices: when, by whom, under which certificate number, and when the next is due';

CREATE TABLE cloud.fleet_action (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    gateway text REFERENCES cloud.gateway,
    device uuid REFERENCES cloud.device,
    what text NOT NULL,
    detail text NOT NULL DEFAULT '',
    asked_by text NOT NULL,
    person uuid REFERENCES cloud.person,
    CHECK (gateway IS NOT NULL OR device IS NOT NULL)
);
CREATE INDEX ON cloud.fleet_action (device, at DESC) WHERE device IS NOT NULL;
CREATE INDEX ON cloud.fleet_action (gateway, at DESC) WHERE gateway IS NOT NULL;
COMMENT ON TABLE cloud.fleet_action IS 'What was done with devices and gateways, by whom and when, as technicians see it: no person but the acting one is named';

-- ---------------------------------------------------------------- what fleet pages may know of other tables
CREATE FUNCTION app.last_measured(of_gateway text, of_device text) RETURNS timestamptz
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$ SELECT CASE WHEN app.sees_fleet() THEN greatest(
        (SELECT max(coalesce(l.corrected_time, l.time)) FROM public.vital_source s
         JOIN public.latest_reading l ON l.source = s.no WHERE s.device = of_device AND s.gateway = of_gateway),
        (SELECT coalesce(e.corrected_started_at, e.started_at) FROM public.ecg_recording e
         WHERE e.device = of_device AND e.gateway = of_gateway ORDER BY e.started_at DESC LIMIT 1)) END $$;
COMMENT ON FUNCTION app.last_measured IS 'When a device last measured something; never what';

CREATE VIEW cloud.gateway_loss WITH (security_barrier) AS
SELECT gateway, what, why, device, count, readings, first_at, last_at, received_at FROM public.gap WHERE app.sees_fleet();
COMMENT ON VIEW cloud.gateway_loss IS 'What gateways had to drop, by their own word';

CREATE VIEW cloud.device_unassigned WITH (security_barrier) AS
SELECT device, count(*) AS waiting, min(created) AS since
FROM cloud.unassigned WHERE resolved_at IS NULL AND app.sees_fleet() GROUP BY device;
COMMENT ON VIEW cloud.device_unassigned IS 'How many measurements of a device belong to nobody; not which';

CREATE VIEW cloud.fleet_standing WITH (security_barrier) AS
SELECT * FROM cloud.gateway_standing WHERE app.sees_fleet();
COMMENT ON VIEW cloud.fleet_standing IS 'What is wanted of gateways beside what they report, for everybody who sees the fleet';

-- ---------------------------------------------------------------- rights
GRANT SELECT ON cloud.device_period, cloud.gateway_loss, cloud.device_unassigned, cloud.fleet_standing TO feldsher_api;
GRANT EXECUTE ON FUNCTION app.sees_fleet, app.keeps_fleet, app.assign_device, app.end_assignments, app.share_device,
    app.move_assignments, app.patient_to_assign, app.last_measured TO feldsher_api, feldsher_worker;
REVOKE EXECUTE ON FUNCTION app.assign_device, app.end_assignments, app.share_device, app.move_assignments,
    app.patient_to_assign, app.last_measured FROM PUBLIC;

GRANT INSERT, UPDATE ON cloud.device, cloud.gateway_device TO feldsher_api;
GRANT INSERT (state), UPDATE (name, life, life_at, replaced_by) ON cloud.gateway TO feldsher_api;
GRANT SELECT, INSERT ON cloud.calibration, cloud.fleet_action TO feldsher_api;
GRANT SELECT ON cloud.calibration, cloud.fleet_action TO feldsher_worker;
GRANT INSERT ON cloud.fleet_action TO feldsher_worker;

CREATE FUNCTION pg_temp.fleet_rows(name text, readers text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE cloud.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY worker ON cloud.%I TO feldsher_worker USING (true) WITH CHECK (true)', name);
    EXECUTE format('CREATE POLICY readers ON cloud.%I FOR SELECT TO feldsher_api USING (%s)', name, readers);
    EXECUTE format('CREATE POLICY technicians_add ON cloud.%I FOR INSERT TO feldsher_api
                    WITH CHECK ((SELECT app.role()) = ''technician'')', name);
    EXECUTE format('CREATE POLICY technicians_change ON cloud.%I FOR UPDATE TO feldsher_api
                    USING ((SELECT app.role()) = ''technician'') WITH CHECK ((SELECT app.role()) = ''technician'')', name);
END $$;
SELECT pg_temp.fleet_rows('device', 'true'), pg_temp.fleet_rows('gateway_device', 'true'),
       pg_temp.fleet_rows('calibration', '(SELECT app.sees_fleet())'),
       pg_temp.fleet_rows('fleet_action', '(SELECT app.sees_fleet())');

-- The Device resource of a device that a technician registers, changes or retires.
ALTER POLICY writers ON fhir.device WITH CHECK ((SELECT app.role()) = 'technician');
ALTER POLICY writers ON fhir.device_history WITH CHECK ((SELECT app.role()) = 'technician');
ALTER POLICY changers ON fhir.device USING ((SELECT app.role()) = 'technician') WITH CHECK ((SELECT app.role()) = 'technician');
GRANT UPDATE ON fhir.device TO feldsher_api;
