-- Who is watched, and by what limits. Times leave as microseconds since 1970; periods without bounds end in 1970 and 2106.

-- name: epoch
-- The count of changes of who is watched or by what limits.
select epoch from watch_epoch;

-- name: devices
-- Devices of people under monitoring whose periods changed since a count.
select distinct device from watch_subject where epoch > %(since)s and not isempty(during);

-- name: holds
-- Whose some devices' measurements are, and those of all devices of everybody who has one of them, and of some people.
with people as (
    select distinct subject from watch_subject
    where (device = any(%(devices)b::text[]) or subject = any(%(subjects)b::uuid[])) and not isempty(during)
), owned as (
    select distinct device from watch_subject
    where (subject in (select subject from people) or device = any(%(devices)b::text[])) and not isempty(during)
)
select w.device, w.user_no, w.subject,
       (extract(epoch from greatest(lower(w.during), '1970-01-01Z')) * 1000000)::int8,
       (extract(epoch from least(upper(w.during), '2106-01-01Z')) * 1000000)::int8,
       coalesce((select (extract(epoch from max(m.by)) * 1000000)::int8
                 from watch_moved m join vital_source s on s.no = m.source
                 where watch_key(s.gateway, s.device) = w.device), 0)
from watch_subject w join owned o on o.device = w.device
where not isempty(w.during)
order by w.device, lower(w.during) nulls first, w.id;

-- name: limits
-- All versions that hold for some time of some people's limits, or of the limits of everybody.
select id, version, subject, rule::text, severity, zone,
       (extract(epoch from greatest(lower(during), '1970-01-01Z')) * 1000000)::int8,
       (extract(epoch from least(upper(during), '2106-01-01Z')) * 1000000)::int8
from watch_limit
where not isempty(during)
  and (subject = any(%(subjects)b::uuid[]) or (%(general)s and subject is null))
order by id, version;
