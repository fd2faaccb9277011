-- Purpose: keep an access of a service to a person's data. Such accesses are not in the list of the day.
-- Uses     audit
-- KEYS[1]  newest entries about the person (list)
-- ARGV[1]  entry   ARGV[2]  its life, s
-- Touches  two elements
-- Returns  nothing
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, MOST_ACCESSES - 1)
redis.call('EXPIRE', KEYS[1], ARGV[2])
