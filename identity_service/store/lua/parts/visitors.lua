-- A visitor as a worker assumed it when it decided, and the event that is put before its earlier ones.

-- Uses  marks

-- `assumed`: decisive fields and gone, a line each; empty for anything. Returns whether the visitor is so, whether it has a record, and whether
-- its mark stops it: what marks a visitor takes its record, and what makes one takes the mark, unless that of a derived ID yields.
local function as_assumed(record, mark, assumed)
  local stored = redis.call('HMGET', record, 'k', 'x', 'g', 's', 'n', 'v', 'w', 'o', 't', 'b')
  for i = 1, #stored do stored[i] = stored[i] or '' end
  local known = stored[1] ~= ''
  local gone = (not known or stored[1] == 'd') and redis.call('GET', mark)
  return assumed == '' or table.concat(stored, '\n') .. '\n' .. (gone or '') == assumed, known, gone and not yields(gone)
end

-- `entry`: event, most, life in seconds, now in seconds, and 1 where the life counts from the first event (an ID without a signature),
-- empty where it is the ID's own end. `record`: nil where there is none.
local function keep_event(record, events, entry)
  local event, most, life, now, from_first = unpack(entry)
  local held = redis.call('LPUSH', events, event)
  if held > tonumber(most) then redis.call('LTRIM', events, 0, tonumber(most) - 1) end
  local left = held > 1 and redis.call('TTL', events) or -1
  if left < 0 or (from_first == '' and left < tonumber(life)) then redis.call('EXPIRE', events, life) end
  if record then redis.call('HSET', record, 'l', now) end
end
