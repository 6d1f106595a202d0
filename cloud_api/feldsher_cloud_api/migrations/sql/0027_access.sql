-- Who may do what, in the database too: rights as rows (loaded from rights.toml by each `migrate`), whose rows a person
-- reaches (care, grants, consents), and one procedure that makes the policies of all tables of the record from a type's
-- class. Policies ask functions without a row as argument, so each is asked once per statement, never per row.

-- ---------------------------------------------------------------- rights as rows
CREATE TABLE app.type (
    name text PRIMARY KEY,
    class text NOT NULL CHECK (class IN ('compartment', 'device', 'directory', 'staff')),
    term bigint GENERATED ALWAYS AS (fhir.term('kind=' || name)) STORED);
COMMENT ON TABLE app.type IS 'Who sees a row of a resource type: rights.toml, groups';
CREATE TABLE app.role_kind (
    name text PRIMARY KEY, reach text NOT NULL CHECK (reach IN ('all', 'care', 'granted', 'own', 'none')),
    purpose text NOT NULL, emergency boolean NOT NULL);
COMMENT ON TABLE app.role_kind IS 'Roles: whose rows they reach, why they ask, and whether they may break the glass: rights.toml, roles';
CREATE TABLE app.rights (role text NOT NULL, type text NOT NULL, letters text NOT NULL, PRIMARY KEY (role, type));
COMMENT ON TABLE app.rights IS 'What a role may do with a type (c r u d s): rights.toml, right';
CREATE TABLE app.limits (name text PRIMARY KEY, value int NOT NULL);
COMMENT ON TABLE app.limits IS 'Numbers of rights.toml: ages and durations';
CREATE TABLE app.secured (mark text NOT NULL);
COMMENT ON TABLE app.secured IS 'For which types, classes and tables the policies were made: app.secure does nothing where that is what there is';
GRANT SELECT ON app.type, app.role_kind, app.rights, app.limits TO feldsher_api, feldsher_worker;

-- ---------------------------------------------------------------- people
ALTER TABLE cloud.person DROP CONSTRAINT person_role_check;
ALTER TABLE cloud.person ADD CONSTRAINT person_role_check CHECK (role IN (
    'doctor', 'feldsher', 'nurse', 'registrar', 'pharmacist', 'examiner', 'patient', 'proxy', 'technician', 'manager',
    'service', 'client-administrator'));
DROP POLICY readers ON cloud.person;
-- Accounts of patients bear their names: only who works with patients reads them.
CREATE POLICY readers ON cloud.person FOR SELECT TO feldsher_api USING (
    (SELECT app.role()) IN ('', 'gateway', 'doctor', 'feldsher', 'nurse', 'registrar', 'service') OR id = (SELECT app.person()));

ALTER TABLE cloud.patient_link ADD COLUMN kind text NOT NULL DEFAULT 'self'
    CHECK (kind IN ('self', 'parent', 'guardian', 'agent', 'heir'));
COMMENT ON COLUMN cloud.patient_link.kind IS
    'Why: self; parent and guardian until the patient is of age; agent (of an adult) while the period lasts; heir after death alone';

CREATE TABLE cloud.staff (
    person uuid NOT NULL REFERENCES cloud.person,
    organization uuid NOT NULL,
    during tstzrange NOT NULL DEFAULT tstzrange(now(), NULL),
    PRIMARY KEY (person, organization)
);
COMMENT ON TABLE cloud.staff IS 'Who works for which Organization: they care for its patients, and consents may name it';
CREATE TABLE cloud.clinic_patient (
    organization uuid NOT NULL,
    patient uuid NOT NULL,
    during tstzrange NOT NULL DEFAULT tstzrange(now(), NULL),
    PRIMARY KEY (organization, patient)
);
CREATE INDEX ON cloud.clinic_patient (patient);
COMMENT ON TABLE cloud.clinic_patient IS 'Whose patients an Organization cares for';
CREATE INDEX ON cloud.care_relationship (person, patient);

CREATE TABLE cloud.access_grant (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind text NOT NULL CHECK (kind IN ('examination', 'emergency')),
    person uuid NOT NULL REFERENCES cloud.person,
    patient uuid NOT NULL,
    purpose text,
    during tstzrange NOT NULL CHECK (NOT isempty(during) AND NOT upper_inf(during)),
    reason text NOT NULL,
    granted_by uuid REFERENCES cloud.person,
    created timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON cloud.access_grant (person, patient);
CREATE INDEX access_grant_emergency ON cloud.access_grant (created) WHERE kind = 'emergency';
COMMENT ON TABLE cloud.access_grant IS 'Access for a time, with its reason: of an insurer''s examiner to a case (examination), or of who broke the glass (emergency)';
COMMENT ON COLUMN cloud.access_grant.purpose IS 'Holds only for who asks for this purpose (HL7 v3 PurposeOfUse); null: for any';

-- ---------------------------------------------------------------- who is asking (plpgsql keeps its plans, SQL functions do not)
CREATE FUNCTION app.chosen() RETURNS uuid LANGUAGE sql STABLE
    AS $$ SELECT nullif(current_setting('app.patient', true), '')::uuid $$;
COMMENT ON FUNCTION app.chosen IS 'The one patient that was chosen when a program was launched: nobody else''s rows are reached';
CREATE FUNCTION app.may(kind text, letter text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM app.rights r
                   WHERE r.role = current_setting('app.role', true) AND r.type = kind AND strpos(r.letters, letter) > 0);
END $$;
COMMENT ON FUNCTION app.may IS 'Whether the asking role may do this (c r u d s) with a resource type at all';
CREATE FUNCTION app.kinds(of_class text, any_of text) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(SELECT r.type FROM app.rights r JOIN app.type t ON t.name = r.type
                 WHERE r.role = current_setting('app.role', true) AND t.class = of_class
                   AND translate(r.letters, any_of, '') <> r.letters);
END $$;
COMMENT ON FUNCTION app.kinds IS 'The types of a class with which the asking role may do one of these';
CREATE FUNCTION app.kind_terms(of_class text, any_of text) RETURNS bigint[] LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(SELECT t.term FROM app.type t WHERE t.name = ANY (app.kinds(of_class, any_of)));
END $$;
COMMENT ON FUNCTION app.kind_terms IS 'The same types as fhir.amount knows them';
CREATE FUNCTION app.reach() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN coalesce((SELECT k.reach FROM app.role_kind k WHERE k.name = current_setting('app.role', true)), 'none');
END $$;
COMMENT ON FUNCTION app.reach IS 'Whose rows the asking role reaches: all, care, granted, own, none';
CREATE FUNCTION app.purpose() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN coalesce(nullif(current_setting('app.purpose', true), ''),
                    (SELECT k.purpose FROM app.role_kind k WHERE k.name = current_setting('app.role', true)));
END $$;
COMMENT ON FUNCTION app.purpose IS 'Why somebody asks: as they said, else as their role does';
CREATE OR REPLACE FUNCTION app.cares_for_all() RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    RETURN EXISTS (SELECT FROM cloud.care_relationship c
                   WHERE c.person = app.person() AND c.patient IS NULL AND c.during @> now());
END $$;
CREATE FUNCTION app.everyone() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE reach text := app.reach();
BEGIN
    RETURN reach = 'all' OR reach = 'care' AND app.cares_for_all();
END $$;
COMMENT ON FUNCTION app.everyone IS 'Whether the asking person reaches every patient';
CREATE FUNCTION app.organizations() RETURNS uuid[] LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    RETURN ARRAY(SELECT s.organization FROM cloud.staff s WHERE s.person = app.person() AND s.during @> now());
END $$;
COMMENT ON FUNCTION app.organizations IS 'The Organizations for which the asking person works';
CREATE FUNCTION app.actors() RETURNS text[] LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE mine uuid := (SELECT p.practitioner FROM cloud.person p WHERE p.id = app.person());
BEGIN
    RETURN ARRAY(SELECT 'Practitioner/' || mine WHERE mine IS NOT NULL
        UNION ALL SELECT 'Practitioner/' || f.logical FROM fhir.practitioner f WHERE f.id = mine AND f.logical IS NOT NULL
        UNION ALL SELECT 'Organization/' || o FROM unnest(app.organizations()) o
        UNION ALL SELECT 'Organization/' || f.logical FROM fhir.organization f
                  WHERE f.id = ANY (app.organizations()) AND f.logical IS NOT NULL);
END $$;
COMMENT ON FUNCTION app.actors IS 'The references under which a Consent may name the asking person: their own and their organizations''';

-- ---------------------------------------------------------------- consent
CREATE TABLE app.consent_rule (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consent uuid NOT NULL,
    parent bigint REFERENCES app.consent_rule ON DELETE CASCADE,
    patient uuid NOT NULL,
    deny boolean NOT NULL,
    actors text[],
    types text[],
    purposes text[],
    during tstzrange NOT NULL
);
CREATE INDEX ON app.consent_rule (consent);
CREATE INDEX ON app.consent_rule (parent);
CREATE INDEX ON app.consent_rule (patient) WHERE deny;
CREATE INDEX ON app.consent_rule USING gin (actors) WHERE NOT deny AND parent IS NULL;
COMMENT ON TABLE app.consent_rule IS 'What active Consents say, kept by a trigger on fhir.consent: a denial, its exceptions (parent), a permission; null: any';

CREATE FUNCTION app.consent_actors(provision jsonb, deny boolean) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    -- A denial that names whom we cannot tell holds for all staff: denying too much is seen, too little is not.
    SELECT CASE WHEN provision -> 'actor' IS NULL THEN NULL
                WHEN deny AND bool_or(coalesce(r !~ '(^|/)(Practitioner|Organization|Patient|RelatedPerson)/[^/]+(/_history/[^/]+)?$', true)) THEN NULL
                ELSE array_agg(substring(r FROM '([A-Z][A-Za-z]+/[^/]+)(?:/_history/[^/]+)?$')) END
    FROM (SELECT a #>> '{reference,reference}' AS r FROM jsonb_array_elements(
            CASE jsonb_typeof(provision -> 'actor') WHEN 'array' THEN provision -> 'actor' ELSE '[]' END) a) refs $$;
CREATE FUNCTION app.consent_codes(codings jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(c ->> 'code') FROM jsonb_array_elements(
        CASE jsonb_typeof(codings) WHEN 'array' THEN codings ELSE '[]' END) c $$;
CREATE FUNCTION app.consent_period(provision jsonb) RETURNS tstzrange LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE since text := provision #>> '{period,start}'; until text := provision #>> '{period,end}';
BEGIN
    -- Partial dates: a period lasts from the first to the last moment of what was written.
    RETURN tstzrange(app.moment(since), app.moment(until) + CASE
        WHEN until ~ 'T' THEN interval '0' WHEN length(until) = 4 THEN interval '1 year'
        WHEN length(until) = 7 THEN interval '1 month' ELSE interval '1 day' END);
EXCEPTION WHEN others THEN
    RETURN tstzrange(NULL, NULL);
END $$;
CREATE FUNCTION app.moment(text) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE length($1) WHEN 4 THEN ($1 || '-01-01T00:00:00Z')::timestamptz WHEN 7 THEN ($1 || '-01T00:00:00Z')::timestamptz
                WHEN 10 THEN ($1 || 'T00:00:00Z')::timestamptz ELSE $1::timestamptz END $$;
COMMENT ON FUNCTION app.moment IS 'The first moment of a FHIR date or time, a date in UTC';
CREATE FUNCTION app.concerns_reading(provision jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT provision -> 'action' IS NULL OR EXISTS (
        SELECT FROM jsonb_path_query(provision, '$.action[*].coding[*].code') c WHERE c #>> '{}' IN ('access', 'use', 'disclose')) $$;
COMMENT ON FUNCTION app.concerns_reading IS 'Whether a provision is about access at all, and not about collecting or correcting alone';

CREATE FUNCTION app.add_consent_rule(of_consent uuid, of_patient uuid, provision jsonb, above bigint, denies boolean) RETURNS bigint
    LANGUAGE plpgsql AS $$
DECLARE made bigint; known text[] := app.consent_codes(provision -> 'class');
BEGIN
    -- Finer conditions (codes, labels, single data) are not told apart: a denial holds for all of its types, a permission not at all.
    IF NOT denies AND (provision ?| ARRAY['code', 'securityLabel', 'data', 'dataPeriod']) THEN RETURN NULL; END IF;
    IF known IS NOT NULL AND NOT known && ARRAY(SELECT k.type FROM fhir.kind k) THEN
        IF NOT denies THEN RETURN NULL; END IF;
        known := NULL;
    END IF;
    INSERT INTO app.consent_rule (consent, parent, patient, deny, actors, types, purposes, during)
    VALUES (of_consent, above, of_patient, denies, app.consent_actors(provision, denies), known,
            app.consent_codes(provision -> 'purpose'), app.consent_period(provision))
    RETURNING id INTO made;
    RETURN made;
END $$;
CREATE FUNCTION app.project_consent() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE root jsonb; part jsonb; above bigint; denies boolean;
BEGIN
    IF TG_OP <> 'INSERT' THEN DELETE FROM app.consent_rule WHERE consent = OLD.id; END IF;
    IF TG_OP = 'DELETE' THEN RETURN NULL; END IF;
    root := NEW.content -> 'provision';
    IF NEW.patient_id IS NULL OR root IS NULL OR NEW.content ->> 'status' IS DISTINCT FROM 'active'
       OR NEW.content #>> '{scope,coding,0,code}' IN ('adr', 'treatment') THEN RETURN NULL; END IF;
    denies := coalesce(root ->> 'type', 'permit') = 'deny';
    IF app.concerns_reading(root) THEN
        above := app.add_consent_rule(NEW.id, NEW.patient_id, root, NULL, denies);
    END IF;
    -- Exceptions: of a denial what is permitted after all, of a permission what is denied. Deeper ones: the denials alone.
    FOR part IN SELECT p || jsonb_build_object('period', coalesce(p -> 'period', root -> 'period'))
                FROM jsonb_path_query(root, '$.provision[*]') p LOOP
        IF app.concerns_reading(part) AND (part ->> 'type' = 'deny') IS DISTINCT FROM denies THEN
            PERFORM app.add_consent_rule(NEW.id, NEW.patient_id, part,
                CASE WHEN denies THEN above END, part ->> 'type' = 'deny');
        END IF;
    END LOOP;
    FOR part IN SELECT p FROM jsonb_path_query(root, '$.provision[*].provision.** ? (@.type == "deny")') p LOOP
        PERFORM app.add_consent_rule(NEW.id, NEW.patient_id, part, NULL, true);
    END LOOP;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION app.project_consent IS 'Keeps app.consent_rule beside fhir.consent, whoever writes it';
CREATE TRIGGER consent_rules AFTER INSERT OR UPDATE OR DELETE ON fhir.consent FOR EACH ROW EXECUTE FUNCTION app.project_consent();
UPDATE fhir.consent SET version = version;  -- the rules of what is stored already

CREATE VIEW app.denied WITH (security_barrier) AS
SELECT d.patient, t.name AS type, t.term
FROM app.consent_rule d JOIN app.type t ON d.types IS NULL OR t.name = ANY (d.types)
WHERE d.deny AND d.during @> now()
  AND (d.actors IS NULL OR d.actors && (SELECT app.actors()))
  AND (d.purposes IS NULL OR (SELECT app.purpose()) = ANY (d.purposes))
  AND NOT EXISTS (SELECT FROM app.consent_rule p WHERE p.parent = d.id AND p.during @> now()
                  AND (p.types IS NULL OR t.name = ANY (p.types))
                  AND (p.actors IS NULL OR p.actors && (SELECT app.actors()))
                  AND (p.purposes IS NULL OR (SELECT app.purpose()) = ANY (p.purposes)))
  AND NOT EXISTS (SELECT FROM cloud.access_grant g WHERE g.kind = 'emergency' AND g.person = (SELECT app.person())
                  AND g.patient = d.patient AND g.during @> now());
COMMENT ON VIEW app.denied IS 'What consents keep from the asking person: patient and type; one denial is enough, breaking the glass ends it for a while';

CREATE VIEW app.reached WITH (security_barrier) AS
SELECT c.patient FROM cloud.care_relationship c
WHERE (SELECT app.reach()) = 'care' AND c.person = (SELECT app.person()) AND c.patient IS NOT NULL AND c.during @> now()
UNION ALL
SELECT p.patient FROM cloud.clinic_patient p
WHERE (SELECT app.reach()) = 'care' AND p.organization = ANY ((SELECT app.organizations())::uuid[]) AND p.during @> now()
UNION ALL
SELECT g.patient FROM cloud.access_grant g
WHERE (SELECT app.reach()) IN ('care', 'granted') AND g.person = (SELECT app.person()) AND g.during @> now()
  AND (g.purpose IS NULL OR g.purpose = (SELECT app.purpose()))
UNION ALL
SELECT r.patient FROM app.consent_rule r
WHERE (SELECT app.reach()) IN ('care', 'granted') AND NOT r.deny AND r.parent IS NULL AND r.during @> now()
  AND r.types IS NULL AND r.actors && (SELECT app.actors()) AND (r.purposes IS NULL OR (SELECT app.purpose()) = ANY (r.purposes));
COMMENT ON VIEW app.reached IS 'Whose rows the asking person reaches beside "all": in their or their clinic''s care, granted to them, permitted by the patient';

-- ---------------------------------------------------------------- what policies ask, once per statement
-- Up to so many patients are a list; of more each row's patient is looked up.
CREATE FUNCTION app.mode() RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE reach text := app.reach();
BEGIN
    IF reach = 'none' THEN RETURN 'none'; END IF;
    IF reach = 'own' OR app.chosen() IS NOT NULL THEN RETURN 'few'; END IF;
    IF reach = 'all' OR reach = 'care' AND app.cares_for_all() THEN RETURN 'all'; END IF;
    RETURN CASE WHEN (SELECT count(*) FROM (SELECT FROM app.reached LIMIT 201) found) > 200 THEN 'many' ELSE 'few' END;
END $$;
COMMENT ON FUNCTION app.mode IS 'How the rows within reach are told: all; few (app.named); many (app.reaches); none';
CREATE FUNCTION app.reaches(of_patient uuid) RETURNS boolean
    LANGUAGE plpgsql STABLE COST 1000 SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    RETURN EXISTS (SELECT FROM app.reached r WHERE r.patient = of_patient);
END $$;
COMMENT ON FUNCTION app.reaches IS 'Whether a patient is in care of, granted to, or open to the asking person by name';
CREATE FUNCTION app.named() RETURNS uuid[] LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE one uuid := app.chosen();
BEGIN
    IF app.reach() = 'own' THEN
        RETURN CASE WHEN one IS NULL THEN app.patients() WHEN one = ANY (app.patients()) THEN ARRAY[one] ELSE '{}' END;
    END IF;
    IF one IS NOT NULL THEN
        RETURN CASE WHEN app.everyone() OR app.reaches(one) THEN ARRAY[one] ELSE '{}' END;
    END IF;
    RETURN ARRAY(SELECT DISTINCT patient FROM app.reached LIMIT 201);
END $$;
COMMENT ON FUNCTION app.named IS 'Whose rows are within reach, where app.mode is few';
CREATE FUNCTION app.bound() RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE mine text[]; denials bigint;
BEGIN
    IF app.reach() = 'own' OR NOT EXISTS (SELECT FROM app.consent_rule WHERE deny) THEN RETURN 'none'; END IF;
    mine := app.actors();
    denials := (SELECT count(*) FROM (SELECT FROM app.consent_rule r WHERE r.deny AND r.during @> now()
                                    AND (r.actors IS NULL OR r.actors && mine) LIMIT 201) found);
    RETURN CASE WHEN denials = 0 THEN 'none' WHEN denials > 200 THEN 'many' ELSE 'few' END;
END $$;
COMMENT ON FUNCTION app.bound IS 'Whether denials can concern the asking person: none; few (app.withheld); many (app.is_open)';
CREATE FUNCTION app.withheld(of_type text) RETURNS uuid[] LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    RETURN ARRAY(SELECT DISTINCT d.patient FROM app.denied d WHERE d.type = of_type OR of_type = '*');
END $$;
COMMENT ON FUNCTION app.withheld IS 'Of whom a type (*: some type) is withheld from the asking person';
CREATE FUNCTION app.is_open(of_patient uuid, of_type text) RETURNS boolean
    LANGUAGE plpgsql STABLE COST 1000 SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    RETURN NOT EXISTS (SELECT FROM app.denied d WHERE d.patient = of_patient AND d.type = of_type);
END $$;
COMMENT ON FUNCTION app.is_open IS 'Whether no consent withholds a type of a patient from the asking person';
CREATE FUNCTION app.is_open(of_patient uuid, of_kind bigint) RETURNS boolean
    LANGUAGE plpgsql STABLE COST 1000 SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    RETURN NOT EXISTS (SELECT FROM app.denied d WHERE d.patient = of_patient AND d.term = of_kind);
END $$;
COMMENT ON FUNCTION app.is_open(uuid, bigint) IS 'The same of a type as fhir.amount knows it';

CREATE OR REPLACE FUNCTION app.cared_for() RETURNS uuid[] LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    RETURN ARRAY(SELECT DISTINCT patient FROM app.reached);
END $$;
COMMENT ON FUNCTION app.cared_for IS 'The patients whom the asking person reaches by name, not as the whole clinic';

-- ---------------------------------------------------------------- patients and who speaks for them
CREATE FUNCTION app.is_dead(patient jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE
    AS $$ SELECT coalesce(patient ->> 'deceasedBoolean' = 'true' OR patient ? 'deceasedDateTime', false) $$;
CREATE FUNCTION app.is_minor(patient jsonb, today date) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE years int := (SELECT value FROM app.limits WHERE name = 'majority_years');
BEGIN
    -- Of a partial date the earliest day, and without one nothing is known: a proxy's right ends rather too early.
    RETURN coalesce((app.moment(patient ->> 'birthDate') AT TIME ZONE 'UTC')::date + make_interval(years => years) > today, false);
END $$;
COMMENT ON FUNCTION app.is_minor IS 'Whether a Patient is surely not of age on a day';
CREATE OR REPLACE FUNCTION app.principal(who uuid, OUT role text, OUT display text, OUT practitioner uuid, OUT patients uuid[])
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    SELECT p.role, p.display, p.practitioner,
           CASE WHEN p.role IN ('patient', 'proxy') THEN ARRAY(
               SELECT l.patient FROM cloud.patient_link l LEFT JOIN fhir.patient f ON f.id = l.patient
               WHERE l.person = p.id AND l.during @> now() AND (p.role = 'patient' OR l.kind <> 'self')
                 AND CASE WHEN app.is_dead(f.content) THEN l.kind = 'heir'
                          -- the day begins in the east of the world: +14:00
                          WHEN l.kind IN ('parent', 'guardian')
                              THEN app.is_minor(f.content, ((now() + interval '14 hours') AT TIME ZONE 'UTC')::date)
                          ELSE l.kind IN ('self', 'agent') END
               ORDER BY l.kind <> 'self', l.patient) ELSE '{}' END
    INTO role, display, practitioner, patients
    FROM cloud.person p WHERE p.id = who AND p.disabled_at IS NULL;
END $$;

CREATE FUNCTION app.register_care() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF app.reach() = 'care' AND NOT app.cares_for_all() THEN
        INSERT INTO cloud.care_relationship (id, person, patient, reason)
        VALUES (gen_random_uuid(), app.person(), NEW.id, 'registered them');
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION app.register_care IS 'Who registers a patient cares for them: nobody creates what they may not see';
CREATE TRIGGER registered AFTER INSERT ON fhir.patient FOR EACH ROW EXECUTE FUNCTION app.register_care();

-- ---------------------------------------------------------------- breaking the glass
CREATE FUNCTION app.break_glass(of_patient uuid, why text) RETURNS timestamptz
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE until timestamptz;
BEGIN
    IF NOT EXISTS (SELECT FROM app.role_kind WHERE name = app.role() AND emergency) OR app.person() IS NULL THEN
        RAISE insufficient_privilege USING MESSAGE = 'this role may not break the glass';
    END IF;
    IF length(btrim(why)) < (SELECT value FROM app.limits WHERE name = 'break_glass_reason') THEN
        RAISE invalid_parameter_value USING MESSAGE = 'breaking the glass needs a reason';
    END IF;
    INSERT INTO cloud.access_grant (kind, person, patient, during, reason, granted_by)
    SELECT 'emergency', app.person(), p.id, tstzrange(now(), now() + make_interval(mins => l.value)), btrim(why), app.person()
    FROM fhir.patient p, app.limits l WHERE p.id = of_patient AND l.name = 'break_glass_minutes'
    RETURNING upper(during) INTO until;
    RETURN until;
END $$;
COMMENT ON FUNCTION app.break_glass IS 'Gives the asking person a short access to one patient, for a reason; when it ends, null where there is no such patient';
CREATE FUNCTION app.emergency(of_patient uuid) RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    RETURN EXISTS (SELECT FROM cloud.access_grant g WHERE g.kind = 'emergency' AND g.person = app.person()
                   AND g.patient = of_patient AND g.during @> now());
END $$;
COMMENT ON FUNCTION app.emergency IS 'Whether the asking person has broken the glass of a patient just now';
CREATE FUNCTION app.emergencies(since timestamptz)
    RETURNS TABLE (id uuid, at timestamptz, until timestamptz, person text, role text, patient uuid, reason text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    RETURN QUERY SELECT g.id, lower(g.during), upper(g.during), p.display, p.role, g.patient, g.reason
    FROM cloud.access_grant g JOIN cloud.person p ON p.id = g.person
    WHERE g.kind = 'emergency' AND g.created >= since AND app.role() = 'manager' ORDER BY g.created DESC;
END $$;
COMMENT ON FUNCTION app.emergencies IS 'Who broke whose glass when and why, for a manager to ask about';

-- ---------------------------------------------------------------- policies
CREATE FUNCTION app.own_row(kind text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format('(CASE (SELECT app.mode()) WHEN ''all'' THEN true WHEN ''few'' THEN patient_id = ANY ((SELECT app.named())::uuid[])
            WHEN ''many'' THEN app.reaches(patient_id) ELSE false END
        AND CASE (SELECT app.bound()) WHEN ''none'' THEN true
            WHEN ''few'' THEN patient_id IS NULL OR patient_id <> ALL ((SELECT app.withheld(%L))::uuid[]) %s
            ELSE app.is_open(patient_id, %s) END)',
        coalesce(kind, '*'), CASE WHEN kind IS NULL THEN 'OR app.is_open(patient_id, %1$s)' END,
        coalesce(quote_literal(kind), '%1$s')) $$;
COMMENT ON FUNCTION app.own_row IS 'The condition that a row of a patient''s compartment is within reach; kind null: its type is a column, %1$s';
CREATE FUNCTION app.device_row() RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT '((SELECT app.reach()) <> ''own'' OR id IN (SELECT a.device FROM cloud.device_assignment a
        WHERE a.patient = ANY ((SELECT app.named())::uuid[])))' $$;
CREATE FUNCTION app.row_rule(kind text, class text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE class WHEN 'compartment' THEN app.own_row(kind) WHEN 'device' THEN app.device_row()
                      WHEN 'staff' THEN '(SELECT app.mode()) = ''all''' ELSE 'true' END $$;
COMMENT ON FUNCTION app.row_rule IS 'The condition of a class of types on a row, beside what the role may do with the type';

CREATE FUNCTION app.mixed_row(any_of text, type text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format('(CASE scope WHEN ''d'' THEN %1$s WHEN ''c'' THEN %2$s AND %3$s
        WHEN ''s'' THEN %4$s AND (SELECT app.mode()) = ''all'' WHEN ''v'' THEN %5$s AND %6$s ELSE false END)',
        replace(k, '?', 'directory'), replace(k, '?', 'compartment'), format(app.own_row(NULL), type),
        replace(k, '?', 'staff'), replace(k, '?', 'device'), app.device_row())
    FROM (SELECT format(CASE type WHEN 'kind' THEN 'kind = ANY ((SELECT app.kind_terms(''?'', %L))::bigint[])'
                             ELSE 'type = ANY ((SELECT app.kinds(''?'', %L))::text[])' END, any_of)) AS of(k) $$;
COMMENT ON FUNCTION app.mixed_row IS 'The condition of a row of a table that holds several types, in its column type or, as a number, kind, for one of these letters';

CREATE PROCEDURE app.secure_table(of_table text, may_read text, may_add text, may_change text) LANGUAGE plpgsql AS $$
DECLARE old text;
BEGIN
    FOR old IN SELECT polname FROM pg_policy WHERE polrelid = format('fhir.%I', of_table)::regclass AND polname <> 'worker' LOOP
        EXECUTE format('DROP POLICY %I ON fhir.%I', old, of_table);
    END LOOP;
    EXECUTE format('GRANT SELECT, INSERT ON fhir.%I TO feldsher_api', of_table);
    EXECUTE format('CREATE POLICY readers ON fhir.%I FOR SELECT TO feldsher_api USING (%s)', of_table, may_read);
    EXECUTE format('CREATE POLICY writers ON fhir.%I FOR INSERT TO feldsher_api WITH CHECK (%s)', of_table, may_add);
    IF may_change IS NULL THEN
        EXECUTE format('REVOKE UPDATE ON fhir.%I FROM feldsher_api', of_table);
    ELSE
        EXECUTE format('GRANT UPDATE ON fhir.%I TO feldsher_api', of_table);
        EXECUTE format('CREATE POLICY changers ON fhir.%I FOR UPDATE TO feldsher_api USING (%s)', of_table, may_change);
    END IF;
END $$;
COMMENT ON PROCEDURE app.secure_table IS 'Makes the policies of one table of the record anew; without may_change its rows are only ever added';

CREATE PROCEDURE app.secure_type(kind text, class text) LANGUAGE plpgsql AS $$
DECLARE
    rule text := app.row_rule(kind, class);
    r text := format('(SELECT app.may(%L, ''r'')) AND ', kind) || rule;
    c text := format('(SELECT app.may(%L, ''c'')) AND ', kind);
    u text := format('(SELECT app.may(%L, ''u'')) AND ', kind) || rule;
    d text := format('(SELECT app.may(%L, ''d'')) AND ', kind) || rule;
BEGIN
    IF kind = 'AuditEvent' THEN  -- whoever looks leaves one; none is ever changed
        CALL app.secure_table('auditevent', r, 'seal IS NULL AND version = 1', NULL);
        CALL app.secure_table('auditevent_history', r, 'false', NULL);
        RETURN;
    END IF;
    -- Who registers patients registers those that nobody cares for yet.
    CALL app.secure_table(lower(kind), r, c || CASE kind WHEN 'Patient'
        THEN '((SELECT app.reach()) = ''care'' AND (SELECT app.chosen()) IS NULL OR ' || rule || ')' ELSE rule END, u);
    -- A version without content is a deletion (fhir.bury takes the row away after it).
    CALL app.secure_table(lower(kind) || '_history', r,
        format('CASE WHEN content IS NULL THEN %s ELSE %s OR %1$s END', d, u), NULL);
END $$;
COMMENT ON PROCEDURE app.secure_type IS 'Makes the policies of a type''s table and history from its class';

CREATE PROCEDURE app.secure() LANGUAGE plpgsql AS $$
DECLARE
    now_mark text := (SELECT md5(string_agg(t.name || ':' || t.class || ':' || coalesce(to_regclass('fhir.' || lower(t.name))::text, ''), ','
                                            ORDER BY t.name)) FROM app.type t);
    of record;
BEGIN
    IF EXISTS (SELECT FROM app.secured WHERE mark = now_mark) THEN RETURN; END IF;
    FOR of IN SELECT t.name, t.class FROM app.type t WHERE to_regclass('fhir.' || lower(t.name)) IS NOT NULL ORDER BY 1 LOOP
        CALL app.secure_type(of.name, of.class);
    END LOOP;
    CALL app.secure_table('other', app.mixed_row('r', 'type'), app.mixed_row('c', 'type'), app.mixed_row('u', 'type'));
    CALL app.secure_table('other_history', app.mixed_row('r', 'type'), format('CASE WHEN content IS NULL THEN %s ELSE %s END',
        app.mixed_row('d', 'type'), app.mixed_row('ud', 'type')), NULL);
    CALL app.secure_table('change', app.mixed_row('r', 'type'), app.mixed_row('cud', 'type')
        || ' OR type = ''Patient'' AND (SELECT app.may(''Patient'', ''c'')) AND (SELECT app.reach()) = ''care''', NULL);
    CALL app.secure_table('amount', app.mixed_row('r', 'kind'), app.mixed_row('cu', 'kind'), NULL);
    EXECUTE format('CREATE POLICY removers ON fhir.amount FOR DELETE TO feldsher_api USING (%s)', app.mixed_row('u', 'kind'));
    DELETE FROM app.secured;
    INSERT INTO app.secured VALUES (now_mark);
END $$;
COMMENT ON PROCEDURE app.secure IS 'Makes all policies of the record from app.type, where types, classes or tables have changed since';

REVOKE EXECUTE ON FUNCTION app.add_consent_rule, app.project_consent, app.register_care FROM PUBLIC;
