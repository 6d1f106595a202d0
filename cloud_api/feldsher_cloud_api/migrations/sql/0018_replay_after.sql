-- Re-interpretations as the API sees them: only where it can see the report of the recording, as the recording itself.
ALTER TABLE public.ecg_interpretation ENABLE ROW LEVEL SECURITY;
CREATE POLICY ingest ON public.ecg_interpretation TO feldsher_ingest USING (true) WITH CHECK (true);
CREATE POLICY worker ON public.ecg_interpretation TO feldsher_worker USING (true);
CREATE POLICY readers ON public.ecg_interpretation FOR SELECT TO feldsher_api
    USING (recording IN (SELECT recording FROM fhir.diagnosticreport));
REVOKE ALL ON public.replay_run FROM feldsher_api;

-- A report shows the interpretation of its recording's gateway, or that of a later engine where an operator asked for it.
ALTER TABLE fhir.diagnosticreport ADD COLUMN reinterpreted_by text;
COMMENT ON COLUMN fhir.diagnosticreport.reinterpreted_by IS
    'Engine whose interpretation (ecg_interpretation) the report shows and a signature covers; null: the gateway''s own';
