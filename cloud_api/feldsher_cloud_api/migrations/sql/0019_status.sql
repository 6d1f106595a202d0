-- Who looks how the line stands (`feldsher-ingest status`, ingest's metrics) sees the canary too; ingest's own role is
-- one of those.
GRANT feldsher_status TO feldsher_ingest;
GRANT SELECT (shard, every, since, crossed_at) ON cloud.canary TO feldsher_status;
