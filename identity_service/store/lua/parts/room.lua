-- May a visitor be linked to a handle, and who has to give way for it? Links that have ended give way to any, those without proof to those
-- by token, and these to those by key: of the weakest kind the oldest first, or at a visitor any. Links that no key made never take the
-- last half of a cap.
-- Uses  marks, links
local MOST_ENDED = 32

-- `at`: links, record, known, and gone where it is to be looked at. `new`: as of write_link, with need (p: persistent visitors only, a: any), lapsed (seconds that a persistent
-- record outlives its consent), handle_cap and visitor_cap. Returns gone or refused; nil where a link is allowed.
local function forbidden(at, new)
  local kind, linking = at.known.kind, at.known.linking
  local mark = at.gone and (not kind or kind == 'd') and redis.call('GET', at.gone)
  if mark and stops(mark, new.issued) then return 'gone' end
  if at.known.ended then kind, linking = false, false end
  if kind == 'p' and at.known.expires - new.lapsed <= new.now then return 'gone' end
  if linking == 'refused' or (new.need == 'p' and kind ~= 'p') then return 'refused' end
  if not kind and (new.kind == 'p' or tonumber(new.expires) <= new.now) then return 'gone' end
end

local function room_of(cap, proof)
  return proof == 'v' and cap or math.floor(cap / 2)
end

local function add(list, ...)
  for _, text in ipairs({...}) do list[#list + 1] = text end
end

-- Adds who gives way at the handle to `found`: handle, visitor, link. Returns whether there is room then.
local function at_handle(at, new, found)
  local own, room = at.known.link, room_of(new.handle_cap, new.proof)
  if own and own.expires > new.now then return true end
  local held = redis.call('HLEN', at.links)
  at.known.first = held == 0
  if held - (own and 1 or 0) < room then return true end
  local living, ended, weakest = 0, {}, nil
  local lowest, oldest, stored = RANK[new.proof], math.huge, redis.call('HGETALL', at.links)
  for i = 1, #stored, 2 do
    local first, last, expires, rank = read_times(stored[i + 1])
    if first and expires > new.now then
      living = living + 1
      if rank < lowest or (weakest and rank == lowest and last < oldest) then weakest, lowest, oldest = i, rank, last end
    elseif stored[i] ~= new.visitor and not is_sale(stored[i]) and #ended < 3 * MOST_ENDED then
      add(ended, 'handle', stored[i], stored[i + 1])
    end
  end
  if living < room then
    add(found, unpack(ended))
  elseif weakest then
    add(found, 'handle', stored[weakest], stored[weakest + 1])
  end
  return living < room or weakest ~= nil
end

-- Whether those of `given` still make room at the handle, as its caller was told: then its links need not be gone through again.
local function still_gives_way(at, new, given, found)
  local told = {}
  for i = 1, #given, 3 do
    local link = given[i] == 'handle' and redis.call('HGET', at.links, given[i + 1])
    if link then
      local _, _, expires, rank = read_times(link)
      if link ~= given[i + 2] or (expires and expires > new.now and rank >= RANK[new.proof]) then return false end
      add(told, 'handle', given[i + 1], link)
    end
  end
  if #told == 0 or at.known.link then return false end
  if redis.call('HLEN', at.links) - #told / 3 >= room_of(new.handle_cap, new.proof) then return false end
  add(found, unpack(told))
  return true
end

-- The same at the visitor: visitor, name of a handle, proof.
local function at_visitor(at, new, found)
  local known, letter = at.known, at.known.letter
  if not known.expires or known.ended or known.pointer then return true end
  if known.held < room_of(new.visitor_cap, new.proof) then return true end
  local stored, weakest, lowest = redis.call('HGETALL', at.record), nil, new.proof
  for i = 1, #stored, 2 do
    local proof = #stored[i] == LENGTH_OF_A_NAME and string.sub(stored[i], 1, 1) == letter and stored[i + 1]
    if proof and RANK[proof] < RANK[lowest] then weakest, lowest = stored[i], proof end
  end
  if not weakest then return false end
  add(found, 'visitor', weakest, lowest)
  return true
end

-- Returns nil where the link may be written: nobody is in its way but those of `given`, as the caller has read them. Else the answer to the
-- caller: {gone}, {refused}, {full, handle or visitor}, or {yield, who gives way, three texts each}. Writes nothing. `at`: as of
-- forbidden; takes what is known.
local function obstacle(at, new, given)
  at.known = known_of(at, new)
  local outcome = forbidden(at, new)
  if outcome then return {outcome} end
  local found = {}
  if not still_gives_way(at, new, given, found) and not at_handle(at, new, found) then return {'full', 'handle'} end
  if not at_visitor(at, new, found) then return {'full', 'visitor'} end
  if table.concat(found, '\n') ~= table.concat(given, '\n') then return {'yield', unpack(found)} end
end

-- `keys`: of each of `given`, the record of a visitor that gives way at the handle, or the links of a handle that does at the visitor.
local function give_way(at, new, given, keys)
  if #keys > 0 then at.known = nil end
  for i, key in ipairs(keys) do
    local place, who = given[3 * i - 2], given[3 * i - 1]
    if place == 'handle' then drop_link(at.links, key, new.name, who) else drop_link(key, at.record, who, new.visitor) end
  end
end

-- A link as the caller asks for it, from texts: visitor, name, now, handle cap, visitor cap, proof, need, kind, expires, lapsed, source, when
-- the ID was given out; and who gives way. `first`: number of the visitor's.
local function asked_link(texts, first)
  local visitor, name, now, handle_cap, visitor_cap, proof, need, kind, expires, lapsed, source, issued = unpack(texts, first, first + 11)
  return {
    visitor = visitor, name = name, now = tonumber(now), handle_cap = tonumber(handle_cap), visitor_cap = tonumber(visitor_cap),
    proof = proof, need = need, kind = kind, expires = expires, lapsed = tonumber(lapsed), source = source, issued = tonumber(issued),
  }, {unpack(texts, first + 12)}
end
