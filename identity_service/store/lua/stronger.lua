#!lua flags=no-writes
-- Purpose: the stronger of two proofs of a link.
-- KEYS     none
-- ARGV[1], ARGV[2]  v by key, t by token or u without proof; the second may be false
-- Returns  one of the two
local rank = {v = 3, t = 2, u = 1}
return ARGV[2] and rank[ARGV[2]] > rank[ARGV[1]] and ARGV[2] or ARGV[1]
