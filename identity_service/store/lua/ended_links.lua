#!lua flags=no-writes
-- Purpose: find the links of a handle that have ended.
-- Uses     links
-- KEYS[1]  links (hash)
-- ARGV[1]  time, s   ARGV[2]  highest number to return
-- Touches  all links of the handle
-- Returns  pairs of visitor and link
local ended, stored = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #stored, 2 do
  local first, _, life = string.match(stored[i + 1], LINK)
  if first and first + life <= tonumber(ARGV[1]) and #ended < 2 * ARGV[2] then
    ended[#ended + 1], ended[#ended + 2] = stored[i], stored[i + 1]
  end
end
return ended
