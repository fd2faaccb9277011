-- The audit: a list of entries for each day, and of each person the newest entry of every actor and act. Both are newest first.

-- Members of an entry, as in model/audit.
local ACT, ACTOR, PERSON = 2, 3, 4

-- An actor who repeats an act replaces its own entry, so that nobody can push out the others'.
local function keep_access(key, entry, life, most)
  local new = cjson.decode(entry)
  for _, stored in ipairs(redis.call('LRANGE', key, 0, -1)) do
    local old = cjson.decode(stored)
    if old[ACT] == new[ACT] and old[ACTOR] == new[ACTOR] and old[PERSON] == new[PERSON] then redis.call('LREM', key, 1, stored) end
  end
  redis.call('LPUSH', key, entry)
  redis.call('LTRIM', key, 0, most - 1)
  redis.call('EXPIRE', key, life)
end

-- `keys`: the day's list; and for an entry about a person, that person's list. `life`: in s. `most`: entries about a person.
local function keep_audit(keys, entry, life, most)
  redis.call('LPUSH', keys[1], entry)
  redis.call('EXPIRE', keys[1], life)
  if keys[2] then keep_access(keys[2], entry, life, most) end
end
