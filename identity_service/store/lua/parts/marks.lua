-- The mark of a visitor that is gone: its time in ms. Of a derived ID that nothing but browsers withdrew there follow, each behind a colon, when
-- that was, in s, and the minutes of the refusal cookies that have not come back yet: with none left the mark yields to calls without such a
-- cookie. What stands behind a space is another's.
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

-- What follows the time of a new mark. `mark`: the one before, false for none. `now`: in ms. `minute`: of the cookie that this refusal sets, empty
-- where it sets none in a browser, or one of an earlier minute. Two refusals of one minute have one cookie, so that its return would not tell
-- whose came back.
local function awaited_with(mark, now, minute)
  if minute == '' then return '' end
  local seconds = ':' .. math.floor(now / 1000) .. ':'
  if not mark then return seconds .. minute end
  local before, awaited = awaited_by(mark)
  if not before or #awaited > MOST_AWAITED or math.floor(before / 60) == tonumber(minute) then return '' end
  return seconds .. awaited .. (awaited == '' and '' or ',') .. minute
end
