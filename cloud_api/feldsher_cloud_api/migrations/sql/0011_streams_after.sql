-- Continuous ECGs are seen by whoever sees the report of their stream, as recordings are by theirs.
ALTER TABLE public.ecg_stream ENABLE ROW LEVEL SECURITY;
CREATE POLICY ingest ON public.ecg_stream TO feldsher_ingest USING (true) WITH CHECK (true);
CREATE POLICY worker ON public.ecg_stream TO feldsher_worker USING (true);
CREATE POLICY readers ON public.ecg_stream FOR SELECT TO feldsher_api
    USING (EXISTS (SELECT FROM fhir.diagnosticreport d WHERE d.recording = stream));

ALTER TABLE public.ecg_chunk ENABLE ROW LEVEL SECURITY;
CREATE POLICY ingest ON public.ecg_chunk TO feldsher_ingest USING (true) WITH CHECK (true);
CREATE POLICY worker ON public.ecg_chunk TO feldsher_worker USING (true);
CREATE POLICY readers ON public.ecg_chunk FOR SELECT TO feldsher_api
    USING (EXISTS (SELECT FROM fhir.diagnosticreport d WHERE d.recording = stream));
