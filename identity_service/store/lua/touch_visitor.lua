#!lua flags=allow-oom
-- Purpose: write when a visitor was last seen, and an opt-out of the same call, also when memory is full. It never makes a record.
-- Uses     opt_outs
-- KEYS[1]  record (hash)
-- ARGV[1]  now, s   ARGV[2]  sale/share opt-out: said; state, which counts only if the visitor never opted in; or empty
-- ARGV[3], ARGV[4]  GPC and DNT seen at, ms, or empty
-- Touches  four fields
-- Returns  1, or 0 if there is no record
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'l', ARGV[1])
if opts_out(KEYS[1], ARGV[2]) then redis.call('HSET', KEYS[1], 'w', 1) end
for field, value in pairs({o = ARGV[3], t = ARGV[4]}) do
  if value ~= '' then redis.call('HSETNX', KEYS[1], field, value) end
end
return 1
