-- The lists by which a withdrawal and an erasure find a sale: one in a hash of each visitor, one among the links of each handle. A field is
-- a dollar and the sale's digest. Its value is the sale's score: its time, less an amount that depends on its proof. When a list is full,
-- its oldest sale leaves: first those past their time, then those of a public key without proof, then those with a token. A sale of a
-- public key replaces no living sale of more proof, and such sales take half of a list at most.
-- Uses  links, sales
local BELOW = {v = 0, t = 2 ^ 32, u = 2 ^ 33} -- by proof: subtracted from the sale's time
local WEAKER = {v = math.huge, t = 0, u = -2 ^ 32} -- by proof of the new sale: sales of lower scores may leave for it
local OLDEST = 16 -- any of these may leave, so that simultaneous calls do not all wait for the same one

-- Inserts a sale among the OLDEST lowest scores, if it is one of them.
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

-- Returns the oldest sales that may leave the list for a new one, or nil if the list holds fewer than `most`.
local function oldest_in(list, new, most)
  local stored, count, below, ended, weaker = redis.call('HGETALL', list), 0, 0, {}, {}
  local began, weak = new.time - new.life, WEAKER[new.proof]
  for i = 1, #stored, 2 do
    if is_sale(stored[i]) then
      local score = tonumber(stored[i + 1])
      count = count + 1
      if score < 0 then below = below + 1 end
      if score > 0 and score <= began then keep_lowest(ended, score, stored[i]) end
      if score < weak and not (weaker[OLDEST] and score > weaker[OLDEST].score) then keep_lowest(weaker, score, stored[i]) end
    end
  end
  if count < most then return nil end
  return #ended > 0 and (new.proof == 'v' or below < most) and ended or weaker
end

-- Returns whether a sale may leave the list. An earlier call for the same new sale found it among the oldest, so this call does not read
-- the whole list.
local function may_leave(list, new, digest)
  local score = digest and redis.call('HGET', list, '$' .. digest)
  return score and (new.proof == 'v' or tonumber(score) < WEAKER[new.proof])
end

-- Adds to `needed` the digest of the sale that has to leave. Returns whether there is room then. `new`: digest, time, proof, attempts
-- (number of earlier ones), life in s, most, sizes of lists, and leaves: the digests that an earlier call returned, list by list.
-- `leaving`: by digest, the sales whose keys the caller declared.
local function room_in(list, new, leaving, needed)
  local most = new.proof == 'v' and new.most or math.floor(new.most / 2)
  new.sizes[list] = redis.call('HLEN', list)
  if new.sizes[list] < most then return true end -- counting links
  for _, digest in ipairs({new.digest, unpack(needed)}) do
    if redis.call('HEXISTS', list, '$' .. digest) == 1 then return true end
  end
  local found = new.leaves[#needed + 1]
  if may_leave(list, new, found) then
    needed[#needed + 1] = found
    return true
  end
  local oldest = oldest_in(list, new, most)
  if not oldest then return true end
  local place = new.attempts > 0 and #oldest > 0 and string.byte(new.digest, 1 + new.attempts % #new.digest) % #oldest or 0
  local chosen = oldest[1 + place]
  for i = #oldest, 1, -1 do
    if leaving[string.sub(oldest[i].field, 2)] then chosen = oldest[i] end
  end
  needed[#needed + 1] = chosen and string.sub(chosen.field, 2)
  return chosen ~= nil
end

-- Returns the new sale's field, value and life (s) in a list.
local function place_of(new)
  return '$' .. new.digest, string.format('%.0f', new.time - BELOW[new.proof]), new.life
end

local function put_into(list, new)
  local field, value = place_of(new)
  redis.call('HSET', list, field, value)
  if new.sizes[list] == 0 or redis.call('TTL', list) < new.life then redis.call('EXPIRE', list, new.life) end
end

-- Returns the sales that may leave, by digest, and all digests in the caller's order. `texts`: for each its digest, and the visitor, email
-- and customer that the caller read, empty if it names none. A sale that has changed since is left out.
local function those_leaving(texts, next_keys)
  local leaving, digests = {}, {}
  for i = 1, #texts, 4 do
    digests[#digests + 1] = texts[i]
    local one, named = {digest = texts[i], key = next_keys(1), lists = {}}, {unpack(texts, i + 1, i + 3)}
    for _, name in ipairs(named) do
      if name ~= '' then one.lists[#one.lists + 1] = next_keys(1) end
    end
    one.sale = read_sale(one.key)
    local sale = one.sale or {visitor = '', email = '', customer = ''}
    if table.concat({sale.visitor, sale.email, sale.customer}, '\n') == table.concat(named, '\n') then leaving[one.digest] = one end
  end
  return leaving, digests
end

-- Removes a sale from all lists, after which it names nobody. `one`: the sale, with the lists of those it names. `lists`: those of the new
-- sale.
local function let_go(one, lists)
  if one.sale then
    forget_visitor(one.sale)
    one.sale.email, one.sale.customer = '', ''
    keep_sale(one.key, one.sale)
  end
  for _, list in ipairs(one.lists) do redis.call('HDEL', list, '$' .. one.digest) end
  for _, list in ipairs(lists) do redis.call('HDEL', list, '$' .. one.digest) end
end

-- Adds to the shop's list. `listing`: time in s with fractions, digest, most orders, life in s.
local function list_order(orders, listing)
  redis.call('ZADD', orders, 'GT', listing[1], listing[2])
  redis.call('ZREMRANGEBYRANK', orders, 0, -tonumber(listing[3]) - 1)
  if redis.call('TTL', orders) < tonumber(listing[4]) * 0.999 then redis.call('EXPIRE', orders, listing[4]) end
end

-- Removes what a replaced sale wrote. `former`: time in s, visitor or empty. `events`: the forms that its event may have, none if it stays.
-- `of_visitor`: record, sales and events, all nil without a visitor. `handles`: name and links of each that the sale names. A link is
-- removed if only that sale made it, and no key.
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
