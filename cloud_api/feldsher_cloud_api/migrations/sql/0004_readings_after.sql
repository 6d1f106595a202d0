-- Readings are the worker's business; the API reads their Observations.
REVOKE ALL ON public.vital_source, public.vital_shape, public.vital_reading, public.latest_reading, public.vital_sign,
    public.latest_value FROM feldsher_api;
