#!lua flags=allow-oom
-- Purpose: a refusal cookie came back, so that the mark of a derived ID waits for it no longer.
-- Uses     marks
-- KEYS[1]  gone (string, as of parts/marks)
-- ARGV[1]  minute of the cookie
-- Touches  one string
-- Returns  1, or 0 where the mark does not wait
local mark = redis.call('GET', KEYS[1])
local before, awaited, behind = string.match(mark or '', '^(%d+:%d+:)(%S+)(.*)$')
if not awaited then return 0 end
local left = {}
for minute in string.gmatch(awaited, '%d+') do
  if minute ~= ARGV[1] then left[#left + 1] = minute end
end
redis.call('SET', KEYS[1], before .. table.concat(left, ',') .. behind, 'KEEPTTL')
return 1
