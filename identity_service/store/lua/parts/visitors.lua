-- Checks a visitor against what a worker assumed when it decided, and keeps events.
-- Uses  marks

-- `assumed`: the decisive fields and gone, each a line; empty for no check. Returns whether the visitor equals that, whether it has a
-- record, and whether its mark stops it. A visitor has a record or a mark; a derived ID may have both if the mark yields.
local function as_assumed(record, mark, assumed)
  local stored = redis.call('HMGET', record, 'k', 'x', 'g', 's', 'n', 'v', 'w', 'o', 't', 'b')
  for i = 1, #stored do stored[i] = stored[i] or '' end
  local known = stored[1] ~= ''
  local gone = (not known or stored[1] == 'd') and redis.call('GET', mark)
  return assumed == '' or table.concat(stored, '\n') .. '\n' .. (gone or '') == assumed, known, gone and not yields(gone)
end

-- `entry`: event; most events; life, s; now, s; and 1 if the life counts from the first event (an ID without a signature), or empty if it
-- is the ID's own end. `record`: nil if there is none.
local function keep_event(record, events, entry)
  local event, most, life, now, from_first = unpack(entry)
  local held = redis.call('LPUSH', events, event)
  if held > tonumber(most) then redis.call('LTRIM', events, 0, tonumber(most) - 1) end
  local left = held > 1 and redis.call('TTL', events) or -1
  if left < 0 or (from_first == '' and left < tonumber(life)) then redis.call('EXPIRE', events, life) end
  if record then redis.call('HSET', record, 'l', now) end
end
