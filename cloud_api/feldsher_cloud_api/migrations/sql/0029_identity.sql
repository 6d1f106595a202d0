-- Who is who: pairs of records that may be one person's and what was decided, merges that can be undone, and whose
-- patient a resident is: clinic, district and therapist by periods.

-- ---------------------------------------------------------------- the index of people
CREATE TABLE cloud.identity_pair (
    first uuid NOT NULL,
    second uuid NOT NULL,
    probability float8 NOT NULL,
    grade text NOT NULL,
    levels jsonb NOT NULL,
    found_at timestamptz NOT NULL,
    decision text CHECK (decision IN ('same', 'different')),
    decided_at timestamptz,
    decided_by uuid REFERENCES cloud.person,
    CHECK (first < second),
    PRIMARY KEY (first, second)
);
CREATE INDEX identity_pair_open ON cloud.identity_pair (probability DESC) WHERE decision IS NULL;
COMMENT ON TABLE cloud.identity_pair IS 'Pairs of Patients that may be one person, and what a person decided of them: the queue of duplicates';
COMMENT ON COLUMN cloud.identity_pair.levels IS 'How each field compares (feldsher_ehr_core.identity); no value of it';

CREATE TABLE cloud.identity_merge (
    id uuid PRIMARY KEY,
    survivor uuid NOT NULL,
    source uuid NOT NULL CHECK (source <> survivor),
    reason text NOT NULL,
    merged_at timestamptz NOT NULL,
    merged_by uuid REFERENCES cloud.person,
    undone_at timestamptz,
    undone_by uuid REFERENCES cloud.person,
    undone_reason text
);
CREATE UNIQUE INDEX identity_merge_open ON cloud.identity_merge (source) WHERE undone_at IS NULL;
CREATE INDEX ON cloud.identity_merge (survivor);
COMMENT ON TABLE cloud.identity_merge IS 'Records that were brought together: what was source''s is survivor''s until it is undone';

CREATE TABLE cloud.identity_moved (
    merge uuid NOT NULL REFERENCES cloud.identity_merge,
    ordinal int NOT NULL,
    place text NOT NULL,
    key text NOT NULL,
    path text[],
    was text,
    PRIMARY KEY (merge, ordinal)
);
COMMENT ON TABLE cloud.identity_moved IS 'What a merge changed, one element or row each: unmerging restores exactly this';
COMMENT ON COLUMN cloud.identity_moved.place IS 'A resource type, or a table; key: the id there';
COMMENT ON COLUMN cloud.identity_moved.path IS 'Where in the resource the reference stands; null: only whose it is was changed';

-- ---------------------------------------------------------------- attachment
CREATE TABLE cloud.district (
    id uuid PRIMARY KEY,
    clinic uuid NOT NULL,
    name text NOT NULL,
    kind text NOT NULL DEFAULT 'therapeutic' CHECK (kind IN ('therapeutic', 'paediatric', 'general', 'feldsher')),
    closed_at timestamptz,
    UNIQUE (clinic, name)
);
COMMENT ON TABLE cloud.district IS 'Districts of clinics (clinic: its Organization): the residents of one are one therapist''s';

CREATE TABLE cloud.district_post (
    id uuid PRIMARY KEY,
    district uuid NOT NULL REFERENCES cloud.district,
    practitioner uuid NOT NULL,
    acting boolean NOT NULL DEFAULT false,
    during tstzrange NOT NULL CHECK (NOT isempty(during)),
    EXCLUDE USING gist (district WITH =, during WITH &&) WHERE (NOT acting),
    EXCLUDE USING gist (district WITH =, during WITH &&) WHERE (acting)
);
CREATE INDEX ON cloud.district_post (practitioner);
COMMENT ON TABLE cloud.district_post IS 'Who holds a district when; acting: who stands in for the holder; a time without a holder is a vacancy';

CREATE TABLE cloud.attachment (
    id uuid PRIMARY KEY,
    patient uuid NOT NULL,
    clinic uuid NOT NULL,
    district uuid REFERENCES cloud.district,
    reason text NOT NULL CHECK (reason IN ('residence', 'choice', 'birth', 'transfer')),
    during tstzrange NOT NULL CHECK (NOT isempty(during)),
    attached_by uuid REFERENCES cloud.person,
    ended_reason text CHECK (ended_reason IN ('transfer', 'moved-away', 'death', 'error', 'merged')),
    EXCLUDE USING gist (patient WITH =, during WITH &&)
);
CREATE INDEX attachment_clinic ON cloud.attachment (clinic, patient) WHERE upper_inf(during);
CREATE INDEX attachment_district ON cloud.attachment (district) WHERE upper_inf(during);
COMMENT ON TABLE cloud.attachment IS 'Which clinic and district a resident belongs to when: one at a time';

CREATE FUNCTION cloud.attachment_is_care() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.clinic, OLD.patient) <> (NEW.clinic, NEW.patient) THEN
        UPDATE cloud.clinic_patient c SET during = tstzrange(lower(c.during), greatest(lower(c.during), now()))
            WHERE c.organization = OLD.clinic AND c.patient = OLD.patient;
    END IF;
    INSERT INTO cloud.clinic_patient (organization, patient, during) VALUES (NEW.clinic, NEW.patient, NEW.during)
    ON CONFLICT (organization, patient) DO UPDATE SET during = CASE
        WHEN lower(clinic_patient.during) < lower(excluded.during) AND clinic_patient.during @> lower(excluded.during)
        THEN tstzrange(lower(clinic_patient.during), upper(excluded.during)) ELSE excluded.during END;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION cloud.attachment_is_care IS 'A clinic cares for its residents: attachments make its patients (cloud.clinic_patient)';
CREATE TRIGGER attachment_care AFTER INSERT OR UPDATE ON cloud.attachment
    FOR EACH ROW EXECUTE FUNCTION cloud.attachment_is_care();

CREATE FUNCTION app.attached_to(clinics uuid[], at timestamptz DEFAULT now()) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$ SELECT patient FROM cloud.attachment WHERE clinic = ANY (clinics) AND during @> at $$;
CREATE FUNCTION app.clinic_of(whose uuid, at timestamptz DEFAULT now()) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$ SELECT clinic FROM cloud.attachment WHERE patient = whose AND during @> at $$;
CREATE FUNCTION app.therapist_of(whose uuid, at timestamptz DEFAULT now()) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$ SELECT p.practitioner FROM cloud.attachment a JOIN cloud.district_post p ON p.district = a.district
          WHERE a.patient = whose AND a.during @> at AND p.during @> at ORDER BY p.acting DESC LIMIT 1 $$;
CREATE FUNCTION app.residents_of(who uuid, at timestamptz DEFAULT now()) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$ SELECT a.patient FROM cloud.district_post p JOIN cloud.attachment a ON a.district = p.district
          WHERE p.practitioner = who AND p.during @> at AND a.during @> at $$;
COMMENT ON FUNCTION app.attached_to IS 'The residents of some clinics';
COMMENT ON FUNCTION app.clinic_of IS 'The clinic that a resident is attached to';
COMMENT ON FUNCTION app.therapist_of IS 'Who is in charge of a resident: who stands in for the holder of the district, else the holder';
COMMENT ON FUNCTION app.residents_of IS 'The residents of the districts that a practitioner holds or stands in for';

-- ---------------------------------------------------------------- the deceased
CREATE TABLE cloud.death (
    patient uuid PRIMARY KEY,
    died timestamptz NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE cloud.ended_by_death (
    patient uuid NOT NULL REFERENCES cloud.death ON DELETE CASCADE,
    place text NOT NULL,
    id uuid NOT NULL,
    until timestamptz,
    PRIMARY KEY (patient, place, id)
);
COMMENT ON TABLE cloud.death IS 'Who has died: kept by a trigger as the Patients say';
COMMENT ON COLUMN cloud.ended_by_death.place IS 'attachment or device_assignment; id: there';
COMMENT ON TABLE cloud.ended_by_death IS 'What ended with a death: attachments and devices; they go on where it was an error. until: their former end';

CREATE FUNCTION cloud.end_by_death(whose uuid, died timestamptz) RETURNS void LANGUAGE sql AS $$
    WITH ended AS (
        UPDATE cloud.attachment a SET during = tstzrange(lower(a.during), greatest(died, lower(a.during) + interval '1 microsecond')),
            ended_reason = 'death'
        FROM (SELECT id, upper(during) AS until FROM cloud.attachment
              WHERE patient = whose AND (upper_inf(during) OR upper(during) > died)) o
        WHERE a.id = o.id RETURNING a.id, o.until
    ) INSERT INTO cloud.ended_by_death (patient, place, id, until) SELECT whose, 'attachment', id, until FROM ended
      ON CONFLICT DO NOTHING;
    WITH ended AS (
        UPDATE cloud.device_assignment a SET during = tstzrange(lower(a.during), greatest(died, lower(a.during) + interval '1 microsecond'))
        FROM (SELECT id, upper(during) AS until FROM cloud.device_assignment
              WHERE patient = whose AND (upper_inf(during) OR upper(during) > died)) o
        WHERE a.id = o.id RETURNING a.id, o.until
    ) INSERT INTO cloud.ended_by_death (patient, place, id, until) SELECT whose, 'device_assignment', id, until FROM ended
      ON CONFLICT DO NOTHING;
    UPDATE cloud.care_relationship SET during = tstzrange(lower(during), greatest(died, lower(during)) + interval '1 year')
        WHERE patient = whose AND upper_inf(during);
$$;
COMMENT ON FUNCTION cloud.end_by_death IS
    'Ends what ends with a death; care relationships stay a year for what has still to be written';

CREATE FUNCTION cloud.resume_life(whose uuid) RETURNS void LANGUAGE sql AS $$
    UPDATE cloud.attachment a SET during = tstzrange(lower(a.during), e.until), ended_reason = NULL
        FROM cloud.ended_by_death e WHERE e.patient = whose AND e.place = 'attachment' AND e.id = a.id
        AND NOT EXISTS (SELECT FROM cloud.attachment o WHERE o.patient = whose AND o.id <> a.id
                        AND o.during && tstzrange(lower(a.during), e.until));
    UPDATE cloud.device_assignment a SET during = tstzrange(lower(a.during), e.until)
        FROM cloud.ended_by_death e WHERE e.patient = whose AND e.place = 'device_assignment' AND e.id = a.id
        AND NOT EXISTS (SELECT FROM cloud.device_assignment o WHERE o.device = a.device AND o.id <> a.id
                        AND o.users && a.users AND o.during && tstzrange(lower(a.during), e.until));
    DELETE FROM cloud.death WHERE patient = whose;
$$;
COMMENT ON FUNCTION cloud.resume_life IS 'A death was an error: what had ended with it goes on, unless it is somebody else''s by now';

CREATE FUNCTION cloud.follow_death() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    said text := NEW.content ->> 'deceasedDateTime';
    dead boolean := said IS NOT NULL OR coalesce((NEW.content ->> 'deceasedBoolean')::boolean, false);
BEGIN
    IF dead AND NOT EXISTS (SELECT FROM cloud.death WHERE patient = NEW.id) THEN
        INSERT INTO cloud.death (patient, died) VALUES (NEW.id, coalesce(
            CASE WHEN length(said) >= 10 THEN said::timestamptz
                 WHEN length(said) = 7 THEN (said || '-01')::timestamptz + interval '1 month'
                 WHEN length(said) = 4 THEN (said || '-12-31')::timestamptz END, NEW.updated));
        PERFORM cloud.end_by_death(NEW.id, (SELECT d.died FROM cloud.death d WHERE d.patient = NEW.id));
    ELSIF NOT dead AND EXISTS (SELECT FROM cloud.death WHERE patient = NEW.id) THEN
        PERFORM cloud.resume_life(NEW.id);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION cloud.follow_death IS 'Ends attachment and devices when a Patient is said to have died, and resumes them when that is taken back';
CREATE TRIGGER patient_death AFTER INSERT OR UPDATE OF content ON fhir.patient
    FOR EACH ROW EXECUTE FUNCTION cloud.follow_death();
REVOKE ALL ON FUNCTION cloud.attachment_is_care, cloud.end_by_death, cloud.resume_life, cloud.follow_death FROM PUBLIC;

-- ---------------------------------------------------------------- who may
GRANT EXECUTE ON FUNCTION app.attached_to, app.clinic_of, app.therapist_of, app.residents_of TO feldsher_api, feldsher_worker;
GRANT SELECT, INSERT, UPDATE ON cloud.identity_pair, cloud.identity_merge, cloud.attachment, cloud.district,
    cloud.district_post TO feldsher_worker;
GRANT SELECT, INSERT ON cloud.identity_moved TO feldsher_worker;
GRANT SELECT ON cloud.death TO feldsher_worker;
GRANT UPDATE (patient_id) ON fhir.amount TO feldsher_worker;
GRANT UPDATE (patient) ON cloud.device_assignment TO feldsher_worker;
GRANT SELECT, INSERT, UPDATE ON cloud.patient_link, cloud.care_relationship, cloud.clinic_patient
    TO feldsher_worker;
GRANT SELECT, UPDATE (subject) ON public.watch_limit TO feldsher_worker;
CREATE POLICY movers ON cloud.device_assignment FOR UPDATE TO feldsher_worker USING (true) WITH CHECK (true);
CREATE POLICY worker ON cloud.patient_link TO feldsher_worker USING (true) WITH CHECK (true);
GRANT SELECT (report) ON cloud.signature TO feldsher_worker;
CREATE POLICY worker ON cloud.signature FOR SELECT TO feldsher_worker USING (true);
