#!lua flags=no-writes
-- Purpose: which proof has a link once a visitor is linked anew: the strongest that it had while it lived.
-- Uses     stronger
-- KEYS[1]  links (hash)
-- ARGV[1]  visitor   ARGV[2]  now, s   ARGV[3]  v, t or u: proof of the new one
-- Returns  v, t or u
local first, life, flag = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^(%d+) %d+ (%d+) %a(%a)$')
local living = first and first + life > tonumber(ARGV[2])
return stronger(KEYS, {ARGV[3], living and flag})
