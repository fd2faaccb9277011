#!lua flags=allow-oom
-- Purpose: withdraw, first step: mark the visitor gone, which stops every link and event from now on, and list what has to go.
-- Uses     handles_of
-- KEYS[1]  record (hash)   KEYS[2]  gone (string: ms, and the nonce of the removal while one is open)   KEYS[3]  sales (set of digests)
-- ARGV[1]  time, ms   ARGV[2]  life of the mark, s   ARGV[3]  length of a handle's name   ARGV[4]  nonce, if none is open
-- ARGV[5]  now: mark in any case   again: mark unless a later mark or grant stands   join: only what is open already
-- A grant dated ahead (a banner's clock may be) is marked as withdrawn too: the mark is never older than it.
-- Returns  {nonce of the open removal, names of handles, sale digests}, or {} where there is nothing to do
local at, nonce = string.match(redis.call('GET', KEYS[2]) or '0 ', '^(%d+) ?(.*)$')
at = tonumber(at)
local time, granted = tonumber(ARGV[1]), tonumber(redis.call('HGET', KEYS[1], 'g') or 0)
if nonce == '' then
  if ARGV[5] == 'join' or (ARGV[5] == 'again' and (at >= time or granted > time)) then return {} end
  nonce = ARGV[4]
end
if ARGV[5] ~= 'join' then
  local life = math.max(redis.call('TTL', KEYS[2]), tonumber(ARGV[2]))
  redis.call('SET', KEYS[2], string.format('%.0f %s', math.max(at, time, granted), nonce), 'EX', life)
end
return {nonce, handles_of(KEYS, {ARGV[3]}), redis.call('SMEMBERS', KEYS[3])}
