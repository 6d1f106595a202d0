-- Alarms: what of ingest's alerts staff has to do (Task), what warns on the record meanwhile (Flag), and individual limits
-- under the record's rules of who may see and set them.

CALL fhir.create_type('Task', 'compartment', 'what staff is to do, first of all about alarms',
    '{identifier,status,intent,priority,code,subject,patient,focus,requester,owner}', '{authored_on,modified}', '{doctor}');
CALL fhir.create_type('Flag', 'compartment', 'warnings on a patient''s record, shown while their alarm is open',
    '{identifier,status,subject,author}', '{date}', '{doctor}');

CREATE TABLE cloud.alarm (
    task uuid PRIMARY KEY,
    patient uuid,
    limit_id uuid NOT NULL,
    kind text NOT NULL,
    report uuid,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    closed_by uuid REFERENCES cloud.person
);
-- NULLs are unlike each other: what is nobody's gathers with nothing
CREATE UNIQUE INDEX alarm_open ON cloud.alarm (patient, limit_id, kind, coalesce(report, '00000000-0000-0000-0000-000000000000'))
    WHERE closed_at IS NULL;
COMMENT ON TABLE cloud.alarm IS 'Alarms by their Task. While one is open, further alerts of the same patient, limit and kind are gathered on it';
COMMENT ON COLUMN cloud.alarm.limit_id IS 'The limit that was broken (watch_limit); kind: as in watch_alert';
COMMENT ON COLUMN cloud.alarm.report IS 'The cardiogram''s report that answers the alarm when it is signed: each has a Task of its own';
COMMENT ON COLUMN cloud.alarm.closed_at IS 'When somebody has answered it; closed_by: who, null where it turned out to be none of this patient''s';

CREATE TABLE cloud.alarm_alert (
    alert uuid PRIMARY KEY,
    task uuid NOT NULL REFERENCES cloud.alarm,
    noted_at timestamptz NOT NULL
);
CREATE INDEX ON cloud.alarm_alert (task);
COMMENT ON TABLE cloud.alarm_alert IS 'Which Task each of ingest''s alerts (watch_alert) came to: every alert comes to one, and to one only';

-- Alerts are claimed apart from all else: no cardiogram that is being drawn holds one up.
CREATE INDEX event_alert ON public.event (id) WHERE kind = 'alert' AND done_at IS NULL AND parked_at IS NULL;

-- ---------------------------------------------------------------- who may
GRANT SELECT, INSERT, UPDATE ON cloud.alarm TO feldsher_worker;
GRANT SELECT, INSERT ON cloud.alarm_alert TO feldsher_worker;
GRANT SELECT, UPDATE ON cloud.alarm TO feldsher_api;
GRANT SELECT ON cloud.alarm_alert, public.watch_alert TO feldsher_api;
GRANT SELECT, INSERT, UPDATE ON public.watch_limit TO feldsher_api;

ALTER TABLE cloud.alarm ENABLE ROW LEVEL SECURITY;
ALTER TABLE cloud.alarm_alert ENABLE ROW LEVEL SECURITY;
CREATE POLICY worker ON cloud.alarm TO feldsher_worker USING (true) WITH CHECK (true);
CREATE POLICY worker ON cloud.alarm_alert TO feldsher_worker USING (true) WITH CHECK (true);
CREATE POLICY readers ON cloud.alarm FOR SELECT TO feldsher_api USING (task IN (SELECT id FROM fhir.task));
CREATE POLICY changers ON cloud.alarm FOR UPDATE TO feldsher_api
    USING ((SELECT app.role()) = 'doctor' AND task IN (SELECT id FROM fhir.task))
    WITH CHECK ((SELECT app.role()) = 'doctor');
CREATE POLICY readers ON cloud.alarm_alert FOR SELECT TO feldsher_api USING (task IN (SELECT task FROM cloud.alarm));
-- Whose an alert is, the record says, not ingest: by the Task that it came to.
CREATE POLICY readers ON public.watch_alert FOR SELECT TO feldsher_api USING (id IN (SELECT alert FROM cloud.alarm_alert));

CREATE POLICY readers ON public.watch_limit FOR SELECT TO feldsher_api USING (
    CASE (SELECT app.role())
        WHEN 'doctor' THEN (SELECT app.cares_for_all()) OR subject = ANY ((SELECT app.cared_for())::uuid[])
        WHEN 'patient' THEN subject = ANY ((SELECT app.patients())::uuid[])
        WHEN 'service' THEN true
        ELSE false END);
CREATE POLICY writers ON public.watch_limit FOR INSERT TO feldsher_api WITH CHECK (
    (SELECT app.role()) = 'doctor' AND set_by = (SELECT app.person())
    AND (subject IN (SELECT id FROM fhir.patient)));
CREATE POLICY changers ON public.watch_limit FOR UPDATE TO feldsher_api
    USING ((SELECT app.role()) = 'doctor' AND subject IN (SELECT id FROM fhir.patient))
    WITH CHECK ((SELECT app.role()) = 'doctor' AND ended_by = (SELECT app.person()));
