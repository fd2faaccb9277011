-- The indexes by which a withdrawal and an erasure find a sale, and taking back a sale whose place another one takes.
-- Uses  links

-- `index`: digest of the sale, life in s, most sales.
local function has_room(sales, index)
  return redis.call('SCARD', sales) < tonumber(index[3]) or redis.call('SISMEMBER', sales, index[1]) == 1
end

local function put_into(sales, index)
  redis.call('SADD', sales, index[1])
  if redis.call('TTL', sales) < tonumber(index[2]) then redis.call('EXPIRE', sales, index[2]) end
end

-- `former`: time in s, visitor or empty; `events`: what its event may be, none where it stays. `of_visitor`: record, sales and events, all
-- nil without one. `handles`: name, links and sales of each that it names. A link goes where nothing but that sale made it, and no key.
local function take_back(former, events, of_visitor, handles, digest)
  if of_visitor.record then
    redis.call('SREM', of_visitor.sales, digest)
    for _, event in ipairs(events) do redis.call('LREM', of_visitor.events, 1, event) end
  end
  for _, one in ipairs(handles) do
    redis.call('SREM', one.sales, digest)
    local link = of_visitor.record and read_link(redis.call('HGET', one.links, former[2]))
    if link and link.source == 's' and link.proof ~= 'v' and link.first == tonumber(former[1]) and link.last == link.first then
      drop_link(one.links, of_visitor.record, one.name, former[2])
    end
  end
end
