-- Purpose: keep a session of the admin pages and enter its sign-in in the audit. Ended sessions go; of one person's, the oldest gives way.
-- Uses     audit
-- KEYS[1]  sessions (hash)   KEYS[2...]  as in keep_audit
-- ARGV[1]  session's ID   ARGV[2]  session   ARGV[3]  time before which sessions have ended, s   ARGV[4]  longest life, s
-- ARGV[5]  most sessions of a person   ARGV[6...]  entry, life and most, as in keep_audit
-- Touches  all sessions, and three elements of the audit
-- Returns  nothing
local stored, own, left = redis.call('HGETALL', KEYS[1]), cjson.decode(ARGV[2]), {}
for i = 1, #stored, 2 do
  local person, _, _, begun_at = unpack(cjson.decode(stored[i + 1]))
  if begun_at <= tonumber(ARGV[3]) then
    redis.call('HDEL', KEYS[1], stored[i])
  elseif person == own[1] then
    left[#left + 1] = {begun_at, stored[i]}
  end
end
table.sort(left, function(one, other) return one[1] < other[1] end)
for i = 1, #left + 1 - tonumber(ARGV[5]) do redis.call('HDEL', KEYS[1], left[i][2]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[4])
keep_audit({unpack(KEYS, 2)}, unpack(ARGV, 6))
