-- The lists by which a withdrawal and an erasure find a sale: sorted sets of digests, one of each visitor and handle. A full one lets go of
-- its oldest, first of those that only a public key said, which score below zero; what such keys say never takes the last half.
-- Uses  links, sales

-- `new`: digest, time, verified, life in s, most. `leaving`: by digest, what the caller lets go of. Returns nil where there is room then;
-- full; or the digest of the sale that has to leave.
local function obstacle_in(list, new, leaving)
  local most = new.verified and new.most or math.floor(new.most / 2)
  if redis.call('ZCARD', list) < most or redis.call('ZSCORE', list, new.digest) then return nil end
  local lowest, score = unpack(redis.call('ZRANGE', list, 0, 0, 'WITHSCORES'))
  if leaving[lowest] then
    leaving[lowest].due = true
    return nil
  end
  for digest in pairs(leaving) do
    if redis.call('ZSCORE', list, digest) then return nil end
  end
  return (new.verified or tonumber(score) < 0) and lowest or 'full'
end

local function put_into(list, new)
  redis.call('ZADD', list, string.format('%.0f', new.time - (new.verified and 0 or 2 ^ 31)), new.digest)
  if redis.call('TTL', list) < new.life then redis.call('EXPIRE', list, new.life) end
end

-- The sales that a caller lets go of, by digest. `texts`: of each its digest, and visitor, email and customer as the caller read them, empty
-- where it names none. nil where one is not so.
local function those_leaving(texts, next_keys)
  local leaving = {}
  for i = 1, #texts, 4 do
    local one, named = {digest = texts[i], key = next_keys(1), lists = {}}, {unpack(texts, i + 1, i + 3)}
    for _, name in ipairs(named) do
      if name ~= '' then one.lists[#one.lists + 1] = next_keys(1) end
    end
    local sale = read_sale(one.key) or {visitor = '', email = '', customer = ''}
    if table.concat({sale.visitor, sale.email, sale.customer}, '\n') ~= table.concat(named, '\n') then return nil end
    leaving[one.digest] = one
  end
  return leaving
end

-- A sale that leaves a list leaves all, and names nobody any more. `one`: with the lists of whom it names; `lists`: those of the new sale.
local function let_go(one, lists)
  local sale = read_sale(one.key)
  if sale then
    forget_visitor(sale)
    sale.email, sale.customer = '', ''
    keep_sale(one.key, sale)
  end
  for _, list in ipairs(one.lists) do redis.call('ZREM', list, one.digest) end
  for _, list in ipairs(lists) do redis.call('ZREM', list, one.digest) end
end

-- In the list of the shop. `listing`: time in s with fractions, digest, most orders, life in s.
local function list_order(orders, listing)
  redis.call('ZADD', orders, 'GT', listing[1], listing[2])
  redis.call('ZREMRANGEBYRANK', orders, 0, -tonumber(listing[3]) - 1)
  if redis.call('TTL', orders) < tonumber(listing[4]) * 0.999 then redis.call('EXPIRE', orders, listing[4]) end
end

-- `former`: time in s, visitor or empty; `events`: what its event may be, none where it stays. `of_visitor`: record, sales and events, all
-- nil without one. `handles`: name, links and sales of each that it names. A link goes where nothing but that sale made it, and no key.
local function take_back(former, events, of_visitor, handles, digest)
  if of_visitor.record then
    redis.call('ZREM', of_visitor.sales, digest)
    for _, event in ipairs(events) do redis.call('LREM', of_visitor.events, 1, event) end
  end
  for _, one in ipairs(handles) do
    redis.call('ZREM', one.sales, digest)
    local link = of_visitor.record and read_link(redis.call('HGET', one.links, former[2]))
    if link and link.source == 's' and link.proof ~= 'v' and link.first == tonumber(former[1]) and link.last == link.first then
      drop_link(one.links, of_visitor.record, one.name, former[2])
    end
  end
end
