-- A sale is one text: the fields of read_sale, each a line, empty if absent; then fields that no script reads, which may be a hundred times
-- as long. Scripts read and write only the head, in place. Spaces fill the length of removed values.
local MOST_HEAD = 20479

-- Returns nil if there is no sale.
local function read_sale(key)
  local line = '([^\n]*)\n'
  local head = redis.call('GETRANGE', key, 0, MOST_HEAD)
  local found = {string.match(head, '^' .. string.rep(line, 7))}
  local time, visitor, email, customer, verified, by_token, attribution = unpack(found)
  return time and {
    time = time, visitor = visitor, email = email, customer = customer, verified = verified, by_token = by_token,
    attribution = string.match(attribution, '^.*%S') or '', length = #table.concat(found),
  }
end

-- Overwrites the head. The key keeps its life.
local function keep_sale(key, sale)
  local found = {sale.time, sale.visitor, sale.email, sale.customer, sale.verified, sale.by_token, sale.attribution}
  local filled = string.rep(' ', sale.length - #table.concat(found))
  redis.call('SETRANGE', key, 0, table.concat(found, '\n') .. filled)
end

local function forget_visitor(sale)
  sale.visitor, sale.by_token, sale.attribution = '', '', ''
end
