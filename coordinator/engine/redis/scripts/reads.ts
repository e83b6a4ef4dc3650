/** The two scripts that read, for what Redis has no one command for. */

export const rangeScript = `#!lua flags=no-writes
-- range: rows of an index between two scores, after a cursor. All by rank, so that it costs the logarithm of the index.
--
-- KEYS  1 the index   2 its values   3 what the engine knows of the partition
-- ARGV  1 lowest score   2 highest   3 how many   4 '1': descending   5 score and 6 member of the cursor, if any
-- Returns {seconds, microseconds, time stored or '', rows, member, score ..., then the values when there are any}.
local call, byte = redis.call, string.byte
local key, limit = KEYS[1], tonumber(ARGV[3])
local time = call('TIME')
local answer = { time[1], time[2], call('HGET', KEYS[3], 'now') or '', 0 }

-- By bytes: Lua itself compares by the server's locale.
local function isBefore(one, other)
  for at = 1, math.min(#one, #other) do
    local a, b = byte(one, at), byte(other, at)
    if a ~= b then return a < b end
  end
  return #one < #other
end

local first = ARGV[1] == '-inf' and 0 or call('ZCOUNT', key, '-inf', '(' .. ARGV[1])
local last = ARGV[2] == '+inf' and -1 or call('ZCOUNT', key, '-inf', ARGV[2]) - 1
if last == -1 then
  if ARGV[2] ~= '+inf' then return answer end
  last = call('ZCARD', key) - 1
end
if ARGV[5] then
  local score, member = ARGV[5], ARGV[6]
  local rank
  local found = call('ZSCORE', key, member)
  if found and tonumber(found) == tonumber(score) then
    rank = call('ZRANK', key, member)
    if ARGV[4] ~= '1' then rank = rank + 1 end
  else
    -- The cursor's row is gone: where it was is searched for among the rows of its score.
    local low, high = call('ZCOUNT', key, '-inf', '(' .. score), call('ZCOUNT', key, '-inf', score)
    while low < high do
      local middle = math.floor((low + high) / 2)
      if isBefore(call('ZRANGE', key, middle, middle)[1], member) then low = middle + 1 else high = middle end
    end
    rank = low
  end
  if ARGV[4] == '1' then last = math.min(last, rank - 1) else first = math.max(first, rank) end
end
if ARGV[4] == '1' then first = math.max(first, last - limit + 1) else last = math.min(last, first + limit - 1) end
if limit == 0 or last < first then return answer end
local rows = call('ZRANGE', key, first, last, 'WITHSCORES')
local count = #rows / 2
answer[4] = count
for at = 1, #rows do answer[4 + at] = rows[at] end
if call('EXISTS', KEYS[2]) == 0 then return answer end
for from = 1, count, 4000 do
  local members = {}
  for at = from, math.min(from + 3999, count) do members[#members + 1] = rows[2 * at - 1] end
  local values = call('HMGET', KEYS[2], unpack(members))
  for at = 1, #members do answer[#answer + 1] = values[at] end
end
return answer
`;

export const readScript = `#!lua flags=no-writes
-- read: entries of a log.
--
-- KEYS  1 the log   2 positions before the first entries of trimmed logs
-- ARGV  1 the position after which   2 how many   3 bytes of values beyond which no more are wanted, or ''   4 its name
-- Returns {position before the first entry answered, entries ..., each "<ms> <value>"}.
local after, limit, bytesMax = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local base = tonumber(redis.call('HGET', KEYS[2], ARGV[4]) or 0)
local first = math.max(0, after - base)
local answer = { base + first }
if limit == 0 then return answer end
local bytes, count, size = 0, 0, bytesMax and 50 or 4000
while count < limit do
  local page = redis.call('LRANGE', KEYS[1], first + count, first + math.min(limit, count + size) - 1)
  if #page == 0 then return answer end
  for _, entry in ipairs(page) do
    if bytesMax then
      bytes = bytes + #entry - string.find(entry, ' ', 1, true)
      if count > 0 and bytes > bytesMax then return answer end
    end
    count = count + 1
    answer[count + 1] = entry
  end
end
return answer
`;
