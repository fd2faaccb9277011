-- An opt-out of sale and sharing is the field w of a record, and the newest opt-in the field y, in ms. An opt-in removes w. What is only a
-- state of the browser, or repeated, does not set it again; what is said does.

-- `told`: said, state or empty.
local function opts_out(record, told)
  return told == 'said' or (told == 'state' and redis.call('HEXISTS', record, 'y') == 0)
end
