-- What a visitor holds, and taking all of it away. The caller reads first which handles and sales those are, declares their keys, and is
-- told to read again where they are others by now.
-- Uses  links

-- `keys`: record, gone, events, receipts, sales; links and sales of each handle; each sale. `names`: of the handles; `digests`: of the sales.
local function held_of(keys, visitor, names, digests)
  local held = {
    visitor = visitor, record = keys[1], gone = keys[2], events = keys[3], receipts = keys[4], sales = keys[5], handles = {}, orders = {},
  }
  for i, name in ipairs(names) do held.handles[name] = {links = keys[4 + 2 * i], sales = keys[5 + 2 * i]} end
  for i, digest in ipairs(digests) do held.orders[digest] = keys[5 + 2 * #names + i] end
  return held
end

-- The sales that name the visitor, each with the handles that it names. nil where something is held that was not declared.
local function own_orders(held)
  for _, name in ipairs(pointers_of(held.record)) do
    if not held.handles[name] then return nil end
  end
  local own = {}
  for _, digest in ipairs(redis.call('SMEMBERS', held.sales)) do
    local key = held.orders[digest]
    if not key then return nil end
    local visitor, email, customer, verified, by_token = unpack(redis.call('HMGET', key, 'visitor', 'email', 'customer', 'verified', 'by_token'))
    if verified and by_token then email, customer = false, false end -- the shop's word, beside a session that only a browser told
    if visitor == held.visitor then
      if (email and not held.handles[email]) or (customer and not held.handles[customer]) then return nil end
      own[#own + 1] = {key = key, digest = digest, email = email, customer = customer}
    end
  end
  return own
end

-- Marks the visitor gone and takes everything that it holds; orders stay, without whom they were of. A grant dated ahead (a banner's clock
-- may be) is marked as withdrawn too: the mark is never older than it. Returns {1 where there was a record, links, events}.
local function take_all(held, orders, at, life)
  local marked, granted = redis.call('GET', held.gone), redis.call('HGET', held.record, 'g')
  local existed, links, events = redis.call('EXISTS', held.record), 0, redis.call('LLEN', held.events)
  for _, handle in pairs(held.handles) do links = links + redis.call('HDEL', handle.links, held.visitor) end
  for _, order in ipairs(orders) do
    redis.call('HDEL', order.key, 'visitor', 'by_token', 'attribution')
    for field, name in pairs({email = order.email or nil, customer = order.customer or nil}) do
      redis.call('HDEL', order.key, field)
      redis.call('SREM', held.handles[name].sales, order.digest)
    end
  end
  redis.call('DEL', held.record, held.events, held.receipts, held.sales)
  local mark = string.format('%.0f', math.max(at, tonumber(marked or 0), tonumber(granted or 0)))
  redis.call('SET', held.gone, mark, 'EX', math.max(redis.call('TTL', held.gone), life))
  return {existed, links, events}
end
