-- The record holds every resource type of R4. Types that care uses have a table each with its history, all others share
-- fhir.other. What searches look at stands in the same few columns everywhere (fhir/index.py fills them), and every
-- change is in one log.

CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE FUNCTION fhir.term(value text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT ('x' || encode(substring(sha256(convert_to(value, 'UTF8')) FOR 8), 'hex'))::bit(64)::bigint $$;
COMMENT ON FUNCTION fhir.term IS 'The number that stands for "parameter=value" among the terms of a resource';

CREATE FUNCTION fhir.settled() RETURNS xid8 LANGUAGE sql STABLE
    AS $$ SELECT pg_snapshot_xmin(pg_current_snapshot()) $$;
COMMENT ON FUNCTION fhir.settled IS
    'Every transaction before this one has ended: who reads changes in order of (txid, seq) below it never skips one';

CREATE OR REPLACE FUNCTION fhir.scope_rule(scope text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
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
        WHEN 'staff' THEN
            '(SELECT app.role()) IN (''doctor'', ''service'')'
    END
$$;
COMMENT ON FUNCTION fhir.scope_rule IS
    'Who may see a row of a type: by patient compartment, by device, everybody signed in (directory), or staff alone';

CREATE FUNCTION fhir.lettered_rule() RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format('CASE scope WHEN ''c'' THEN %s WHEN ''d'' THEN %s WHEN ''v'' THEN %s WHEN ''s'' THEN %s ELSE false END',
        fhir.scope_rule('compartment'), fhir.scope_rule('directory'), fhir.scope_rule('device'), fhir.scope_rule('staff'))
$$;
COMMENT ON FUNCTION fhir.lettered_rule IS 'Who may see a row of a table that holds several types: by its own column scope';

CREATE TABLE fhir.kind (
    type text PRIMARY KEY,
    scope "char" NOT NULL CHECK (scope IN ('c', 'd', 'v', 's')),
    name text NOT NULL
);
COMMENT ON TABLE fhir.kind IS 'Every resource type: who may see it (c compartment, d directory, v device, s staff) and the table that keeps it';
ALTER TABLE fhir.kind ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON fhir.kind FOR SELECT USING (true);
GRANT SELECT ON fhir.kind TO feldsher_api, feldsher_worker;

-- ---------------------------------------------------------------- the log of changes
CREATE TABLE fhir.change (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    txid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    type text NOT NULL,
    id uuid NOT NULL,
    version int NOT NULL,
    method text NOT NULL CHECK (method IN ('POST', 'PUT', 'PATCH', 'DELETE')),
    updated timestamptz NOT NULL,
    patient_id uuid,
    scope "char" NOT NULL,
    PRIMARY KEY (txid, seq)
);
CREATE INDEX ON fhir.change (type, txid, seq);
CREATE INDEX ON fhir.change (patient_id, txid, seq) WHERE patient_id IS NOT NULL;
COMMENT ON TABLE fhir.change IS
    'Every version of every resource but audit events (those are only ever added), in order of (txid, seq); read below fhir.settled()';

-- ---------------------------------------------------------------- what is measured and counted
CREATE TABLE fhir.amount (
    kind bigint NOT NULL,
    id uuid NOT NULL,
    place bigint NOT NULL,
    code bigint,
    coded bigint,
    unit bigint,
    symbol bigint,
    low float8 NOT NULL,
    high float8 NOT NULL,
    sent_low float8 NOT NULL,
    sent_high float8 NOT NULL,
    patient_id uuid,
    scope "char" NOT NULL
);
CREATE INDEX ON fhir.amount (id);
CREATE INDEX ON fhir.amount (place, code, sent_low);
CREATE INDEX ON fhir.amount (place, unit, low);
CREATE INDEX ON fhir.amount (place, sent_low);
COMMENT ON TABLE fhir.amount IS
    'Quantities and numbers of resources, and dates of those that have several; kind: fhir.term(''kind='' || type)';
COMMENT ON COLUMN fhir.amount.place IS 'Of which element (fhir/index.py: Plan.places says which places a parameter looks at)';
COMMENT ON COLUMN fhir.amount.code IS 'The code beside it: fhir.term(''code='' || code); coded: fhir.term(''code='' || system || ''|'' || code)';
COMMENT ON COLUMN fhir.amount.unit IS 'What low and high are in: fhir.term(''dimension='' || UCUM base units), or ''unit='' || system || ''|'' || code as sent';
COMMENT ON COLUMN fhir.amount.symbol IS 'fhir.term(''unit='' || the unit''s code, or its words where it has none)';
COMMENT ON COLUMN fhir.amount.sent_low IS 'As sent, whatever the unit; dates: microseconds since 1970';

-- ---------------------------------------------------------------- a type's tables
CREATE PROCEDURE fhir.finish_kind(name text, dates text[], has_strings boolean) LANGUAGE plpgsql AS $$
DECLARE
    history text := name || '_history';
    col text;
BEGIN
    EXECUTE format('ALTER TABLE fhir.%I ADD COLUMN logical text, ADD COLUMN terms bigint[] NOT NULL DEFAULT ''{}'',
        ADD COLUMN links text[] NOT NULL DEFAULT ''{}'', ADD COLUMN strings text NOT NULL DEFAULT '''',
        ADD COLUMN texts text NOT NULL DEFAULT ''''', name);
    EXECUTE format('ALTER TABLE fhir.%I ADD COLUMN logical text, ALTER COLUMN content DROP NOT NULL', history);
    EXECUTE format('COMMENT ON COLUMN fhir.%I.content IS %L', history, 'NULL: this version is the deletion');
    FOREACH col IN ARRAY dates LOOP
        EXECUTE format('ALTER TABLE fhir.%I ADD COLUMN IF NOT EXISTS %I tstzrange', name, col);
    END LOOP;
    EXECUTE format('CREATE INDEX ON fhir.%I USING gin (terms)', name);
    -- How common a code is decides which index a search uses: a thousand codes' frequencies are kept, not a hundred's.
    EXECUTE format('ALTER TABLE fhir.%I ALTER COLUMN terms SET STATISTICS 1000', name);
    IF has_strings THEN
        EXECUTE format('CREATE INDEX ON fhir.%I USING gin (strings gin_trgm_ops)', name);
    END IF;
END $$;

CREATE PROCEDURE fhir.create_kind(type text, scope text, dates text[], has_strings boolean) LANGUAGE plpgsql AS $$
DECLARE
    name text := lower(type);
    history text := lower(type) || '_history';
    rule text := CASE scope WHEN 'lettered' THEN fhir.lettered_rule() ELSE fhir.scope_rule(scope) END;
    may_write text := CASE scope WHEN 'compartment' THEN '(SELECT app.role()) IN (''doctor'', ''service'')'
                                 ELSE '(SELECT app.role()) = ''service''' END;
    keyed text := CASE scope WHEN 'lettered' THEN 'type, id' ELSE 'id' END;
    typed text := CASE scope WHEN 'lettered' THEN 'type text NOT NULL, scope "char" NOT NULL,' ELSE '' END;
    col text;
BEGIN
    EXECUTE format('CREATE TABLE fhir.%I (%s
        id uuid NOT NULL, version int NOT NULL CHECK (version > 0), updated timestamptz NOT NULL,
        txid xid8 NOT NULL DEFAULT pg_current_xact_id(), patient_id uuid, content jsonb NOT NULL, PRIMARY KEY (%s))',
        name, typed, keyed);
    EXECUTE format('CREATE TABLE fhir.%I (%s
        id uuid NOT NULL, version int NOT NULL, updated timestamptz NOT NULL,
        txid xid8 NOT NULL, patient_id uuid, content jsonb, PRIMARY KEY (%s, version))', history, typed, keyed);
    EXECUTE format('COMMENT ON TABLE fhir.%I IS %L', name, 'FHIR R4 ' || type);
    EXECUTE format('COMMENT ON TABLE fhir.%I IS %L', history, 'FHIR R4 ' || type || ': superseded versions and deletions');
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
    EXECUTE format('GRANT UPDATE ON fhir.%I TO feldsher_api, feldsher_worker', name);
    CALL fhir.finish_kind(name, dates, has_strings);
    IF scope = 'lettered' THEN
        RETURN;
    END IF;
    FOREACH col IN ARRAY dates LOOP
        EXECUTE format('CREATE INDEX ON fhir.%I USING gist (%I)', name, col);
        EXECUTE format('CREATE INDEX ON fhir.%I (lower(%I), id)', name, col);
    END LOOP;
    IF scope = 'compartment' AND cardinality(dates) > 0 THEN
        EXECUTE format('CREATE INDEX ON fhir.%I (patient_id, lower(%I))', name, dates[1]);
    ELSIF scope = 'compartment' THEN
        EXECUTE format('CREATE INDEX ON fhir.%I (patient_id)', name);
    END IF;
END $$;
COMMENT ON PROCEDURE fhir.create_kind IS
    'Makes the tables of a resource type with the columns that searches look at; dates: the first one is the clinical date';

-- The types that have tables already: their columns per parameter go, the others come. What is in them the revision fills.
CREATE PROCEDURE fhir.move_kind(type text, scope text, dates text[], has_strings boolean) LANGUAGE plpgsql AS $$
DECLARE
    name text := lower(type);
    col text;
BEGIN
    FOR col IN SELECT attname FROM pg_attribute
               WHERE attrelid = format('fhir.%I', name)::regclass AND atttypid = 'text[]'::regtype AND NOT attisdropped LOOP
        EXECUTE format('ALTER TABLE fhir.%I DROP COLUMN %I', name, col);
    END LOOP;
    FOREACH col IN ARRAY dates LOOP
        IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = format('fhir.%I', name)::regclass AND attname = col) THEN
            EXECUTE format('ALTER TABLE fhir.%I ADD COLUMN %I tstzrange', name, col);
            EXECUTE format('CREATE INDEX ON fhir.%I USING gist (%I)', name, col);
        END IF;
        EXECUTE format('CREATE INDEX ON fhir.%I (lower(%I), id)', name, col);
    END LOOP;
    CALL fhir.finish_kind(name, dates, has_strings);
    IF type <> 'AuditEvent' THEN
        EXECUTE format('INSERT INTO fhir.change (txid, type, id, version, method, updated, patient_id, scope)
            SELECT txid, %L, id, version, CASE version WHEN 1 THEN ''POST'' ELSE ''PUT'' END, updated, patient_id, %L
            FROM (SELECT txid, id, version, updated, patient_id FROM fhir.%I
                  UNION ALL SELECT txid, id, version, updated, patient_id FROM fhir.%I) v ORDER BY txid, updated',
            type, CASE scope WHEN 'device' THEN 'v' ELSE left(scope, 1) END, name, name || '_history');
    END IF;
END $$;

CALL fhir.create_kind('Account', 'compartment', '{period}', true);
CALL fhir.create_kind('ActivityDefinition', 'directory', '{date,effective}', true);
CALL fhir.create_kind('AllergyIntolerance', 'compartment', '{date,last_date,onset}', false);
CALL fhir.create_kind('Appointment', 'compartment', '{date}', false);
CALL fhir.create_kind('AppointmentResponse', 'compartment', '{}', false);
CALL fhir.move_kind('AuditEvent', 'compartment', '{date}', true);
CALL fhir.create_kind('Basic', 'compartment', '{created}', false);
CALL fhir.move_kind('Binary', 'compartment', '{}', false);
CALL fhir.create_kind('CarePlan', 'compartment', '{date,activity_date}', true);
CALL fhir.create_kind('CareTeam', 'compartment', '{date}', false);
CALL fhir.create_kind('ChargeItem', 'compartment', '{occurrence,entered_date}', false);
CALL fhir.create_kind('ChargeItemDefinition', 'directory', '{date,effective}', true);
CALL fhir.create_kind('Claim', 'compartment', '{created}', false);
CALL fhir.create_kind('ClaimResponse', 'compartment', '{created,payment_date}', true);
CALL fhir.create_kind('ClinicalImpression', 'compartment', '{date}', false);
CALL fhir.create_kind('CodeSystem', 'directory', '{date}', true);
CALL fhir.create_kind('Communication', 'compartment', '{sent,received}', true);
CALL fhir.create_kind('CommunicationRequest', 'compartment', '{authored,occurrence}', false);
CALL fhir.create_kind('Composition', 'compartment', '{date,period}', true);
CALL fhir.create_kind('ConceptMap', 'directory', '{date}', true);
CALL fhir.create_kind('Condition', 'compartment', '{onset_date,abatement_date,recorded_date}', true);
CALL fhir.create_kind('Consent', 'compartment', '{date,period}', false);
CALL fhir.create_kind('Coverage', 'compartment', '{}', true);
CALL fhir.create_kind('DetectedIssue', 'compartment', '{identified}', false);
CALL fhir.move_kind('Device', 'device', '{}', true);
CALL fhir.create_kind('DeviceDefinition', 'directory', '{}', false);
CALL fhir.create_kind('DeviceMetric', 'staff', '{}', false);
CALL fhir.create_kind('DeviceRequest', 'compartment', '{authored_on,event_date}', true);
CALL fhir.create_kind('DeviceUseStatement', 'compartment', '{}', false);
CALL fhir.move_kind('DiagnosticReport', 'compartment', '{date,issued}', false);
CALL fhir.create_kind('DocumentReference', 'compartment', '{date,period}', true);
CALL fhir.create_kind('Encounter', 'compartment', '{date,location_period}', false);
CALL fhir.create_kind('EpisodeOfCare', 'compartment', '{date}', false);
CALL fhir.create_kind('ExplanationOfBenefit', 'compartment', '{created}', true);
CALL fhir.create_kind('FamilyMemberHistory', 'compartment', '{date}', true);
CALL fhir.move_kind('Flag', 'compartment', '{date}', false);
CALL fhir.create_kind('Goal', 'compartment', '{start_date,target_date}', false);
CALL fhir.create_kind('Group', 'staff', '{}', false);
CALL fhir.create_kind('HealthcareService', 'directory', '{}', true);
CALL fhir.create_kind('ImagingStudy', 'compartment', '{started}', false);
CALL fhir.create_kind('Immunization', 'compartment', '{date,reaction_date}', true);
CALL fhir.create_kind('Invoice', 'compartment', '{date}', false);
CALL fhir.create_kind('List', 'compartment', '{date}', true);
CALL fhir.create_kind('Location', 'directory', '{}', true);
CALL fhir.create_kind('Measure', 'directory', '{date,effective}', true);
CALL fhir.create_kind('MeasureReport', 'compartment', '{date,period}', false);
CALL fhir.create_kind('Media', 'compartment', '{created}', false);
CALL fhir.create_kind('Medication', 'directory', '{expiration_date}', false);
CALL fhir.create_kind('MedicationAdministration', 'compartment', '{effective_time}', false);
CALL fhir.create_kind('MedicationDispense', 'compartment', '{whenhandedover,whenprepared}', false);
CALL fhir.create_kind('MedicationKnowledge', 'directory', '{}', false);
CALL fhir.create_kind('MedicationRequest', 'compartment', '{authoredon,date}', false);
CALL fhir.create_kind('MedicationStatement', 'compartment', '{effective}', false);
CALL fhir.move_kind('Observation', 'compartment', '{date,value_date}', true);
CALL fhir.move_kind('Organization', 'directory', '{}', true);
CALL fhir.move_kind('Patient', 'compartment', '{birthdate,death_date}', true);
CALL fhir.create_kind('Person', 'compartment', '{birthdate}', true);
CALL fhir.create_kind('PlanDefinition', 'directory', '{date,effective}', true);
CALL fhir.move_kind('Practitioner', 'directory', '{}', true);
CALL fhir.create_kind('PractitionerRole', 'directory', '{date}', false);
CALL fhir.create_kind('Procedure', 'compartment', '{date}', true);
CALL fhir.move_kind('Provenance', 'compartment', '{recorded,when}', false);
CALL fhir.create_kind('Questionnaire', 'directory', '{date,effective}', true);
CALL fhir.create_kind('QuestionnaireResponse', 'compartment', '{authored}', false);
CALL fhir.create_kind('RelatedPerson', 'compartment', '{birthdate}', true);
CALL fhir.create_kind('RequestGroup', 'compartment', '{authored}', true);
CALL fhir.create_kind('RiskAssessment', 'compartment', '{date}', false);
CALL fhir.create_kind('Schedule', 'directory', '{date}', false);
CALL fhir.move_kind('ServiceRequest', 'compartment', '{authored,occurrence}', true);
CALL fhir.create_kind('Slot', 'directory', '{start}', false);
CALL fhir.create_kind('Specimen', 'compartment', '{collected}', false);
CALL fhir.create_kind('Subscription', 'staff', '{}', true);
CALL fhir.move_kind('Task', 'compartment', '{authored_on,modified,period}', false);
CALL fhir.create_kind('ValueSet', 'directory', '{date}', true);
CALL fhir.create_kind('other', 'lettered', '{created,date,datetime,datewritten,effective,expiry,issued,period,timestamp}', true);
CREATE INDEX ON fhir.other (type, updated, id);
CREATE INDEX ON fhir.other (patient_id);
COMMENT ON TABLE fhir.other IS 'FHIR R4: resources of all types that have no table of their own';
DROP PROCEDURE fhir.move_kind;

INSERT INTO fhir.kind (type, scope, name) SELECT type, scope, lower(type) FROM (VALUES
    ('Account', 'c'), ('ActivityDefinition', 'd'), ('AllergyIntolerance', 'c'), ('Appointment', 'c'),
    ('AppointmentResponse', 'c'), ('AuditEvent', 'c'), ('Basic', 'c'), ('Binary', 'c'),
    ('CarePlan', 'c'), ('CareTeam', 'c'), ('ChargeItem', 'c'), ('ChargeItemDefinition', 'd'),
    ('Claim', 'c'), ('ClaimResponse', 'c'), ('ClinicalImpression', 'c'), ('CodeSystem', 'd'),
    ('Communication', 'c'), ('CommunicationRequest', 'c'), ('Composition', 'c'), ('ConceptMap', 'd'),
    ('Condition', 'c'), ('Consent', 'c'), ('Coverage', 'c'), ('DetectedIssue', 'c'),
    ('Device', 'v'), ('DeviceDefinition', 'd'), ('DeviceMetric', 's'), ('DeviceRequest', 'c'),
    ('DeviceUseStatement', 'c'), ('DiagnosticReport', 'c'), ('DocumentReference', 'c'), ('Encounter', 'c'),
    ('EpisodeOfCare', 'c'), ('ExplanationOfBenefit', 'c'), ('FamilyMemberHistory', 'c'), ('Flag', 'c'),
    ('Goal', 'c'), ('Group', 's'), ('HealthcareService', 'd'), ('ImagingStudy', 'c'),
    ('Immunization', 'c'), ('Invoice', 'c'), ('List', 'c'), ('Location', 'd'),
    ('Measure', 'd'), ('MeasureReport', 'c'), ('Media', 'c'), ('Medication', 'd'),
    ('MedicationAdministration', 'c'), ('MedicationDispense', 'c'), ('MedicationKnowledge', 'd'), ('MedicationRequest', 'c'),
    ('MedicationStatement', 'c'), ('Observation', 'c'), ('Organization', 'd'), ('Patient', 'c'),
    ('Person', 'c'), ('PlanDefinition', 'd'), ('Practitioner', 'd'), ('PractitionerRole', 'd'),
    ('Procedure', 'c'), ('Provenance', 'c'), ('Questionnaire', 'd'), ('QuestionnaireResponse', 'c'),
    ('RelatedPerson', 'c'), ('RequestGroup', 'c'), ('RiskAssessment', 'c'), ('Schedule', 'd'),
    ('ServiceRequest', 'c'), ('Slot', 'd'), ('Specimen', 'c'), ('Subscription', 's'),
    ('Task', 'c'), ('ValueSet', 'd')) AS care (type, scope);
INSERT INTO fhir.kind (type, scope, name) SELECT type, scope, 'other' FROM (VALUES
    ('AdverseEvent', 'c'), ('BiologicallyDerivedProduct', 's'), ('BodyStructure', 'c'),
    ('Bundle', 's'), ('CapabilityStatement', 'd'), ('CatalogEntry', 'd'),
    ('CompartmentDefinition', 'd'), ('Contract', 's'), ('CoverageEligibilityRequest', 'c'),
    ('CoverageEligibilityResponse', 'c'), ('DocumentManifest', 'c'), ('EffectEvidenceSynthesis', 'd'),
    ('Endpoint', 'd'), ('EnrollmentRequest', 'c'), ('EnrollmentResponse', 's'),
    ('EventDefinition', 'd'), ('Evidence', 'd'), ('EvidenceVariable', 'd'),
    ('ExampleScenario', 'd'), ('GraphDefinition', 'd'), ('GuidanceResponse', 's'),
    ('ImmunizationEvaluation', 'c'), ('ImmunizationRecommendation', 'c'), ('ImplementationGuide', 'd'),
    ('InsurancePlan', 'd'), ('Library', 'd'), ('Linkage', 's'),
    ('MedicinalProduct', 'd'), ('MedicinalProductAuthorization', 'd'), ('MedicinalProductContraindication', 'd'),
    ('MedicinalProductIndication', 'd'), ('MedicinalProductIngredient', 'd'), ('MedicinalProductInteraction', 'd'),
    ('MedicinalProductManufactured', 'd'), ('MedicinalProductPackaged', 'd'), ('MedicinalProductPharmaceutical', 'd'),
    ('MedicinalProductUndesirableEffect', 'd'), ('MessageDefinition', 'd'), ('MessageHeader', 's'),
    ('MolecularSequence', 'c'), ('NamingSystem', 'd'), ('NutritionOrder', 'c'),
    ('ObservationDefinition', 'd'), ('OperationDefinition', 'd'), ('OperationOutcome', 's'),
    ('OrganizationAffiliation', 'd'), ('Parameters', 's'), ('PaymentNotice', 's'),
    ('PaymentReconciliation', 's'), ('ResearchDefinition', 'd'), ('ResearchElementDefinition', 'd'),
    ('ResearchStudy', 's'), ('ResearchSubject', 'c'), ('RiskEvidenceSynthesis', 'd'),
    ('SearchParameter', 'd'), ('SpecimenDefinition', 'd'), ('StructureDefinition', 'd'),
    ('StructureMap', 'd'), ('Substance', 'd'), ('SubstanceNucleicAcid', 'd'),
    ('SubstancePolymer', 'd'), ('SubstanceProtein', 'd'), ('SubstanceReferenceInformation', 'd'),
    ('SubstanceSourceMaterial', 'd'), ('SubstanceSpecification', 'd'), ('SupplyDelivery', 'c'),
    ('SupplyRequest', 'c'), ('TerminologyCapabilities', 'd'), ('TestReport', 's'),
    ('TestScript', 'd'), ('VerificationResult', 's'), ('VisionPrescription', 'c')) AS other (type, scope);

ALTER TABLE fhir.binary_history ALTER COLUMN bytes DROP NOT NULL;

CREATE OR REPLACE FUNCTION app.patient_to_assign(number text, OUT id uuid, OUT name text, OUT born int) RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$ SELECT p.id, concat_ws(' ', p.content #>> '{name,0,given,0}', p.content #>> '{name,0,family}'),
                 left(p.content ->> 'birthDate', 4)::int
          FROM fhir.patient p
          WHERE app.role() = 'technician' AND length(number) >= 4 AND p.terms && ARRAY[fhir.term('identifier=' || number)]
            AND position('|' IN number) = 0 $$;

-- ---------------------------------------------------------------- deleting
CREATE FUNCTION fhir.bury(kind text, key uuid) RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    place text := (SELECT k.name FROM fhir.kind k WHERE k.type = kind);
    typed text := CASE place WHEN 'other' THEN format('type = %L AND ', kind) ELSE '' END;
    gone int;
BEGIN
    EXECUTE format('DELETE FROM fhir.%I r WHERE %s r.id = $1
        AND EXISTS (SELECT FROM fhir.%I h WHERE %2$s h.id = r.id AND h.version = r.version AND h.content IS NOT NULL)
        AND EXISTS (SELECT FROM fhir.%3$I h WHERE %2$s h.id = r.id AND h.version = r.version + 1 AND h.content IS NULL
                    AND h.txid = pg_current_xact_id())', place, typed, place || '_history') USING key;
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN
        DELETE FROM fhir.amount a WHERE a.id = key AND a.kind = fhir.term('kind=' || bury.kind);
    END IF;
    RETURN gone;
END $$;
COMMENT ON FUNCTION fhir.bury IS
    'Takes away the current row of a resource whose last version and deletion the caller''s own transaction has put into the history: nothing else can be deleted';
REVOKE ALL ON FUNCTION fhir.bury FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fhir.bury TO feldsher_api, feldsher_worker;
GRANT EXECUTE ON FUNCTION fhir.term, fhir.settled TO feldsher_api, feldsher_worker;

-- ---------------------------------------------------------------- rights
GRANT SELECT, INSERT ON fhir.change TO feldsher_api, feldsher_worker;
GRANT SELECT, INSERT, DELETE ON fhir.amount TO feldsher_api, feldsher_worker;
DO $$
DECLARE
    rule text := fhir.lettered_rule();
    may_write text := '(SELECT app.role()) IN (''doctor'', ''technician'', ''service'')';
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['change', 'amount'] LOOP
        EXECUTE format('ALTER TABLE fhir.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY worker ON fhir.%I TO feldsher_worker USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY readers ON fhir.%I FOR SELECT TO feldsher_api USING (%s)', name, rule);
        EXECUTE format('CREATE POLICY writers ON fhir.%I FOR INSERT TO feldsher_api WITH CHECK (%s AND (%s))', name, may_write, rule);
    END LOOP;
    EXECUTE format('CREATE POLICY removers ON fhir.amount FOR DELETE TO feldsher_api USING (%s AND (%s))', may_write, rule);
END $$;
