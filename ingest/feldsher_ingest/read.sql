-- What the cloud reads of the stored telemetry. Times are the best known: corrected where a correction is known.

-- name: recording
-- One cardiogram by id.
select id, device, gateway, order_id, fs, leads, uv_per_bit, n, codec, samples, sha256, started_at, ended_at,
       coalesce(corrected_started_at, started_at) as taken_at, clock, lost, crc_errors, clock_ratio, partial, lead_off,
       subject::text as subject, interpretation, not_interpreted, received_at
from ecg_recording where id = %(id)s;

-- name: readings
-- The values of readings by id.
select reading_id, code, time, coalesce(corrected_time, time) as taken_at, received_at, device, user_no, value, absent,
       unit, status, sent_at, message_id, gateway
from vital_sign where reading_id = any(%(ids)b::uuid[]) order by reading_id, code, time;

-- name: clock_trusted
-- Whether a gateway's clock was right enough when it made a message: not unsynced, or its error became known later.
select m.clock <> 'unsynced' or exists (
    select from clock_offset c where c.gateway = m.gateway and c.boot = m.boot and c.trusted
                                 and (c.mono_ns > m.mono_ns or c.base_us is not null))
from message m where m.gateway = %(gateway)s and m.id = %(id)s;

-- name: vitals_range
-- The values of devices from one time to before another, by key time.
select reading_id, code, time, coalesce(corrected_time, time) as taken_at, received_at, device, user_no, value, absent,
       unit, status, sent_at, message_id, gateway
from vital_sign
where source = any(array(select no from vital_source where device = any(%(devices)b::text[])))
  and time >= %(start)s and time < %(end)s
  and key_time >= %(start)s::timestamptz - interval '15 hours' and key_time < %(end)s::timestamptz + interval '15 hours'
  and (%(codes)b::int4[] is null or code = any(%(codes)b::int4[]))
order by time, reading_id, code
limit %(limit)s;

-- name: latest
-- The newest value per code and user of a device.
select reading_id, code, time, coalesce(corrected_time, time) as taken_at, device, user_no, value, absent, unit
from latest_value where device = %(device)s order by code, user_no;
