-- What the engine says of continuous ECGs, and up to which of their pieces. The samples stay where ingest keeps them.
CREATE TABLE cloud.stream_report (
    stream uuid PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT '-infinity',
    taken_from timestamptz,
    taken_until timestamptz,
    made_at timestamptz,
    report jsonb,
    why text
);
CREATE INDEX stream_report_new ON cloud.stream_report (stream) WHERE received_at = '-infinity';
COMMENT ON TABLE cloud.stream_report IS 'The evaluation of a continuous ECG that has ended: made again where pieces come later or its clock is set right';
COMMENT ON COLUMN cloud.stream_report.stream IS 'The continuous ECG (ingest)';
COMMENT ON COLUMN cloud.stream_report.received_at IS 'ecg_stream.received_at when it was made; -infinity: not yet';
COMMENT ON COLUMN cloud.stream_report.taken_from IS 'ecg_stream.taken_from when it was made';
COMMENT ON COLUMN cloud.stream_report.taken_until IS 'ecg_stream.taken_until when it was made';
COMMENT ON COLUMN cloud.stream_report.made_at IS 'When it was made';
COMMENT ON COLUMN cloud.stream_report.report IS 'feldsher_ehr_core.ambulatory.Ambulatory; null where there is none';
COMMENT ON COLUMN cloud.stream_report.why IS 'Why there is none';
ALTER TABLE cloud.stream_report ENABLE ROW LEVEL SECURITY;
CREATE POLICY worker ON cloud.stream_report TO feldsher_worker USING (true) WITH CHECK (true);
CREATE POLICY readers ON cloud.stream_report FOR SELECT TO feldsher_api
    USING (EXISTS (SELECT FROM fhir.diagnosticreport d WHERE d.recording = stream));
GRANT SELECT, INSERT, UPDATE ON cloud.stream_report TO feldsher_worker;
GRANT SELECT ON cloud.stream_report TO feldsher_api;
