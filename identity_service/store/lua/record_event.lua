#!lua
-- Purpose: keep an event under its visitor, unless the visitor is gone; a click without labels takes those of the newest results that
--          showed its product.
-- Uses     visitors
-- KEYS[1]  record (hash)   KEYS[2]  gone (string)   KEYS[3]  events (list of JSON lists: type, time, products, labels, api, ...; newest first)
-- ARGV[1..5]  as of keep_event   ARGV[6]  the visitor as assumed; empty: unchecked
-- ARGV[7...]  of a click without labels: newest results to look through, product, what stands before the labels, api or empty, what follows
-- Touches  all events of the visitor where a click has no labels
-- Returns  {kept, labels found}, {gone}, or {otherwise} where the visitor is not as assumed
local gone = redis.call('GET', KEYS[2])
if ARGV[6] ~= '' and not as_assumed(KEYS[1], ARGV[6], gone) then return {'otherwise'} end
if gone then return {'gone'} end

-- IDs that are integers are compared as they are written: as numbers the long ones lose digits.
local function shows(stored, results, product)
  for _, shown in ipairs(results[3]) do
    if shown == product then return true end
  end
  local without_strings = string.gsub(string.gsub(stored, '\\.', ''), '"[^"]*"', '')
  for number in string.gmatch(string.match(without_strings, '^%[,%d+,(%b[])') or '', '%-?%d+') do
    if number == product then return true end
  end
end

local event, labels, left = ARGV[1], {}, tonumber(ARGV[7] or 0)
local beginning = '["results",' -- before anything is decoded: a caller may have made every event long
for _, stored in ipairs(left > 0 and redis.call('LRANGE', KEYS[3], 0, -1) or {}) do
  if left > 0 and string.sub(stored, 1, #beginning) == beginning then
    left = left - 1
    local results = cjson.decode(stored)
    if type(results[4]) == 'table' and #results[4] > 0 and shows(stored, results, ARGV[8]) then
      labels, left = results[4], 0
      local api = ARGV[10] ~= '' and ARGV[10] or cjson.encode(results[5] or cjson.null)
      event = ARGV[9] .. cjson.encode(labels) .. ',' .. api .. ARGV[11]
    end
  end
end
keep_event(KEYS[1], KEYS[3], {event, unpack(ARGV, 2, 5)})
return {'kept', labels}
