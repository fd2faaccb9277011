-- The lists by which a withdrawal and an erasure find a sale: in a hash of each visitor, and among the links of each handle, fields of a dollar
-- and the sale's digest, whose value is its time less what its proof tells. A full one lets go of its oldest: first of those past their time,
-- then of those that a public key said without proof, then of those with a token. What such keys say pushes out nothing living that was
-- said with more, and never takes the last half.
-- Uses  links, sales
local BELOW = {v = 0, t = 2 ^ 32, u = 2 ^ 33} -- by proof: how far below its time a sale is scored
local WEAKER = {v = math.huge, t = 0, u = -2 ^ 32} -- below which score a sale may leave for it
local OLDEST = 16 -- any of them may leave, so that calls of one moment do not all wait for the same

-- Puts a sale in its place among the OLDEST lowest scores, or nowhere.
local function keep_lowest(lowest, score, field)
  local at = #lowest < OLDEST and #lowest + 1 or OLDEST
  local last = lowest[OLDEST]
  if last and (score > last.score or (score == last.score and field > last.field)) then return end
  while at > 1 and (lowest[at - 1].score > score or (lowest[at - 1].score == score and lowest[at - 1].field > field)) do
    lowest[at] = lowest[at - 1]
    at = at - 1
  end
  lowest[at] = {score = score, field = field}
end

-- The oldest sales of a list that may leave for a new one, or nil where it holds fewer than `most`, of those said with as much proof, or less.
local function oldest_in(list, new, most)
  local stored, count, below, ended, weaker = redis.call('HGETALL', list), 0, 0, {}, {}
  local began, weak = new.time - new.life, WEAKER[new.proof]
  for i = 1, #stored, 2 do
    if is_sale(stored[i]) then
      local score = tonumber(stored[i + 1])
      count = count + 1
      if score < 0 then below = below + 1 end
      if score > 0 and score <= began then keep_lowest(ended, score, stored[i]) end
      if score < weak then keep_lowest(weaker, score, stored[i]) end
    end
  end
  if count < most then return nil end
  return #ended > 0 and (new.proof == 'v' or below < most) and ended or weaker
end

-- `new`: digest, time, proof, told (how often it was told what has to leave), life in s, most, and sizes of lists. `leaving`: by digest, what
-- the caller can let go of; adds to `needed` what has to leave. Returns whether there is room then.
local function room_in(list, new, leaving, needed)
  local most = new.proof == 'v' and new.most or math.floor(new.most / 2)
  new.sizes[list] = redis.call('HLEN', list)
  if new.sizes[list] < most then return true end -- with all links
  for _, digest in ipairs({new.digest, unpack(needed)}) do
    if redis.call('HEXISTS', list, '$' .. digest) == 1 then return true end
  end
  local oldest = oldest_in(list, new, most)
  if not oldest then return true end
  local place = new.told > 0 and #oldest > 0 and string.byte(new.digest, 1 + new.told % #new.digest) % #oldest or 0
  local chosen = oldest[1 + place]
  for i = #oldest, 1, -1 do
    if leaving[string.sub(oldest[i].field, 2)] then chosen = oldest[i] end
  end
  needed[#needed + 1] = chosen and string.sub(chosen.field, 2)
  return chosen ~= nil
end

-- Of a list, for a new sale: field, value and life in s.
local function place_of(new)
  return '$' .. new.digest, string.format('%.0f', new.time - BELOW[new.proof]), new.life
end

local function put_into(list, new)
  local field, value = place_of(new)
  redis.call('HSET', list, field, value)
  if new.sizes[list] == 0 or redis.call('TTL', list) < new.life then redis.call('EXPIRE', list, new.life) end
end

-- The sales that a caller can let go of, by digest. `texts`: of each its digest, and visitor, email and customer as the caller read them,
-- empty where it names none. Those that are not so any more are left out.
local function those_leaving(texts, next_keys)
  local leaving = {}
  for i = 1, #texts, 4 do
    local one, named = {digest = texts[i], key = next_keys(1), lists = {}}, {unpack(texts, i + 1, i + 3)}
    for _, name in ipairs(named) do
      if name ~= '' then one.lists[#one.lists + 1] = next_keys(1) end
    end
    one.sale = read_sale(one.key)
    local sale = one.sale or {visitor = '', email = '', customer = ''}
    if table.concat({sale.visitor, sale.email, sale.customer}, '\n') == table.concat(named, '\n') then leaving[one.digest] = one end
  end
  return leaving
end

-- A sale that leaves a list leaves all, and names nobody any more. `one`: with the lists of whom it names; `lists`: those of the new sale.
local function let_go(one, lists)
  if one.sale then
    forget_visitor(one.sale)
    one.sale.email, one.sale.customer = '', ''
    keep_sale(one.key, one.sale)
  end
  for _, list in ipairs(one.lists) do redis.call('HDEL', list, '$' .. one.digest) end
  for _, list in ipairs(lists) do redis.call('HDEL', list, '$' .. one.digest) end
end

-- In the list of the shop. `listing`: time in s with fractions, digest, most orders, life in s.
local function list_order(orders, listing)
  redis.call('ZADD', orders, 'GT', listing[1], listing[2])
  redis.call('ZREMRANGEBYRANK', orders, 0, -tonumber(listing[3]) - 1)
  if redis.call('TTL', orders) < tonumber(listing[4]) * 0.999 then redis.call('EXPIRE', orders, listing[4]) end
end

-- `former`: time in s, visitor or empty; `events`: what its event may be, none where it stays. `of_visitor`: record, sales and events, all
-- nil without one. `handles`: name and links of each that it names. A link goes where nothing but that sale made it, and no key.
local function take_back(former, events, of_visitor, handles, digest)
  if of_visitor.record then
    redis.call('HDEL', of_visitor.sales, '$' .. digest)
    for _, event in ipairs(events) do redis.call('LREM', of_visitor.events, 1, event) end
  end
  for _, one in ipairs(handles) do
    redis.call('HDEL', one.links, '$' .. digest)
    local link = of_visitor.record and read_link(redis.call('HGET', one.links, former[2]))
    if link and link.source == 's' and link.proof ~= 'v' and link.first == tonumber(former[1]) and link.last == link.first then
      drop_link(one.links, of_visitor.record, one.name, former[2])
    end
  end
end
