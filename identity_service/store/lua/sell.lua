#!lua
-- Purpose: write a sale, once for each ID: the sale itself, its entry in the shop's list, its entries in the lists by which a withdrawal
--          and an erasure find it, its event and its links. A private key's sale replaces a public key's of the same ID.
-- Uses     marks, links, room, visitors, sales, orders
-- KEYS[1]  sale (string)   KEYS[2]  orders (sorted set of digests)   if the sale has a visitor: its record, gone, sales and events
-- KEYS     then, for a replaced sale: record, sales and events of its visitor, links of its handles
-- KEYS     then, for each sale that leaves a full list: the sale; for those it names, sales of the visitor, links of email and customer
-- KEYS     then, for each handle of the sale: its links, and as in link for each link that gives way
-- ARGV     groups of texts, each after its number of texts:
--          1. life of the sale, s; the sale   2. for the shop's list: time, s with fractions; digest; most orders; life, s
--          3. for the other lists: digest; time, s; proof as of a link; number of earlier attempts; life, s; most sales
--          4. the assumed visitor, or nothing   5. the event, as in keep_event, or nothing
--          6. nothing, or of the replaced sale: time, s; visitor or empty; number of its event's forms, and the forms; names of its handles
--          7. for each sale that leaves: digest, visitor, email and customer, each empty if it names none
--          then for each handle: 1 if the sale names it or empty; the link, as in link, or nothing
-- Touches  as link, for each handle; all elements of each full list, and the heads of 3 sales that leave; all events of the visitor of a
--          replaced sale
-- Returns  {sold, how many links went to crowded handles}; or, when nothing is written: {known} if a sale has the ID and is not the one to replace; {otherwise} if the visitor
--          differs from the assumed one; {gone}; {leaves, digests of sales that have to leave}; {full} if the visitor's list is full;
--          {of a handle, its place from 1 on, full} if its list is full; {of a handle, its place, obstacle, the answer of obstacle}
local position, next_key = 0, 3
local function next_group()
  local size = tonumber(ARGV[position + 1])
  position = position + 1 + size
  return {unpack(ARGV, position - size + 1, position)}
end
local function next_keys(count)
  next_key = next_key + count
  return unpack(KEYS, next_key - count, next_key - 1)
end
local sale, listing, index, assumed, event, former = next_group(), next_group(), next_group(), next_group(), next_group(), next_group()
local new = {digest = index[1], time = tonumber(index[2]), proof = index[3], attempts = tonumber(index[4]), life = tonumber(index[5])}
new.most, new.sizes = tonumber(index[6]), {}

local stored = read_sale(KEYS[1])
if stored and (stored.verified ~= '' or stored.time ~= former[1] or stored.visitor ~= former[2]) then return {'known'} end
local visitor, lists = nil, {}
if #assumed > 0 then
  local record, mark, sales, events = next_keys(4)
  local same, known, gone = as_assumed(record, mark, assumed[1])
  if not same then return {'otherwise'} end
  if gone then return {'gone'} end
  visitor, lists[1] = {record = record, sales = sales, events = events, known = known, linked = false}, sales
end
local earlier, of_earlier = {}, {}
if former[2] and former[2] ~= '' then earlier.record, earlier.sales, earlier.events = next_keys(3) end
local events = {unpack(former, 4, 3 + (former[3] or 0))}
for i = 4 + #events, #former do of_earlier[#of_earlier + 1] = {name = former[i], links = next_keys(1)} end
local leaving, needed = nil, {}
leaving, new.leaves = those_leaving(next_group(), next_keys)
if visitor and not room_in(visitor.sales, new, leaving, needed) then return {'full'} end
local handles = {}
while next_key <= #KEYS do
  local asked, one = next_group(), {links = next_keys(1)}
  if asked[1] == '1' then
    if not room_in(one.links, new, leaving, needed) then return {'of a handle', #handles + 1, 'full'} end
    lists[#lists + 1] = one.links
    one.beside = {place_of(new)}
  end
  if #asked > 1 then
    one.new, one.given = asked_link(asked, 2)
    one.record, visitor.linked = visitor.record, true -- a link writes when the visitor was last seen, too
    local answer = obstacle(one, one.new, one.given)
    if answer then return {'of a handle', #handles + 1, 'obstacle', unpack(answer)} end
    one.keys = {next_keys(#one.given / 3)}
  end
  handles[#handles + 1] = one
end
for _, digest in ipairs(needed) do
  if not leaving[digest] then return {'leaves', unpack(needed)} end
end

if stored then take_back(former, events, earlier, of_earlier, new.digest) end
redis.call('SET', KEYS[1], sale[2], 'EX', sale[1])
list_order(KEYS[2], listing)
for _, digest in ipairs(needed) do let_go(leaving[digest], lists) end
if visitor then put_into(visitor.sales, new) end
if #event > 0 then keep_event(visitor.known and not visitor.linked and visitor.record, visitor.events, event) end
local changed, crowded = stored, 0
for _, one in ipairs(handles) do
  if one.new then
    one.known, changed, crowded = not changed and one.known, true, crowded + (one.crowded and 1 or 0)
    give_way(one, one.new, one.given, one.keys)
    write_link(one, one.new)
  elseif one.beside then
    put_into(one.links, new)
  end
end
return {'sold', crowded}
