-- Receipts of a shop lie in pieces of a few dozen each, since a key of its own takes more than a receipt.
-- Nothing ever leaves a piece; it ends with the last of them to end.

local function keep_receipt(piece, receipt, life)
  redis.call('RPUSH', piece, receipt)
  if redis.call('TTL', piece) < tonumber(life) then redis.call('EXPIRE', piece, life) end
end

-- A newer receipt takes its place in the record. `receipts`: list of the IDs before it; `earlier`: the ID.
local function list_receipt(receipts, earlier, life)
  redis.call('LPUSH', receipts, earlier)
  redis.call('LTRIM', receipts, 0, 98)
  redis.call('EXPIRE', receipts, life)
end
