#!lua
-- Purpose: note under the visitor which sales name it, before they do, so that a withdrawal finds them all.
-- Uses     as_assumed
-- KEYS[1]  record (hash)   KEYS[2]  gone (string)   KEYS[3]  sales (set of digests)
-- ARGV[1]  sale digest   ARGV[2]  life in seconds   ARGV[3]  most sales
-- ARGV[4]  the visitor as assumed
-- Returns  indexed, gone, full, or otherwise where the visitor is not as assumed
local gone = redis.call('GET', KEYS[2])
if not as_assumed(KEYS, {ARGV[4], gone}) then return 'otherwise' end
if gone then return 'gone' end
local known = redis.call('SISMEMBER', KEYS[3], ARGV[1]) == 1
if not known and redis.call('SCARD', KEYS[3]) >= tonumber(ARGV[3]) then return 'full' end
redis.call('SADD', KEYS[3], ARGV[1])
if redis.call('TTL', KEYS[3]) < tonumber(ARGV[2]) then redis.call('EXPIRE', KEYS[3], ARGV[2]) end
return 'indexed'
