-- A sale is one text: these fields, a line each, empty where it has none; then what no script reads, whose last line may be several.

-- nil where there is none.
local function read_sale(key)
  local line = '([^\n]*)\n'
  local found = {string.match(redis.call('GET', key) or '', '^' .. string.rep(line, 7) .. '(.*)$')}
  local time, visitor, email, customer, verified, by_token, attribution, rest = unpack(found)
  return time and {
    time = time, visitor = visitor, email = email, customer = customer, verified = verified, by_token = by_token,
    attribution = attribution, rest = rest,
  }
end

-- In place of what is there, for as long as that was to stay.
local function keep_sale(key, sale)
  local lines = {sale.time, sale.visitor, sale.email, sale.customer, sale.verified, sale.by_token, sale.attribution, sale.rest}
  redis.call('SET', key, table.concat(lines, '\n'), 'KEEPTTL')
end

local function forget_visitor(sale)
  sale.visitor, sale.by_token, sale.attribution = '', '', ''
end
