-- What the API may read of ingest's tables: the state of gateways and devices, and a recording only where it can see the
-- report that interprets it. Everything else there is the worker's business.
REVOKE ALL ON public.vital_sign, public.latest_value, public.clock_offset, public.gap, public.dead_letter,
    public.message, public.event FROM feldsher_api;

ALTER TABLE public.ecg_recording ENABLE ROW LEVEL SECURITY;
CREATE POLICY ingest ON public.ecg_recording TO feldsher_ingest USING (true) WITH CHECK (true);
CREATE POLICY worker ON public.ecg_recording TO feldsher_worker USING (true);
CREATE POLICY readers ON public.ecg_recording FOR SELECT TO feldsher_api
    USING (id IN (SELECT recording FROM fhir.diagnosticreport));

-- How many events the worker has given up is for the metrics; nothing else of an event is the API's business.
GRANT SELECT (parked_at, done_at) ON public.event TO feldsher_api;
CREATE INDEX event_undone ON public.event (parked_at) WHERE done_at IS NULL;
