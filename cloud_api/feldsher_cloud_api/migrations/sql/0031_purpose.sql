-- Why somebody asks, as they say it, only ever adds denials: whoever says "research" is still held to what is denied to
-- their role's own purpose. And each audit event of a broken glass says that it is one, whoever writes it.

CREATE FUNCTION app.purposes() RETURNS text[] LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(SELECT k.purpose FROM app.role_kind k WHERE k.name = current_setting('app.role', true)) || app.purpose();
END $$;
COMMENT ON FUNCTION app.purposes IS 'Why somebody asks: as they said, and as their role does';

CREATE OR REPLACE VIEW app.denied WITH (security_barrier) AS
SELECT d.patient, t.name AS type, t.term
FROM app.consent_rule d JOIN app.type t ON d.types IS NULL OR t.name = ANY (d.types)
WHERE d.deny AND d.during @> now()
  AND (d.actors IS NULL OR d.actors && (SELECT app.actors()))
  AND (d.purposes IS NULL OR d.purposes && (SELECT app.purposes()))
  AND NOT EXISTS (SELECT FROM app.consent_rule p WHERE p.parent = d.id AND p.during @> now()
                  AND (p.types IS NULL OR t.name = ANY (p.types))
                  AND (p.actors IS NULL OR p.actors && (SELECT app.actors()))
                  AND (p.purposes IS NULL OR (SELECT app.purposes()) <@ p.purposes))
  AND NOT EXISTS (SELECT FROM cloud.access_grant g WHERE g.kind = 'emergency' AND g.person = (SELECT app.person())
                  AND g.patient = d.patient AND g.during @> now());
COMMENT ON VIEW app.denied IS 'What consents keep from the asking person: patient and type; one denial is enough, breaking the glass ends it for a while';

CREATE FUNCTION app.mark_emergency() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF NEW.patient_id IS NOT NULL AND app.person() IS NOT NULL AND app.emergency(NEW.patient_id)
       AND NOT NEW.content ? 'purposeOfEvent' THEN
        NEW.content := NEW.content || '{"purposeOfEvent": [{"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "BTG", "display": "break the glass"}]}]}';
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION app.mark_emergency IS 'Says on each audit event of a broken glass that it is one';
CREATE TRIGGER emergency BEFORE INSERT ON fhir.auditevent FOR EACH ROW EXECUTE FUNCTION app.mark_emergency();
REVOKE EXECUTE ON FUNCTION app.mark_emergency FROM PUBLIC;
