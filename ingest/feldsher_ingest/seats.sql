-- Seats at the broker and who holds them. The database's clock alone decides.

-- name: turn
-- Lets one process at a time look at the seats and change them.
select pg_advisory_xact_lock(hashtext('ingest_seat'));

-- name: present!
-- Says that a process is there for so many seconds more.
insert into ingest_member (holder, worker, present_until)
values (%(holder)s, %(worker)s, clock_timestamp() + make_interval(secs => %(seconds)s))
on conflict (holder) do update set present_until = excluded.present_until;

-- name: forget!
-- Forgets processes that have been gone for an hour.
delete from ingest_member where present_until < clock_timestamp() - interval '1 hour';

-- name: members
-- Lists the processes that are there.
select holder from ingest_member where present_until > clock_timestamp() order by holder;

-- name: seats
-- Lists the seats that somebody holds.
select seat, holder from ingest_seat where held_until > clock_timestamp();

-- name: hold!
-- Takes or renews seats.
insert into ingest_seat (seat, holder, held_until)
select seat, %(holder)s, clock_timestamp() + make_interval(secs => %(seconds)s)
from unnest(%(seats)s::int2[]) as x(seat)
on conflict (seat) do update set holder = excluded.holder, held_until = excluded.held_until;

-- name: release!
-- Gives seats back before their time.
delete from ingest_seat where holder = %(holder)s and not seat = any(%(seats)s::int2[]);

-- name: leave!
-- Says that a process is there no more.
delete from ingest_member where holder = %(holder)s;
