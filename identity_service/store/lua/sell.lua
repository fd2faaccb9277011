#!lua
-- Purpose: a sale, once for each ID: the sale itself, its place in the shop's list, the indexes by which a withdrawal and an erasure find
--          it, its event and its links.
-- Uses     links, room, visitors
-- KEYS[1]  sale (hash)   KEYS[2]  orders (sorted set of digests)   of a sale with a visitor: its record, gone, sales (set) and events (list)
-- KEYS     then of each handle that came with it: links, sales, and as of link for each that gives way
-- ARGV     groups of texts, each behind its number: 1. the sale: life in seconds, names and values by turns   2. the listing: time in s
--          with fractions, digest, most orders, life in s   3. the index: digest, life in s, most sales   4. the visitor as assumed, or none
--          5. the event, as of keep_event, or none   then of each handle: 1 where the sale names it or empty, and how it is to be linked, as
--          of link, or nothing
-- Touches  as of link for each handle; one element elsewhere
-- Returns  {sold}, or why not, when nothing is written: {known}; {otherwise}, where the visitor is not as assumed; {gone}; {full}, when the
--          visitor has too many sales; {of a handle, its place from 1 on, full}, when that has; {of a handle, its place, what obstacle returns}
local at = 0
local function next_group()
  local size = tonumber(ARGV[at + 1])
  at = at + 1 + size
  return {unpack(ARGV, at - size + 1, at)}
end
local sale, listing, index, assumed, event = next_group(), next_group(), next_group(), next_group(), next_group()
local function has_room(sales)
  return redis.call('SCARD', sales) < tonumber(index[3]) or redis.call('SISMEMBER', sales, index[1]) == 1
end
local function put_into(sales)
  redis.call('SADD', sales, index[1])
  if redis.call('TTL', sales) < tonumber(index[2]) then redis.call('EXPIRE', sales, index[2]) end
end

if redis.call('EXISTS', KEYS[1]) == 1 then return {'known'} end
local visitor, next_key = nil, 3
if #assumed > 0 then
  visitor, next_key = {record = KEYS[3], gone = KEYS[4], sales = KEYS[5], events = KEYS[6]}, 7
  local gone = redis.call('GET', visitor.gone)
  if not as_assumed(visitor.record, assumed[1], gone) then return {'otherwise'} end
  if gone then return {'gone'} end
  if not has_room(visitor.sales) then return {'full'} end
end
local handles = {}
while next_key <= #KEYS do
  local one, asked = {links = KEYS[next_key], sales = KEYS[next_key + 1]}, next_group()
  next_key = next_key + 2
  one.named = asked[1] == '1'
  if one.named and not has_room(one.sales) then return {'of a handle', #handles + 1, 'full'} end
  if #asked > 1 then
    one.new, one.given = asked_link({unpack(asked, 2)})
    one.record, one.gone = visitor.record, visitor.gone
    local answer = obstacle(one, one.new, one.given)
    if answer then return {'of a handle', #handles + 1, 'obstacle', unpack(answer)} end
    one.keys = {unpack(KEYS, next_key, next_key + #one.given / 3 - 1)}
    next_key = next_key + #one.keys
  end
  handles[#handles + 1] = one
end

redis.call('HSET', KEYS[1], unpack(sale, 2))
redis.call('EXPIRE', KEYS[1], sale[1])
redis.call('ZADD', KEYS[2], 'GT', listing[1], listing[2])
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -tonumber(listing[3]) - 1)
if redis.call('TTL', KEYS[2]) < tonumber(listing[4]) * 0.999 then redis.call('EXPIRE', KEYS[2], listing[4]) end
if visitor then
  put_into(visitor.sales)
  keep_event(visitor.record, visitor.events, event)
end
for _, one in ipairs(handles) do
  if one.named then put_into(one.sales) end
  if one.new then
    give_way(one, one.new, one.given, one.keys)
    write_link(one, one.new)
  end
end
return {'sold'}
