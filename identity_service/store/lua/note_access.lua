-- Purpose: keep an access of a service to a person's data. Such accesses are not in the list of the day.
-- Uses     audit
-- KEYS[1]  newest entries about the person (list)
-- ARGV[1]  entry   ARGV[2]  its life, s   ARGV[3]  most entries about the person
-- Touches  all entries about the person
-- Returns  nothing
keep_access(KEYS[1], unpack(ARGV))
