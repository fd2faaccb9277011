#!lua
-- Purpose: keep an event under its visitor, unless the visitor is gone; a click without labels takes those of the newest results that
--          showed its product.
-- Uses     as_assumed
-- KEYS[1]  record (hash)   KEYS[2]  gone (string)   KEYS[3]  events (list of JSON, newest first)
-- ARGV[1]  event, JSON   ARGV[2]  most events   ARGV[3]  life in seconds   ARGV[4]  now, s
-- ARGV[5]  1: the life counts from the first event (an ID without a signature), empty: it is the ID's own end
-- ARGV[6]  product to look for, or empty   ARGV[7]  as of as_assumed; empty: unchecked
-- Returns  {kept, labels found}, {gone}, or {otherwise} where the visitor is not as assumed
if ARGV[7] ~= '' and not as_assumed(KEYS, {ARGV[7]}) then return {'otherwise'} end
if redis.call('EXISTS', KEYS[2]) == 1 then return {'gone'} end
local event, labels = ARGV[1], {}
if ARGV[6] ~= '' then
  for _, stored in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do
    if string.find(stored, '"type":"results"', 1, true) then
      local results, shown = cjson.decode(stored), false
      for _, product in ipairs(results.products or {}) do shown = shown or product == ARGV[6] end
      local numbers = string.match(stored, '"products":(.*)') or ''
      numbers = string.gsub(string.gsub(numbers, '\\.', ''), '"[^"]*"', '') -- without strings, whatever quotes and brackets they hold
      for number in string.gmatch(string.match(numbers, '^%b[]') or '', '%-?%d+') do shown = shown or number == ARGV[6] end
      if shown and #(results.labels or {}) > 0 then
        labels = results.labels
        local api = results.api and not string.find(event, '"api":', 1, true) and ',"api":' .. cjson.encode(results.api) or ''
        event = string.sub(event, 1, -2) .. ',"labels":' .. cjson.encode(labels) .. api .. ',"backtracked":true}'
        break
      end
    end
  end
end
redis.call('LPUSH', KEYS[3], event)
redis.call('LTRIM', KEYS[3], 0, tonumber(ARGV[2]) - 1)
local life = redis.call('TTL', KEYS[3])
if life < 0 or (ARGV[5] == '' and life < tonumber(ARGV[3])) then redis.call('EXPIRE', KEYS[3], ARGV[3]) end
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'l', ARGV[4]) end
return {'kept', labels}
