#!lua flags=allow-oom
-- Purpose: keep an entry of the audit, before what it is about is answered, also when memory is full.
-- Uses     audit
-- KEYS[1]  entries of the day (list)   for an entry about a person: KEYS[2]  newest entries about that person (list)
-- ARGV[1]  entry   ARGV[2]  its life, s   ARGV[3]  most entries about a person
-- Touches  two elements, and all entries about the person
-- Returns  nothing
keep_audit(KEYS, unpack(ARGV))
