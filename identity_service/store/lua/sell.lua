#!lua
-- Purpose: sell in one step, where one server holds all keys: as the steps would, with nobody between and nothing left open.
-- Uses     sales_room, link_room, index_sale, name_sale, write_sale, list_order, keep_event, link_and_point
-- KEYS[1]  sale (hash)   KEYS[2]  orders (sorted set)   then, of a sale with a visitor, its record, gone, sales and events
-- KEYS     then links, intents, removals and sales of each handle that the sale names
-- ARGV     groups, each behind its length: as of write_sale, list_order and index_under_handle; with a visitor also as of index_sale and
--          keep_event; then, where the handles are to be linked, as of link for each of them
-- Returns  sold; or why not: known (a sale has this ID), or as of index_sale, when nothing was written; full or no room, when it is indexed
--          under its visitor, as the first of the steps would do next
local at = 0
local function next_group()
  local size = tonumber(ARGV[at + 1] or '')
  if not size then return nil end
  at = at + 1 + size
  return {unpack(ARGV, at - size + 1, at)}
end
local claim, listing, naming, indexing, recording = next_group(), next_group(), next_group(), next_group(), next_group()
if redis.call('EXISTS', KEYS[1]) == 1 then return 'known' end
local indexed = indexing and index_sale({KEYS[3], KEYS[4], KEYS[5]}, indexing) or 'indexed'
if indexed ~= 'indexed' then return indexed end
local handles = {}
for i = indexing and 7 or 3, #KEYS, 4 do
  local handle = {link = {KEYS[i], KEYS[i + 1], KEYS[i + 2], KEYS[3], KEYS[4]}, sales = {KEYS[i + 3]}, linking = next_group()}
  if not sales_room(handle.sales, naming) then return 'full' end
  if handle.linking and link_room(handle.link, handle.linking)[1] ~= 'ok' then return 'no room' end
  handles[#handles + 1] = handle
end
for _, handle in ipairs(handles) do name_sale(handle.sales, naming) end
write_sale({KEYS[1]}, claim)
list_order({KEYS[2]}, listing)
if recording then keep_event({KEYS[3], KEYS[4], KEYS[6]}, recording) end
for _, handle in ipairs(handles) do
  if handle.linking then link_and_point(handle.link, handle.linking) end
end
return 'sold'
