-- A sale is one text: these fields, a line each, empty where it has none; then what no script reads, which may be a hundred times as long.
-- Only its head is read, and written in place: spaces fill what was taken away.
local MOST_HEAD = 20479

-- nil where there is none.
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

-- In place of what is there, for as long as that was to stay.
local function keep_sale(key, sale)
  local found = {sale.time, sale.visitor, sale.email, sale.customer, sale.verified, sale.by_token, sale.attribution}
  local filled = string.rep(' ', sale.length - #table.concat(found))
  redis.call('SETRANGE', key, 0, table.concat(found, '\n') .. filled)
end

local function forget_visitor(sale)
  sale.visitor, sale.by_token, sale.attribution = '', '', ''
end
