-- What time alone makes an alert (overdue.py).

-- name: missed
-- Limits on missed measurements that were not looked at since a time, the longest first, and until when they were; one
-- that was set anew since then counts as not looked at.
select l.id, l.subject, case when max(l.set_at) < max(c.until) then max(c.until) end
from watch_limit l
left join watch_checked c on c.limit_id = l.id
where l.rule ->> 'rule' = 'missed' and l.subject is not null and not isempty(l.during)
group by l.id, l.subject
having max(c.until) is null or max(c.until) < %(before)s
order by max(c.until) nulls first
limit %(most)s;

-- name: looked!
-- Notes until when limits were looked at.
insert into watch_checked (limit_id, until) select x, %(until)s from unnest(%(limits)b::uuid[]) as x
on conflict (limit_id) do update set until = excluded.until;

-- name: no_link
-- Whether all gateways that brought measurements of some devices are offline.
select coalesce(bool_and(g.state = 'offline'), false)
from unnest(%(devices)b::text[], %(gateways)b::text[]) as d(device, gateway)
join vital_source s on s.device = d.device and (d.gateway is null or s.gateway = d.gateway)
join gateway_state g on g.gateway = s.gateway;

-- name: reviews
-- Limits that hold and are due for review, where that made no alert yet.
select l.id, l.version, l.subject, l.severity, l.review_at
from watch_limit l
where l.review_at <= %(now)s and (upper_inf(l.during) or upper(l.during) > %(now)s) and not isempty(l.during)
  and not exists (select from watch_alert a where a.limit_id = l.id and a.about = 'review:' || l.version)
order by l.review_at
limit %(most)s;

-- name: absent
-- People under monitoring without a limit of their own that holds, where that made no alert today.
select b.version, b.severity, s.subject
from watch_limit b
cross join (
    select distinct w.subject from watch_subject w
    where w.during @> %(now)s::timestamptz and (lower_inf(w.during) or lower(w.during) <= %(since)s)
      and not exists (select from watch_limit l where l.subject = w.subject and l.during @> %(now)s::timestamptz)
) s
where b.id = %(limit)s and b.during @> %(now)s::timestamptz
  and not exists (select from watch_alert a where a.limit_id = b.id and a.about = s.subject || %(day)s)
order by s.subject
limit %(most)s;

-- name: changed
-- Limits that hold or will, and changed since a count.
select id, version, subject, rule::text, severity, zone, epoch
from watch_limit
where epoch > %(since)s and not isempty(during) and (upper_inf(during) or upper(during) > now());
