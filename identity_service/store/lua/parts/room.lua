-- Whether a visitor may be linked to a handle, and which links have to give way. Links that have ended give way to any. Links without proof
-- give way to those by token, and these to those by key. Of the weakest kind the oldest gives way at a handle, and any at a visitor. Links
-- that no key made take half of a cap at most.
-- Uses  marks, links
local MOST_ENDED = 32
local CROWD = 100 -- visitors of one handle; more than a person's devices make in a year

-- Returns gone or refused, or nil if the link is allowed. `at`: links, record, known, and gone if it has to be checked. `new`: as in
-- write_link, with need (p: persistent visitors only, a: any), lapsed (seconds that a persistent record outlives its consent), handle_cap
-- and visitor_cap.
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

-- Whether a handle holds a crowd of living links. Its sales are in the same hash.
local function holds_crowd(links, now)
  local living = 0
  for _, text in ipairs(redis.call('HVALS', links)) do
    local _, _, expires = read_times(text)
    if expires and expires > now then living = living + 1 end
    if living == CROWD then return true end
  end
  return false
end

-- Adds the links that give way at the handle to `found`: handle, visitor, link. Returns whether there is room then.
local function at_handle(at, new, found)
  local own, room = at.known.link, room_of(new.handle_cap, new.proof)
  if own and own.expires > new.now then return true end
  local held = redis.call('HLEN', at.links)
  at.known.first = held == 0
  if held - (own and 1 or 0) < room then
    at.crowded = held >= CROWD and holds_crowd(at.links, new.now)
    return true
  end
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
  at.crowded = living >= CROWD
  if living < room then
    add(found, unpack(ended))
  elseif weakest then
    add(found, 'handle', stored[weakest], stored[weakest + 1])
  end
  return living < room or weakest ~= nil
end

-- Returns whether the links in `given`, which an earlier call returned, still make room at the handle. Then this call does not read all
-- links.
local function still_gives_way(at, new, given, found)
  local still = {}
  for i = 1, #given, 3 do
    local link = given[i] == 'handle' and redis.call('HGET', at.links, given[i + 1])
    if link then
      local _, _, expires, rank = read_times(link)
      local lives = expires and expires > new.now
      if link ~= given[i + 2] or (lives and rank >= RANK[new.proof]) then return false end
      at.crowded = lives and room_of(new.handle_cap, new.proof) >= CROWD -- a living link gives way only at a full handle
      add(still, 'handle', given[i + 1], link)
    end
  end
  if #still == 0 or at.known.link then return false end
  if redis.call('HLEN', at.links) - #still / 3 >= room_of(new.handle_cap, new.proof) then return false end
  add(found, unpack(still))
  return true
end

-- Adds the link that gives way at the visitor to `found`: visitor, name of a handle, proof. Returns whether there is room then.
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

-- Returns nil if the link may be written, because only the links in `given` have to give way. Otherwise it returns the answer to the
-- caller: {gone}, {refused}, {full, handle or visitor}, or {yield, links that give way, three texts each}. Writes only at.known and at.crowded:
-- whether the handle holds more visitors than one person has, and this one is new to it. `at`: as
-- in forbidden.
local function obstacle(at, new, given)
  at.known = known_of(at, new)
  local outcome = forbidden(at, new)
  if outcome then return {outcome} end
  local found = {}
  if not still_gives_way(at, new, given, found) and not at_handle(at, new, found) then return {'full', 'handle'} end
  if not at_visitor(at, new, found) then return {'full', 'visitor'} end
  if table.concat(found, '\n') ~= table.concat(given, '\n') then return {'yield', unpack(found)} end
end

-- `keys`: for each link in `given`, the record of its visitor if it gives way at the handle, or the links of its handle if at the visitor.
local function give_way(at, new, given, keys)
  if #keys > 0 then at.known = nil end
  for i, key in ipairs(keys) do
    local place, who = given[3 * i - 2], given[3 * i - 1]
    if place == 'handle' then drop_link(at.links, key, new.name, who) else drop_link(key, at.record, who, new.visitor) end
  end
end

-- Reads the link that the caller asks for: visitor, name, now, handle cap, visitor cap, proof, need, kind, expires, lapsed, source, when
-- the ID was issued; and the links that give way. `first`: index of the first text.
local function asked_link(texts, first)
  local visitor, name, now, handle_cap, visitor_cap, proof, need, kind, expires, lapsed, source, issued = unpack(texts, first, first + 11)
  return {
    visitor = visitor, name = name, now = tonumber(now), handle_cap = tonumber(handle_cap), visitor_cap = tonumber(visitor_cap),
    proof = proof, need = need, kind = kind, expires = expires, lapsed = tonumber(lapsed), source = source, issued = tonumber(issued),
  }, {unpack(texts, first + 12)}
end
