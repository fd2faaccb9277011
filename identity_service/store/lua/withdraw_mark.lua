#!lua flags=allow-oom
-- Purpose: withdraw, first step: mark the visitor gone, which stops every link and event from now on, and list what has to go.
-- KEYS[1]  record (hash)   KEYS[2]  gone (string, ms)   KEYS[3]  sales (set of digests)
-- ARGV[1]  now, ms         ARGV[2]  life of the mark, s   ARGV[3]  length of a handle's name
-- Returns  {names of handles, sale digests}
local gone = tonumber(redis.call('GET', KEYS[2]) or 0)
redis.call('SET', KEYS[2], math.max(gone, tonumber(ARGV[1])), 'EX', ARGV[2])
local handles = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if #field == tonumber(ARGV[3]) then handles[#handles + 1] = field end
end
return {handles, redis.call('SMEMBERS', KEYS[3])}
