-- The append-only file holds what is destroyed at a time, in seconds since 1970, until it is rewritten: hash, time -> how often.

local function note_rewrite(rewrite, seconds)
  redis.call('HINCRBY', rewrite, seconds, 1)
end
