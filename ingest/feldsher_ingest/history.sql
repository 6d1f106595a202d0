-- What watched people measured. Times go in as microseconds since 1970; `from` and `to` bound the chunks to look at.

-- name: history
-- The newest readings of devices in stretches of best known time that have some of some codes.
select w.n, s.no, (extract(epoch from r.time) * 1000000)::int8, w.key, s.device, s.user_no, s.gateway,
       r.reading_id, r.message_id,
       (extract(epoch from coalesce(r.corrected_time, r.time)) * 1000000)::int8, r.corrected_time is not null,
       h.codes, h.units, r.value, r.absent, r.status, r.statuses
from unnest(%(n)b::int4[], %(key)b::text[], %(device)b::text[], %(gateway)b::text[], %(low_us)b::int8[],
            %(high_us)b::int8[], %(margin_us)b::int8[]) as w(n, key, device, gateway, low_us, high_us, margin_us)
join vital_source s on s.device = w.device and (w.gateway is null or s.gateway = w.gateway)
cross join lateral (
    select v.* from vital_reading v
    where v.source = s.no
      and v.shape = any(array(select no from vital_shape where codes && %(codes)b::int4[]))
      and v.time between to_timestamp((w.low_us - w.margin_us)::float8 / 1e6::float8)
                     and to_timestamp((w.high_us + w.margin_us)::float8 / 1e6::float8)
      and coalesce(v.corrected_time, v.time) between to_timestamp(w.low_us::float8 / 1e6::float8)
                                                 and to_timestamp(w.high_us::float8 / 1e6::float8)
      and v.key_time between %(from)s and %(to)s
    order by v.time desc limit %(most)s
) r
join vital_shape h on h.no = r.shape;

-- name: sample
-- Of each day at most so many of those readings, chosen by their ids.
select w.n, s.no, (extract(epoch from r.time) * 1000000)::int8, w.key, s.device, s.user_no, s.gateway,
       r.reading_id, r.message_id,
       (extract(epoch from coalesce(r.corrected_time, r.time)) * 1000000)::int8, r.corrected_time is not null,
       h.codes, h.units, r.value, r.absent, r.status, r.statuses
from unnest(%(n)b::int4[], %(key)b::text[], %(device)b::text[], %(gateway)b::text[], %(low_us)b::int8[],
            %(high_us)b::int8[], %(margin_us)b::int8[]) as w(n, key, device, gateway, low_us, high_us, margin_us)
join vital_source s on s.device = w.device and (w.gateway is null or s.gateway = w.gateway)
cross join lateral (
    select v.*, row_number() over (
               partition by (coalesce(v.corrected_time, v.time) at time zone 'UTC')::date order by v.reading_id) as nth
    from vital_reading v
    where v.source = s.no
      and v.shape = any(array(select no from vital_shape where codes && %(codes)b::int4[]))
      and v.time between to_timestamp((w.low_us - w.margin_us)::float8 / 1e6::float8)
                     and to_timestamp((w.high_us + w.margin_us)::float8 / 1e6::float8)
      and coalesce(v.corrected_time, v.time) between to_timestamp(w.low_us::float8 / 1e6::float8)
                                                 and to_timestamp(w.high_us::float8 / 1e6::float8)
      and v.key_time between %(from)s and %(to)s
) r
join vital_shape h on h.no = r.shape
where r.nth <= %(most)s;
