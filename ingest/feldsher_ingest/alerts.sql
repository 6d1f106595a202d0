-- Alerts of the watch.

-- name: known
-- Which of some pairs of limit and what it is about have an alert.
select a.limit_id, a.about
from unnest(%(limits)s::uuid[], %(about)s::text[]) as x(limit_id, about)
join watch_alert a on (a.limit_id, a.about) = (x.limit_id, x.about);

-- name: origins
-- When measurements came, by what clock of their gateway, and whether a newer one of their kind is known. What is said
-- to have been measured in the future makes nothing late. What the message told of itself its event keeps.
select x.message_id, x.reading_id, m.stored_at, m.clock, exists (
           select from vital_source s
           join latest_reading l on l.source = s.no
           join vital_shape h on h.no = l.shape and h.codes && x.codes
           where s.device = x.device and watch_key(s.gateway, s.device) = watch_key(x.gateway, x.device)
             and s.user_no is not distinct from x.user_no
             and coalesce(l.corrected_time, l.time) > x.measured_at
             and coalesce(l.corrected_time, l.time) <= %(until)s),
       coalesce(t.historical, false), coalesce(t.unowned, false)
from jsonb_to_recordset(%(asked)s::jsonb) as x(gateway text, message_id uuid, made_ms int8, reading_id uuid, device text,
                                               user_no int4, codes int4[], measured_at timestamptz)
join message m on m.gateway = x.gateway and m.id = x.message_id
              and m.made_at = to_timestamp(x.made_ms::float8 / 1e3::float8)
cross join lateral (
    select bool_or(e.body ? 'historical') as historical, bool_or(e.body ? 'unowned') as unowned from event e
    where e.message_id = x.message_id and e.gateway = x.gateway and e.body ?| array['historical', 'unowned']) t;

-- name: raise
-- Writes alerts that are not there, each with its event; returns of each severity, whether late, whether doubted.
with made as (
    insert into watch_alert (id, limit_id, version, kind, subject, about, severity, reading_id, device, gateway, message_id,
                             measured_at, arrived_at, late, cause, doubt, numbers)
    select id, limit_id, version, kind, subject, about, severity, reading_id, device, gateway, message_id, measured_at,
           arrived_at, late, cause, doubt, numbers
    from jsonb_to_recordset(%(alerts)s::jsonb) as x(
        id uuid, limit_id uuid, version int4, kind text, subject uuid, about text, severity text, reading_id uuid,
        device text, gateway text, message_id uuid, measured_at timestamptz, arrived_at timestamptz, late boolean,
        cause text, doubt text[], numbers jsonb)
    order by limit_id, about  -- one order for everybody: no two wait for each other crosswise
    on conflict do nothing
    returning *
), told as (
    insert into event (kind, gateway, message_id, body)
    select 'alert', coalesce(gateway, ''), coalesce(message_id, id),
           jsonb_build_object('alert', id, 'kind', kind, 'severity', severity, 'subject', subject, 'late', late,
                              'doubt', to_jsonb(doubt))
    from made order by limit_id, about
)
select severity, late, cardinality(doubt) > 0 from made;
