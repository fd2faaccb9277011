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
