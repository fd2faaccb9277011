#!lua
-- Purpose: write a grant into a visitor's record, unless a newer choice is stored, and keep the receipt that proves it. The links get the
--          record's new end. If the grant refuses links, they are removed.
-- Uses     marks, links, receipts, rewrite, opt_outs
-- KEYS[1]  record (hash)   KEYS[2]  gone (string, as in parts/marks)   KEYS[3]  earlier receipts (list)
-- KEYS[4]  events   KEYS[5]  piece of receipts (list)   KEYS[6]  rewrite (hash)   KEYS[7...]  links of each handle that the visitor points to
-- ARGV[1]  now, s          ARGV[2]  record expires, s   ARGV[3]  granted at, ms
-- ARGV[4]  source          ARGV[5]  linking: granted, refused or empty   ARGV[6]  policy version or empty
-- ARGV[7]  sale/share opt-out, as in opts_out           ARGV[8], ARGV[9]  GPC and DNT seen at, ms, or empty
-- ARGV[10] receipt ID      ARGV[11] receipt key         ARGV[12] digest of the bridged visitor or empty
-- ARGV[13] first characters of the signal's digest, or empty   ARGV[14] end of events, s
-- ARGV[15] receipt         ARGV[16] its life, s         ARGV[17] visitor   ARGV[18] ID of a receipt that says the
--          same, or empty: no other is kept while it is the newest   ARGV[19] 1 if nobody knows when the grant was given, or
--          empty: such a grant lifts no mark, and one with a time replaces it   ARGV[20] 1 if it was said now, or empty: then a
--          stored refusal of links stays   ARGV[21...] names of the handles
-- Touches  all handles of the visitor
-- Returns  {granted}; {proven} if no other receipt is kept; {gone} if the visitor withdrew after the grant, or {older} if a newer grant of the
--          person is stored: then only the receipt is kept; or {otherwise, names} if the visitor points to other handles
local links, names = declared_links(KEYS[1], {unpack(ARGV, 21)}, {unpack(KEYS, 7)})
if not links then return {'otherwise', names} end
local now, gone = tonumber(ARGV[1]), redis.call('GET', KEYS[2])
local found = redis.call('HMGET', KEYS[1], 'k', 'g', 'x', 'r', 's', 'u', 'n')
local known, earlier = found[1], found[4]
local proven = ARGV[18] ~= '' and earlier == ARGV[18] and tonumber(found[3]) > now
if not proven then keep_receipt(KEYS[5], ARGV[15], ARGV[16]) end
if gone and (ARGV[19] ~= '' or marked_at(gone) >= tonumber(ARGV[3])) then return {'gone'} end
if found[3] and tonumber(found[3]) <= now then
  redis.call('DEL', KEYS[1])
  known, earlier, found[7], names = false, false, false, {}
elseif known == 'p' and found[5] ~= 'shop' and not found[6] and tonumber(found[2] or 0) > tonumber(ARGV[3]) then
  return {'older'}
end
local expires, linking = tonumber(ARGV[2]), found[7] == 'refused' and ARGV[20] == '' and 'refused' or ARGV[5]
if gone then
  for _, id in ipairs(ids_in(gone)) do redis.call('RPUSH', KEYS[3], id) end
  redis.call('DEL', KEYS[2])
end
local fields = {'k', 'p', 'l', ARGV[1], 'x', ARGV[2], 'g', ARGV[3], 's', ARGV[4], 'r', proven and earlier or ARGV[10]}
local function write(field, value) fields[#fields + 1], fields[#fields + 2] = field, value end
for field, value in pairs({n = linking, v = ARGV[6], d = ARGV[13], u = ARGV[19]}) do
  if value ~= '' then write(field, value) elseif known then redis.call('HDEL', KEYS[1], field) end
end
if opts_out(KEYS[1], ARGV[7]) then write('w', 1) end
for field, value in pairs({f = ARGV[1], q = ARGV[11], o = ARGV[8], t = ARGV[9], b = ARGV[12]}) do
  if value ~= '' and not (known and redis.call('HEXISTS', KEYS[1], field) == 1) then write(field, value) end
end
redis.call('HSET', KEYS[1], unpack(fields))
redis.call('EXPIRE', KEYS[1], expires - now)
if earlier and not proven then list_receipt(KEYS[3], earlier, expires - now) else redis.call('EXPIRE', KEYS[3], expires - now) end
redis.call('EXPIRE', KEYS[4], tonumber(ARGV[14]) - now)
if linking == 'refused' and #names > 0 then note_rewrite(KEYS[6], ARGV[1]) end
for _, name in ipairs(names) do
  local link = read_link(redis.call('HGET', links[name], ARGV[17]))
  if linking == 'refused' then
    drop_link(links[name], KEYS[1], name, ARGV[17])
  elseif link and link.expires > now then
    link.expires = expires
    keep_link(links[name], ARGV[17], link, now, {})
  end
end
return {proven and 'proven' or 'granted'}
