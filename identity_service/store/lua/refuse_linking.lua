#!lua flags=allow-oom
-- Purpose: remember that a visitor refused links, also without a grant, remove its links, and keep the receipt that proves the refusal.
-- Uses     marks, links, receipts, rewrite
-- KEYS[1]  record (hash)   KEYS[2]  gone (string)   KEYS[3]  earlier receipts (list)   KEYS[4]  piece of receipts (list)
-- KEYS[5]  rewrite (hash)   KEYS[6...]  links of each handle that the visitor points to
-- ARGV[1]  visitor   ARGV[2]  kind of a new record   ARGV[3]  now, s   ARGV[4]  expiry of a new record, s
-- ARGV[5]  receipt ID, or empty if the refusal is known already   ARGV[6]  receipt key   ARGV[7]  receipt   ARGV[8]  its life, s
-- ARGV[9...]  names of the handles
-- Touches  all handles of the visitor
-- Returns  {done}; {gone}: then only the receipt is kept; or {otherwise, names} if the visitor points to other handles
local links, names = declared_links(KEYS[1], {unpack(ARGV, 9)}, {unpack(KEYS, 6)})
if not links then return {'otherwise', names} end
if ARGV[5] ~= '' then keep_receipt(KEYS[4], ARGV[7], ARGV[8]) end
local mark = redis.call('GET', KEYS[2])
if mark and not yields(mark) then return {'gone'} end
if redis.call('EXISTS', KEYS[1]) == 0 then
  if tonumber(ARGV[4]) <= tonumber(ARGV[3]) then return {'done'} end -- nothing is kept of an ID that has ended
  redis.call('HSET', KEYS[1], 'k', ARGV[2], 'f', ARGV[3], 'l', ARGV[3], 'x', ARGV[4])
  redis.call('EXPIRE', KEYS[1], tonumber(ARGV[4]) - tonumber(ARGV[3]))
end
redis.call('HSET', KEYS[1], 'n', 'refused')
if ARGV[5] ~= '' then
  redis.call('HSETNX', KEYS[1], 'q', ARGV[6])
  local earlier = redis.call('HGET', KEYS[1], 'r')
  if earlier then list_receipt(KEYS[3], earlier, redis.call('TTL', KEYS[1])) end
  redis.call('HSET', KEYS[1], 'r', ARGV[5])
end
if #names > 0 then note_rewrite(KEYS[5], ARGV[3]) end
for _, name in ipairs(names) do drop_link(links[name], KEYS[1], name, ARGV[1]) end
return {'done'}
