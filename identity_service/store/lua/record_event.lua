#!lua
-- Purpose: keep an event of a visitor, unless the visitor is gone. A click without labels takes the labels of the newest results that
--          showed its product.
-- Uses     marks, visitors
-- KEYS[1]  record (hash)   KEYS[2]  gone (string)   KEYS[3]  events (list of texts as in store/events, newest first)
-- ARGV[1..5]  as in keep_event   ARGV[6]  the assumed visitor, or empty for no check
-- ARGV[7...]  for a click without labels: number of newest results to read, product, text before the labels, api or empty, text after it
-- Touches  all events of the visitor if a click has no labels
-- Returns  {kept, labels or their numbers}, {gone}, or {otherwise} if the visitor differs from the assumed one
local same, known, gone = as_assumed(KEYS[1], KEYS[2], ARGV[6])
if not same then return {'otherwise'} end
if gone then return {'gone'} end

-- Integer IDs are compared as text, because long ones would lose digits as numbers.
local function shows(stored, products, product)
  for _, shown in ipairs(products) do
    if shown == product then return true end
  end
  local without_strings = string.gsub(string.gsub(stored, '\\.', ''), '"[^"]*"', '')
  for number in string.gmatch(string.match(without_strings, '^%w+,(%b[])') or '', '%-?%d+') do
    if number == product then return true end
  end
end

local RESULTS = string.byte('r') -- checked before decoding, because a caller may have made every event long
local AT_ONCE = 20
local function labels_for(product, most)
  local plain, left = not string.find(product, '[%c"\\]'), most -- JSON writes such a text unchanged
  for first = 0, redis.call('LLEN', KEYS[3]) - 1, AT_ONCE do
    for _, stored in ipairs(redis.call('LRANGE', KEYS[3], first, first + AT_ONCE - 1)) do
      if string.byte(stored) == RESULTS then
        if left == 0 then return nil end
        left = left - 1
        local found = (not plain or string.find(stored, product, 1, true)) and cjson.decode('[' .. string.match(stored, ',(.*)') .. ']')
        local labels = found and found[2] ~= cjson.null and found[2]
        if type(labels) ~= 'table' then labels = {labels or nil} end
        if #labels > 0 and shows(stored, found[1], product) then return labels, found[3] end
      end
    end
  end
end

local event, labels, api = ARGV[1], nil, nil
if ARGV[7] then labels, api = labels_for(ARGV[8], tonumber(ARGV[7])) end
if labels then
  local text = cjson.encode(labels[2] and labels or labels[1])
  event = ARGV[9] .. ',' .. text .. ',' .. (ARGV[10] ~= '' and ARGV[10] or cjson.encode(api or cjson.null)) .. ARGV[11]
end
keep_event(known and KEYS[1], KEYS[3], {event, unpack(ARGV, 2, 5)})
return {'kept', unpack(labels or {})}
