#!lua flags=allow-oom
-- Purpose: settle, step c: drop a pointer that its handle no longer backs; under an erasure begin to withdraw a visitor that the handle
--          held by proof, unless another handle holds it by proof, too.
-- Uses     count_unproven
-- KEYS[1]  record (hash)   KEYS[2]  gone (string: ms, and the nonce of the removal while one is open)
-- ARGV[1]  handle's name   ARGV[2]  the pointer as read in step a   ARGV[3]  time of the erasure, ms, else empty
-- ARGV[4]  life of a gone mark, s   ARGV[5]  nonce of the removal that this may begin
-- ARGV[6]  1: the erasure reaches visitors that the handle holds without proof, else empty
-- Returns  nothing
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return end
local letter, flag = string.sub(ARGV[1], 1, 1), string.sub(ARGV[2], -1)
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HINCRBY', KEYS[1], letter, -1)
count_unproven(KEYS, {letter, flag, false})
if ARGV[3] == '' or (flag == 'u' and ARGV[6] == '') then return end
local emails, customers, unproven_emails, unproven_customers, granted = unpack(redis.call('HMGET', KEYS[1], 'e', 'c', 'i', 'j', 'g'))
local proven = (emails or 0) + (customers or 0) - (unproven_emails or 0) - (unproven_customers or 0)
if proven > 0 then
  if flag ~= 'u' then redis.call('HSET', KEYS[1], 'm', 1) end -- what it did may be the erased person's
  return
end
if tonumber(granted or 0) > tonumber(ARGV[3]) then return end
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('SET', KEYS[2], ARGV[3] .. ' ' .. ARGV[5], 'EX', ARGV[4]) end
