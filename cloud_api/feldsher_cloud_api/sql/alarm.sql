-- Alarms: ingest's alerts gathered on Tasks.

-- name: alert^
-- What ingest's watch says of an alert.
SELECT id, limit_id, version, kind, subject, severity, reading_id, gateway, measured_at, arrived_at, late, doubt, numbers::text
FROM public.watch_alert WHERE id = :id;

-- name: task_of$
-- The Task that an alert has come to.
SELECT task FROM cloud.alarm_alert WHERE alert = :alert;

-- name: open!
-- Open an alarm where none of its kind is open.
INSERT INTO cloud.alarm (task, patient, limit_id, kind, report, opened_at)
VALUES (:task, :patient, :limit, :kind, :report, :now) ON CONFLICT DO NOTHING;

-- name: opened^
-- The open alarm of a patient, limit, kind and cardiogram, locked; what is nobody's is found by its own Task alone.
SELECT task, opened_at FROM cloud.alarm
WHERE closed_at IS NULL AND (task = :task OR (patient = :patient AND limit_id = :limit AND kind = :kind
    AND report IS NOT DISTINCT FROM :report::uuid)) FOR UPDATE;

-- name: gather!
-- Note to which Task an alert came.
INSERT INTO cloud.alarm_alert (alert, task, noted_at) VALUES (:alert, :task, :now) ON CONFLICT DO NOTHING;

-- name: gathered^
-- All alerts of a Task in one line: how many, from when to when, whether all are late, whether all are doubted, and how
-- much the weightiest weighs.
SELECT count(*), min(a.measured_at), max(a.measured_at), bool_and(a.late), bool_and(cardinality(a.doubt) > 0),
    min(array_position(ARRAY['urgent', 'warning', 'note'], a.severity)),
    (array_agg(a.id ORDER BY a.measured_at DESC, a.id))[1]
FROM cloud.alarm_alert g JOIN public.watch_alert a ON a.id = g.alert WHERE g.task = :task;

-- name: alerts
-- Every alert of a Task, newest first.
SELECT a.id, a.limit_id, a.version, a.kind, a.subject, a.severity, a.reading_id, a.gateway, a.measured_at, a.arrived_at,
    a.late, a.doubt, a.numbers::text
FROM cloud.alarm_alert g JOIN public.watch_alert a ON a.id = g.alert WHERE g.task = :task ORDER BY a.measured_at DESC, a.id;

-- name: close$
-- Close an alarm; its Task, null where it is closed already or is not there.
UPDATE cloud.alarm SET closed_at = :now, closed_by = :person WHERE task = :task AND closed_at IS NULL RETURNING task;

-- name: of_report
-- Open alarms that a report's signature answers.
SELECT task FROM cloud.alarm WHERE report = :report AND closed_at IS NULL ORDER BY task;

-- name: of_measurement
-- Open alarms of nobody that a reading or cardiogram has raised, with whose limit it was.
SELECT m.task, a.subject FROM cloud.alarm m JOIN cloud.alarm_alert g ON g.task = m.task
JOIN public.watch_alert a ON a.id = g.alert
WHERE a.reading_id = :measurement AND m.closed_at IS NULL AND m.patient IS NULL ORDER BY m.task;

-- name: open_beside$
-- The open alarm of a patient with which an alarm of nobody's is to be gathered, locked; null where there is none.
SELECT m.task FROM cloud.alarm n JOIN cloud.alarm m ON m.patient = :patient AND m.limit_id = n.limit_id
    AND m.kind = n.kind AND m.report IS NOT DISTINCT FROM n.report AND m.closed_at IS NULL AND m.task <> n.task
WHERE n.task = :task FOR UPDATE OF m;

-- name: give!
-- An alarm of nobody has found its patient.
UPDATE cloud.alarm SET patient = :patient WHERE task = :task;

-- name: move!
-- The alerts of one alarm come to another.
UPDATE cloud.alarm_alert SET task = :to WHERE task = :task;

-- name: opened_at$
-- Since when an alarm is open.
SELECT opened_at FROM cloud.alarm WHERE task = :task;
