-- A link stands at its handle, visitor -> value, and as a pointer in its visitor's record, name of the handle -> proof. Here both are
-- written and dropped together. The value is told in `identity_service.model.link`; times are seconds since 1970; a proof is v by key, t by token
-- or u without one.
local RANK = {v = 3, t = 2, u = 1}
local LENGTH_OF_A_NAME = 23 -- no other field of a record has it

local LINK = '^(%d+) (%d+) (%d+) (%a)(%a)$'

-- First, last, expires, rank, source, proof; nil for none, and for what is none: whoever writes into the store by hand may err.
local function read_times(text)
  local first, last, life, source, proof = string.match(text, LINK)
  local rank = RANK[proof]
  if rank then return first + 0, first + last, first + life, rank, source, proof end
end

local function read_link(text)
  local first, last, expires, _, source, proof = read_times(text or '')
  return first and {first = first, last = last, expires = expires, source = source, proof = proof}
end

local function keep_link(links, visitor, link, now)
  local offsets = string.format('%d %d %d', link.first, link.last - link.first, link.expires - link.first)
  redis.call('HSET', links, visitor, offsets .. ' ' .. link.source .. link.proof)
  if redis.call('TTL', links) < link.expires - now then redis.call('EXPIRE', links, link.expires - now) end
end

local function stronger(proof, other)
  return other and RANK[other] > RANK[proof] and other or proof
end

-- Names of the handles that a record points to.
local function pointers_of(record)
  local names = {}
  for _, field in ipairs(redis.call('HKEYS', record)) do
    if #field == LENGTH_OF_A_NAME then names[#names + 1] = field end
  end
  return names
end

-- Links of each handle that a record points to, by its name, where the caller has declared all of them: `names`, `keys` in the same order.
-- Else nil, and the names that there are.
local function declared_links(record, names, keys)
  local links, pointers = {}, pointers_of(record)
  for i, name in ipairs(names) do links[name] = keys[i] end
  for _, name in ipairs(pointers) do
    if not links[name] then return nil, pointers end
  end
  return links, pointers
end

-- `before`, `after`: proof of a pointer, false for none. A record of before those without proof were counted may hold some that are not:
-- their number never falls below zero, and so never makes too few links proven ones.
local function count_pointer(record, name, before, after)
  local letter = string.sub(name, 1, 1)
  local more = (after and 1 or 0) - (before and 1 or 0)
  if more ~= 0 then redis.call('HINCRBY', record, letter, more) end
  local unproven, field = (after == 'u' and 1 or 0) - (before == 'u' and 1 or 0), letter == 'e' and 'i' or 'j'
  if unproven == 1 or (unproven == -1 and tonumber(redis.call('HGET', record, field) or 0) > 0) then
    redis.call('HINCRBY', record, field, unproven)
  end
end

-- Returns 1 where the handle named the visitor, else 0.
local function drop_link(links, record, name, visitor)
  local proof = redis.call('HGET', record, name)
  if proof then
    redis.call('HDEL', record, name)
    count_pointer(record, name, proof, false)
  end
  return redis.call('HDEL', links, visitor)
end

-- `at`: links, record. `new`: visitor, name (of the handle), now, proof, source, kind and expires (of a record where there is none).
-- An earlier link that lives keeps its beginning, and where its proof is stronger that, and when it was last made by it.
local function write_link(at, new)
  local stored = read_link(redis.call('HGET', at.links, new.visitor))
  if stored and stored.expires <= new.now then stored = nil end
  local proof = stronger(new.proof, stored and stored.proof)
  local expires, pointer = unpack(redis.call('HMGET', at.record, 'x', new.name))
  if expires and tonumber(expires) <= new.now then
    redis.call('DEL', at.record)
    expires, pointer = false, false
  end
  if not expires then
    expires = new.expires
    redis.call('HSET', at.record, 'k', new.kind, 'f', new.now, 'x', expires)
    redis.call('EXPIRE', at.record, expires - new.now)
  end
  redis.call('HSET', at.record, 'l', new.now, new.name, proof)
  count_pointer(at.record, new.name, pointer, proof)
  local link = {first = new.now, last = new.now, expires = tonumber(expires), source = new.source, proof = proof}
  if stored then -- one that began later, or by a clock that is ahead, may have been faster
    link.first = math.min(stored.first, new.now)
    link.last = RANK[new.proof] < RANK[stored.proof] and stored.last or math.max(stored.last, new.now)
  end
  keep_link(at.links, new.visitor, link, new.now)
end
