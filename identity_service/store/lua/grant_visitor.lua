#!lua
-- Purpose: write a grant into a visitor's record, unless something newer stands against it.
-- Uses     list_receipt, handles_of
-- KEYS[1]  record (hash)   KEYS[2]  gone (string: ms, nonce of an open removal)   KEYS[3]  earlier receipts (list)   KEYS[4]  events
-- ARGV[1]  now, s          ARGV[2]  record expires, s   ARGV[3]  granted at, ms
-- ARGV[4]  source          ARGV[5]  linking: granted, refused or empty   ARGV[6]  policy version or empty
-- ARGV[7]  sale/share opt-out: 1 or empty               ARGV[8], ARGV[9]  GPC and DNT seen at, ms, or empty
-- ARGV[10] receipt ID      ARGV[11] receipt key         ARGV[12] digest of the bridged visitor or empty
-- ARGV[13] length of a handle's name   ARGV[14] first characters of the signal's digest, or empty   ARGV[15] end of events, s
-- Returns  {granted, names of linked handles}, {gone} (withdrawn after the grant), {open} (its removal has to be ended first)
--          or {older} (a newer grant is stored, and it is the person's)
local gone, open = string.match(redis.call('GET', KEYS[2]) or '', '^(%d+) ?(.*)$')
if gone and tonumber(gone) >= tonumber(ARGV[3]) then return {'gone'} end
if gone and open ~= '' then return {'open'} end
local found = redis.call('HMGET', KEYS[1], 'k', 'g', 'x', 'r', 's')
local known, earlier = found[1], found[4]
if found[3] and tonumber(found[3]) <= tonumber(ARGV[1]) then
  redis.call('DEL', KEYS[1])
  known, earlier = false, false
elseif known == 'p' and found[5] ~= 'shop' and tonumber(found[2]) > tonumber(ARGV[3]) then
  return {'older'}
end
if gone then redis.call('DEL', KEYS[2]) end
local fields = {'k', 'p', 'l', ARGV[1], 'x', ARGV[2], 'g', ARGV[3], 's', ARGV[4], 'r', ARGV[10]}
local function write(field, value) fields[#fields + 1], fields[#fields + 2] = field, value end
for field, value in pairs({n = ARGV[5], v = ARGV[6], d = ARGV[14]}) do
  if value ~= '' then write(field, value) elseif known then redis.call('HDEL', KEYS[1], field) end
end
if ARGV[7] ~= '' then write('w', ARGV[7]) end
for field, value in pairs({f = ARGV[1], q = ARGV[11], o = ARGV[8], t = ARGV[9], b = ARGV[12]}) do
  if value ~= '' and not (known and redis.call('HEXISTS', KEYS[1], field) == 1) then write(field, value) end
end
redis.call('HSET', KEYS[1], unpack(fields))
local life = tonumber(ARGV[2]) - tonumber(ARGV[1])
redis.call('EXPIRE', KEYS[1], life)
if earlier then list_receipt({KEYS[3]}, {earlier, life}) end
redis.call('EXPIRE', KEYS[4], tonumber(ARGV[15]) - tonumber(ARGV[1]))
return {'granted', known and handles_of(KEYS, {ARGV[13]}) or {}}
