-- The audit: a list of entries for each day, and the newest entries about each person. Both are newest first.
local MOST_ACCESSES = 20

-- `keys`: the day's list; and for an entry about a person, that person's list. `life`: in s.
local function keep_audit(keys, entry, life)
  for i, key in ipairs(keys) do
    redis.call('LPUSH', key, entry)
    if i == 2 then redis.call('LTRIM', key, 0, MOST_ACCESSES - 1) end
    redis.call('EXPIRE', key, life)
  end
end
