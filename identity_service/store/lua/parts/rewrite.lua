-- Notes that the append-only file holds data destroyed at a time, until the file is rewritten. A hash, seconds since 1970 -> count.

local function note_rewrite(rewrite, seconds)
  redis.call('HINCRBY', rewrite, seconds, 1)
end
