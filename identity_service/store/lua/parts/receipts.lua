-- Receipts of a shop are kept in pieces of a few dozen, because a key of its own takes more memory than a receipt. A piece never shrinks.
-- It ends with the last of its receipts.

local function keep_receipt(piece, receipt, life)
  redis.call('RPUSH', piece, receipt)
  if redis.call('TTL', piece) < tonumber(life) then redis.call('EXPIRE', piece, life) end
end

-- Lists the record's receipt, before a newer one replaces it there. `receipts`: list of earlier IDs. `earlier`: the ID.
local function list_receipt(receipts, earlier, life)
  redis.call('LPUSH', receipts, earlier)
  redis.call('LTRIM', receipts, 0, 98)
  redis.call('EXPIRE', receipts, life)
end

-- IDs of the receipts that a gone mark keeps, newest first.
local function ids_in(mark)
  local ids = {}
  for id in string.gmatch(string.match(mark or '', '^%S+ %S+( .+)') or '', '%S+') do ids[#ids + 1] = id end
  return ids
end

-- The end of a gone mark: the receipts' key, or - for none, and their IDs, newest first. `record`, `receipts`: of the visitor;
-- `mark`: the text of the mark that stands, or false; `newest`: ID of the receipt that came with the withdrawal, or empty.
local function kept_receipts(record, receipts, mark, newest, most)
  if most == 0 then return '' end
  local kept, ids = redis.call('HMGET', record, 'q', 'r'), {}
  local key = kept[1] or (mark and string.match(mark, '^%S+ (%S+)')) or '-'
  if newest ~= '' then ids[1] = newest end
  if kept[2] then ids[#ids + 1] = kept[2] end
  for _, id in ipairs(redis.call('LRANGE', receipts, 0, most - 1)) do ids[#ids + 1] = id end
  for _, id in ipairs(ids_in(mark)) do ids[#ids + 1] = id end
  return #ids == 0 and '' or ' ' .. key .. ' ' .. table.concat(ids, ' ', 1, math.min(#ids, most))
end
