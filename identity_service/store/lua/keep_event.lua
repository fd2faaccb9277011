#!lua
-- Purpose: put an event before a visitor's earlier ones.
-- KEYS[1]  record (hash)   KEYS[2]  gone (string)   KEYS[3]  events (list of JSON, newest first)
-- ARGV[1]  event, JSON   ARGV[2]  most events   ARGV[3]  life in seconds   ARGV[4]  now, s
-- ARGV[5]  1: the life counts from the first event (an ID without a signature), empty: it is the ID's own end
-- Returns  nothing
local held = redis.call('LPUSH', KEYS[3], ARGV[1])
if held > tonumber(ARGV[2]) then redis.call('LTRIM', KEYS[3], 0, tonumber(ARGV[2]) - 1) end
local life = held > 1 and redis.call('TTL', KEYS[3]) or -1
if life < 0 or (ARGV[5] == '' and life < tonumber(ARGV[3])) then redis.call('EXPIRE', KEYS[3], ARGV[3]) end
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'l', ARGV[4]) end
