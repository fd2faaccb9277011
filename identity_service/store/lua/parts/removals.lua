-- The list of removed visitors, newest first. An entry is its number, its time in s and a digest, behind colons. Numbers rise by one.
local REMOVALS_LIFE = 30 * 86400
local MOST_DROPPED = 10 -- old entries that one call takes out

-- `digest`: of the visitor; empty for a shop without such a list. A new list begins with a number above those of any earlier one.
local function note_removal(key, digest, now)
  if digest == '' then return end
  local newest = redis.call('LINDEX', key, 0)
  local number = newest and tonumber(string.match(newest, '^%d+')) + 1 or now * 1000
  redis.call('LPUSH', key, string.format('%.0f:%.0f:%s', number, now, digest))
  for _ = 1, MOST_DROPPED do
    local oldest = redis.call('LINDEX', key, -1)
    if tonumber(string.match(oldest, '^%d+:(%d+)')) > now - REMOVALS_LIFE then break end
    redis.call('RPOP', key)
  end
  redis.call('EXPIRE', key, REMOVALS_LIFE)
end
