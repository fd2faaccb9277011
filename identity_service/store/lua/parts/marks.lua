-- The mark of a gone visitor begins with its time in ms. If only browsers withdrew a derived ID, two parts follow, each after a colon: when it
-- was last withdrawn, in s, and the minutes of the refusal cookies that have not come back. If none is left, the mark yields to calls without
-- such a cookie. The part after a space belongs to parts/receipts.
local MOST_AWAITED = 300 -- bytes, of about 30 refusals

local function marked_at(mark)
  return mark and tonumber(string.match(mark, '^%d+'))
end

-- When it was withdrawn, in s, and the minutes; nil for a mark that stops every call.
local function awaited_by(mark)
  return string.match(mark, '^%d+:(%d+):(%S*)')
end

local function yields(mark)
  local _, awaited = awaited_by(mark)
  return awaited == ''
end

-- Whether it stops an ID that was given out at `issued`, in s.
local function stops(mark, issued)
  return not yields(mark) or issued <= tonumber((awaited_by(mark)))
end

-- Returns what follows the time in a new mark. `mark`: the mark before, or false. `now`: in ms. `minute`: of the cookie that this refusal sets;
-- empty if it sets none in a browser, or one of an earlier minute. Two refusals of one minute have equal cookies, so a returned cookie would
-- not show whose it is.
local function awaited_with(mark, now, minute)
  if minute == '' then return '' end
  local seconds = ':' .. math.floor(now / 1000) .. ':'
  if not mark then return seconds .. minute end
  local before, awaited = awaited_by(mark)
  if not before or #awaited > MOST_AWAITED or math.floor(before / 60) == tonumber(minute) then return '' end
  return seconds .. awaited .. (awaited == '' and '' or ',') .. minute
end
