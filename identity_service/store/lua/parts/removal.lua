-- What a visitor holds, and the removal of all of it. The caller first reads which handles and sales the visitor holds, and declares their
-- keys. If the visitor holds others by then, the caller has to read again.
-- Uses  marks, links, sales, receipts, removals

-- `keys`: record, gone, events, receipts, sales, removals; links of each handle; each sale. `names`: of the handles. `digests`: of the sales.
local function held_of(keys, visitor, names, digests)
  local held = {
    visitor = visitor, record = keys[1], gone = keys[2], events = keys[3], receipts = keys[4], sales = keys[5], removals = keys[6],
    handles = {}, orders = {},
  }
  for i, name in ipairs(names) do held.handles[name] = keys[6 + i] end
  for i, digest in ipairs(digests) do held.orders[digest] = keys[6 + #names + i] end
  return held
end

-- Returns the sales that name the visitor, each with the handles that it names. nil if the visitor holds something undeclared.
local function own_orders(held)
  for _, name in ipairs(pointers_of(held.record)) do
    if not held.handles[name] then return nil end
  end
  local own = {}
  for _, field in ipairs(redis.call('HKEYS', held.sales)) do
    local digest = string.sub(field, 2)
    local key = held.orders[digest]
    if not key then return nil end
    local sale = read_sale(key)
    if sale and sale.visitor == held.visitor then
      local of_the_shop = sale.verified ~= '' and sale.by_token ~= '' -- the shop reported the sale, and only a browser its session
      local named = {email = not of_the_shop and sale.email or '', customer = not of_the_shop and sale.customer or ''}
      for _, name in pairs(named) do
        if name ~= '' and not held.handles[name] then return nil end
      end
      own[#own + 1] = {key = key, digest = digest, sale = sale, named = named}
    end
  end
  return own
end

-- Marks the visitor gone and removes everything that it holds. Orders stay and name neither visitor nor handle, except a handle that the
-- shop itself reported. A grant may be dated ahead, by a banner's clock; the mark is never older than the grant. The
-- list of removals gets a visitor that had a record or a link. `stood`: kind and grant of the record, and the mark, false for none; awaited
-- as from awaited_with, or nil; removed_as and removed_at: digest and time in s for the list of removals. `kept`: as from kept_receipts. Returns {1 if there was a record, links, events}.
local function take_all(held, orders, at, life, stood, kept)
  local links, events, taken = 0, redis.call('LLEN', held.events), {}
  for _, handle in pairs(held.handles) do links = links + redis.call('HDEL', handle, held.visitor) end
  for _, order in ipairs(orders) do
    forget_visitor(order.sale)
    for field, name in pairs(order.named) do
      if name ~= '' then
        order.sale[field] = ''
        taken[name] = taken[name] or {}
        table.insert(taken[name], '$' .. order.digest)
      end
    end
    keep_sale(order.key, order.sale)
  end
  for name, fields in pairs(taken) do redis.call('HDEL', held.handles[name], unpack(fields)) end
  redis.call('DEL', held.record, held.events, held.receipts, held.sales)
  local at_least = math.max(at, marked_at(stood.marked) or 0, tonumber(stood.granted or 0))
  local mark = string.format('%.0f', at_least) .. (stood.awaited or '') .. kept
  redis.call('SET', held.gone, mark, 'EX', stood.marked and math.max(redis.call('TTL', held.gone), life) or life)
  if stood.kind or links > 0 then note_removal(held.removals, stood.removed_as, stood.removed_at) end
  return {stood.kind and 1 or 0, links, events}
end
