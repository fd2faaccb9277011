-- A link is stored twice: at its handle, visitor -> value, and as a pointer in its visitor's record, name of the handle -> proof. These
-- functions write and drop both together. `identity_service.model.link` describes the value. Times are seconds since 1970. A proof is v by
-- key, t by token or u without one.
local RANK = {v = 3, t = 2, u = 1}
local LENGTH_OF_A_NAME = 23 -- no other field of a record is that long

-- A handle's hash also holds its sales, in fields that begin with a dollar. No visitor's ID does.
local function is_sale(field)
  return string.byte(field) == 36
end

local LINK = '^(%d+) (%d+) (%d+) (%a)(%a)$'

-- Returns first, last, expires, rank, source, proof. nil for no link, and for a value that is none, as somebody may have written by hand.
local function read_times(text)
  local first, last, life, source, proof = string.match(text, LINK)
  local rank = RANK[proof]
  if rank then return first + 0, first + last, first + life, rank, source, proof end
end

local function read_link(text)
  local first, last, expires, _, source, proof = read_times(text or '')
  return first and {first = first, last = last, expires = expires, source = source, proof = proof}
end

-- `beside`: field, value and life (s) of a sale that is written with the link, or nothing. `first`: the handle's hash is empty.
local function keep_link(links, visitor, link, now, beside, first)
  local offsets = string.format('%d %d %d ', link.first, link.last - link.first, link.expires - link.first)
  redis.call('HSET', links, unpack({visitor, offsets .. link.source .. link.proof, beside[1], beside[2]}))
  local life = math.max(link.expires - now, beside[3] or 0)
  if first or redis.call('TTL', links) < life then redis.call('EXPIRE', links, life) end
end

local function stronger(proof, other)
  return other and RANK[other] > RANK[proof] and other or proof
end

-- Returns the names of the handles that a record points to.
local function pointers_of(record)
  local names = {}
  for _, field in ipairs(redis.call('HKEYS', record)) do
    if #field == LENGTH_OF_A_NAME then names[#names + 1] = field end
  end
  return names
end

-- Returns the key of each handle that a record points to, by name, and the names. Returns nil and the names if the caller has not declared
-- all of them. `names`, `keys`: declared, in the same order.
local function declared_links(record, names, keys)
  local links, pointers = {}, pointers_of(record)
  for i, name in ipairs(names) do links[name] = keys[i] end
  for _, name in ipairs(pointers) do
    if not links[name] then return nil, pointers end
  end
  return links, pointers
end

-- Returns 1 if the handle named the visitor, else 0. An older record may hold links without proof that were never counted. So their number
-- stops at zero; below, it would make links count as proven.
local function drop_link(links, record, name, visitor)
  local letter = string.sub(name, 1, 1)
  local field = letter == 'e' and 'i' or 'j'
  local proof, unproven = unpack(redis.call('HMGET', record, name, field))
  if proof then
    redis.call('HDEL', record, name)
    redis.call('HINCRBY', record, letter, -1)
    if proof == 'u' and tonumber(unproven or 0) > 0 then redis.call('HINCRBY', record, field, -1) end
  end
  return redis.call('HDEL', links, visitor)
end

-- Reads what is stored of a visitor and a handle before their link is written. `at`: links, record. `new`: visitor, name (of the handle),
-- now.
local function known_of(at, new)
  local letter = string.sub(new.name, 1, 1)
  local field = letter == 'e' and 'i' or 'j'
  local found = redis.call('HMGET', at.record, 'k', 'x', 'n', new.name, letter, field)
  local expires, link = tonumber(found[2]), redis.call('HGET', at.links, new.visitor)
  return {
    letter = letter, unproven_field = field, kind = found[1], expires = expires, ended = expires and expires <= new.now, linking = found[3],
    pointer = found[4], held = tonumber(found[5] or 0), unproven = tonumber(found[6] or 0), link = link and read_link(link), first = false,
  }
end

-- `at`: links, record, known (nil if something may have changed), and beside as in keep_link. `new`: visitor, name (of the handle), now,
-- proof, source, and kind and expires for a new record. An earlier living link keeps its first time. If its proof is stronger, it also
-- keeps that, and the time that it was last made by it.
local function write_link(at, new)
  local known = at.known or known_of(at, new)
  local stored = known.link and known.link.expires > new.now and known.link
  local proof = stronger(new.proof, stored and stored.proof)
  if known.ended then redis.call('DEL', at.record) end
  local living = known.expires and not known.ended
  local pointer, held, unproven = living and known.pointer, living and known.held or 0, living and known.unproven or 0
  local more = (proof == 'u' and 1 or 0) - (pointer == 'u' and 1 or 0)
  if not living then
    redis.call('HSET', at.record, 'k', new.kind, 'f', new.now, 'x', new.expires)
    redis.call('EXPIRE', at.record, new.expires - new.now)
  end
  if more == 1 or (more == -1 and unproven > 0) then redis.call('HSET', at.record, known.unproven_field, unproven + more) end
  redis.call('HSET', at.record, 'l', new.now, new.name, proof, known.letter, pointer and held or held + 1)
  local expires = living and known.expires or tonumber(new.expires)
  local link = {first = new.now, last = new.now, expires = expires, source = new.source, proof = proof}
  if stored then -- another call may have overtaken this one, or its clock may be ahead
    link.first = math.min(stored.first, new.now)
    link.last = RANK[new.proof] < RANK[stored.proof] and stored.last or math.max(stored.last, new.now)
  end
  keep_link(at.links, new.visitor, link, new.now, at.beside or {}, known.first)
end
