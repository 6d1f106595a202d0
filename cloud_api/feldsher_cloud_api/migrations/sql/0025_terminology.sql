-- Terminology: code systems' concepts as rows, value sets and concept maps by their addresses. R4's own come with the
-- revision; those of the record follow their resources by triggers, so that they are here however they were written.
-- It is nobody's data: every row is everybody's who is signed in, so that indexes serve `~` and the like too.

CREATE TABLE fhir.terminology (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('CodeSystem', 'ValueSet', 'ConceptMap')),
    resource uuid UNIQUE,
    url text NOT NULL,
    version text,
    status text NOT NULL,
    updated timestamptz NOT NULL,
    content jsonb NOT NULL
);
CREATE INDEX ON fhir.terminology (url, kind);
COMMENT ON TABLE fhir.terminology IS 'Code systems, value sets and concept maps by their canonical addresses';
COMMENT ON COLUMN fhir.terminology.resource IS 'The resource it comes from; null: R4''s own';
COMMENT ON COLUMN fhir.terminology.content IS 'The resource; of a code system without its concepts';

CREATE TABLE fhir.concept (
    system int NOT NULL,
    ordinal int NOT NULL,
    code text NOT NULL,
    display text,
    folded text NOT NULL,
    definition text,
    designation jsonb,
    property jsonb NOT NULL DEFAULT '{}',
    parents text[] NOT NULL DEFAULT '{}',
    ancestors text[] NOT NULL DEFAULT '{}',
    abstract boolean NOT NULL DEFAULT false,
    inactive boolean NOT NULL DEFAULT false,
    PRIMARY KEY (system, code)
);
CREATE INDEX ON fhir.concept (system, ordinal);
CREATE INDEX ON fhir.concept USING gin (ancestors) WHERE ancestors <> '{}';
COMMENT ON TABLE fhir.concept IS 'The concepts of code systems, in their order';
COMMENT ON COLUMN fhir.concept.system IS 'fhir.terminology; no foreign key, which would cost a third of filling it';
COMMENT ON COLUMN fhir.concept.folded IS 'Code and names without case, for a search as one types';
COMMENT ON COLUMN fhir.concept.property IS 'Properties: code → values as text';
COMMENT ON COLUMN fhir.concept.ancestors IS 'Everything it is a kind of, near and far, without itself';

CREATE FUNCTION fhir.property_value(property jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(p.value #>> '{code}', p.value #>> '{}')
    FROM jsonb_each(property) p WHERE p.key LIKE 'value%' LIMIT 1
$$;
COMMENT ON FUNCTION fhir.property_value IS 'The value[x] of a concept''s property as text; of a Coding its code';

CREATE FUNCTION fhir.fill_concepts(systems jsonb) RETURNS void LANGUAGE sql AS $$
    WITH RECURSIVE nested AS (
        SELECT s.key::int AS system, c.value AS concept, ARRAY[c.at::int] AS place, NULL::text AS parent
        FROM jsonb_each(systems) s, jsonb_array_elements(s.value) WITH ORDINALITY c (value, at)
        UNION ALL
        SELECT n.system, c.value, n.place || c.at::int, n.concept ->> 'code'
        FROM nested n, jsonb_array_elements(n.concept -> 'concept') WITH ORDINALITY c (value, at)
    ), named AS MATERIALIZED (
        SELECT DISTINCT ON (system, concept ->> 'code')
            system, concept ->> 'code' AS code, concept - 'concept' AS concept, place
        FROM nested WHERE concept ->> 'code' IS NOT NULL ORDER BY system, concept ->> 'code', place
    ), property AS MATERIALIZED (
        SELECT n.system, n.code, p.value ->> 'code' AS name, fhir.property_value(p.value) AS value
        FROM named n, jsonb_array_elements(n.concept -> 'property') p
    ), edge AS MATERIALIZED (
        SELECT system, concept ->> 'code' AS child, parent FROM nested WHERE parent IS NOT NULL
        UNION SELECT system, code, value FROM property WHERE name IN ('parent', 'subsumedBy')
        UNION SELECT system, value, code FROM property WHERE name = 'child'
    ), above AS (
        SELECT system, child, parent FROM edge
        UNION SELECT a.system, a.child, e.parent FROM above a JOIN edge e ON e.system = a.system AND e.child = a.parent
    )
    INSERT INTO fhir.concept (system, ordinal, code, display, folded, definition, designation, property, parents,
                              ancestors, abstract, inactive)
    SELECT n.system, row_number() OVER (PARTITION BY n.system ORDER BY n.place), n.code, n.concept ->> 'display',
        lower(concat_ws(' ', n.code, n.concept ->> 'display', d.names)), n.concept ->> 'definition',
        n.concept -> 'designation', coalesce(p.every, '{}'), coalesce(e.parents, '{}'), coalesce(a.ancestors, '{}'),
        coalesce(p.abstract, false), coalesce(p.inactive, false)
    FROM named n
    LEFT JOIN (SELECT system, child, array_agg(parent ORDER BY parent) AS parents FROM edge GROUP BY system, child) e
        ON e.system = n.system AND e.child = n.code
    LEFT JOIN (SELECT system, child, array_agg(parent ORDER BY parent) AS ancestors FROM above WHERE parent <> child
               GROUP BY system, child) a ON a.system = n.system AND a.child = n.code
    LEFT JOIN (
        SELECT system, code, jsonb_object_agg(name, vs) AS every,
            bool_or(name IN ('notSelectable', 'abstract') AND vs @> '["true"]') AS abstract,
            bool_or(name = 'inactive' AND vs @> '["true"]'
                    OR name = 'status' AND vs ?| '{retired,inactive,deprecated,withdrawn}') AS inactive
        FROM (SELECT system, code, name, jsonb_agg(value) AS vs FROM property
              WHERE name IS NOT NULL AND value IS NOT NULL GROUP BY system, code, name) q GROUP BY system, code
    ) p ON p.system = n.system AND p.code = n.code
    LEFT JOIN LATERAL (SELECT string_agg(g.value ->> 'value', ' ') AS names
                       FROM jsonb_array_elements(n.concept -> 'designation') g) d ON true
$$;
COMMENT ON FUNCTION fhir.fill_concepts IS
    'Makes the rows of code systems'' concepts (system → its concepts), nested ones and those that parent and child order';

CREATE FUNCTION fhir.keep_terminology() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    of int;
    kind text := coalesce(NEW.content, OLD.content) ->> 'resourceType';
BEGIN
    DELETE FROM fhir.terminology WHERE resource = OLD.id RETURNING id INTO of;
    DELETE FROM fhir.concept WHERE system = of;
    IF TG_OP = 'DELETE' OR NEW.content ->> 'url' IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO fhir.terminology (kind, resource, url, version, status, updated, content)
    VALUES (kind, NEW.id, NEW.content ->> 'url', NEW.content ->> 'version', coalesce(NEW.content ->> 'status', 'unknown'),
            NEW.updated, CASE kind WHEN 'CodeSystem' THEN NEW.content - 'concept' - 'text' ELSE NEW.content - 'text' END)
    RETURNING id INTO of;
    IF kind = 'CodeSystem' AND NEW.content ? 'concept' AND NEW.content ->> 'content' <> 'supplement' THEN
        PERFORM fhir.fill_concepts(jsonb_build_object(of, NEW.content -> 'concept'));
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION fhir.keep_terminology IS 'Keeps fhir.terminology and fhir.concept as the resources are';
REVOKE ALL ON FUNCTION fhir.fill_concepts, fhir.keep_terminology FROM PUBLIC;

ALTER TABLE fhir.terminology ENABLE ROW LEVEL SECURITY;
ALTER TABLE fhir.concept ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON fhir.terminology FOR SELECT USING (true);
CREATE POLICY readers ON fhir.concept FOR SELECT USING (true);
GRANT SELECT ON fhir.terminology, fhir.concept TO feldsher_api, feldsher_worker;

CREATE TRIGGER codesystem_terminology AFTER INSERT OR UPDATE OF content OR DELETE ON fhir.codesystem
    FOR EACH ROW EXECUTE FUNCTION fhir.keep_terminology();
CREATE TRIGGER valueset_terminology AFTER INSERT OR UPDATE OF content OR DELETE ON fhir.valueset
    FOR EACH ROW EXECUTE FUNCTION fhir.keep_terminology();
CREATE TRIGGER conceptmap_terminology AFTER INSERT OR UPDATE OF content OR DELETE ON fhir.conceptmap
    FOR EACH ROW EXECUTE FUNCTION fhir.keep_terminology();
