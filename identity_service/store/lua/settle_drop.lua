#!lua flags=allow-oom
-- Purpose: settle, step c: drop a pointer that its handle no longer backs; under an erasure begin to withdraw a visitor it alone held.
-- KEYS[1]  record (hash)   KEYS[2]  gone (string: ms, and the nonce of the removal while one is open)
-- ARGV[1]  handle's name   ARGV[2]  the pointer as read in step a   ARGV[3]  time of the erasure, ms, else empty
-- ARGV[4]  life of a gone mark, s   ARGV[5]  nonce of the removal that this may begin
-- Returns  nothing
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return end
local letter = string.sub(ARGV[1], 1, 1)
redis.call('HDEL', KEYS[1], ARGV[1])
local same = redis.call('HINCRBY', KEYS[1], letter, -1)
local other, granted = unpack(redis.call('HMGET', KEYS[1], letter == 'e' and 'c' or 'e', 'g'))
if ARGV[3] == '' then return end
if same > 0 or tonumber(other or 0) > 1 then return redis.call('HSET', KEYS[1], 'm', 1) end -- what it did may be the erased person's
if tonumber(granted or 0) > tonumber(ARGV[3]) then return end
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('SET', KEYS[2], ARGV[3] .. ' ' .. ARGV[5], 'EX', ARGV[4]) end
