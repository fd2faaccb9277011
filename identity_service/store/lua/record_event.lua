#!lua
-- Purpose: keep an event under its visitor, unless the visitor is gone; a click without labels takes those of the newest results that
--          showed its product.
-- Uses     visitors
-- KEYS[1]  record (hash)   KEYS[2]  gone (string)   KEYS[3]  events (list of JSON, newest first)
-- ARGV[1..5]  as of keep_event
-- ARGV[6]  product to look for, or empty   ARGV[7]  the visitor as assumed; empty: unchecked   ARGV[8]  newest results to look through
-- Touches  all events of the visitor where a click has no labels
-- Returns  {kept, labels found}, {gone}, or {otherwise} where the visitor is not as assumed
local gone = redis.call('GET', KEYS[2])
if ARGV[7] ~= '' and not as_assumed(KEYS[1], ARGV[7], gone) then return {'otherwise'} end
if gone then return {'gone'} end
local event, labels, left = ARGV[1], {}, ARGV[6] ~= '' and tonumber(ARGV[8]) or 0
local beginning = '{"type":"results"' -- before anything is decoded: a caller may have made every event long
for _, stored in ipairs(left > 0 and redis.call('LRANGE', KEYS[3], 0, -1) or {}) do
  if left > 0 and string.sub(stored, 1, #beginning) == beginning then
    left = left - 1
    local results, shown = cjson.decode(stored), false
    for _, product in ipairs(results.products or {}) do shown = shown or product == ARGV[6] end
    local numbers = string.match(stored, '"products":(.*)') or ''
    numbers = string.gsub(string.gsub(numbers, '\\.', ''), '"[^"]*"', '') -- without strings, whatever quotes and brackets they hold
    for number in string.gmatch(string.match(numbers, '^%b[]') or '', '%-?%d+') do shown = shown or number == ARGV[6] end
    if shown and #(results.labels or {}) > 0 then
      labels, left = results.labels, 0
      local api = results.api and not string.find(event, '"api":', 1, true) and ',"api":' .. cjson.encode(results.api) or ''
      event = string.sub(event, 1, -2) .. ',"labels":' .. cjson.encode(labels) .. api .. ',"backtracked":true}'
    end
  end
end
keep_event(KEYS[1], KEYS[3], {event, unpack(ARGV, 2, 5)})
return {'kept', labels}
