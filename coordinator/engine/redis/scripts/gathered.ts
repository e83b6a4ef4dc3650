/** Of the commit script: what the commit writes, gathered by what it is, and how it is written. */
export const gatheredPart = String.raw`
local function many(command, key, args)
  local count = #args
  for from = 1, count, 4000 do call(command, key, unpack(args, from, math.min(from + 3999, count))) end
end

-- Records: what this commit sets (a text) or deletes (false), and what it adds to counters.
local set, added = {}, {}
local function read(key)
  local value = set[key]
  if value == nil then return call('GET', key) end
  return value
end
-- The first characters of a record, '' when there is none. Numbers become text slowly, so each does once.
local ends = {}
local function head(key, count)
  local value = set[key]
  if value ~= nil then return value and sub(value, 1, count) or '' end
  local last = ends[count]
  if not last then
    last = tostring(count - 1)
    ends[count] = last
  end
  return call('GETRANGE', key, '0', last)
end
local function isAbsent(key)
  local value = set[key]
  if value == nil then return call('EXISTS', key) == 0 end
  return not value
end

-- Indexes: members to rank, to rank only if they are in, to unrank, and values (false: none).
local indexes = {}
local function at(key)
  local it = indexes[key]
  if not it then
    it = { rank = {}, move = {}, unrank = {}, value = {} }
    indexes[key] = it
  end
  return it
end
local function rank(it, member, score)
  it.rank[member] = score
  it.unrank[member] = nil
  it.move[member] = nil
end
local function unrank(it, member)
  it.rank[member] = nil
  it.move[member] = nil
  it.unrank[member] = true
end
local function pairsOf(scores, args)
  local count = #args
  for member, score in pairs(scores) do
    args[count + 1] = score
    args[count + 2] = member
    count = count + 2
  end
  return args
end
local function writeIndex(key)
  local it = indexes[key]
  if not it then return end
  indexes[key] = nil
  if next(it.rank) then many('ZADD', key, pairsOf(it.rank, {})) end
  if next(it.move) then
    local args = pairsOf(it.move, {})
    for from = 1, #args, 4000 do call('ZADD', key, 'XX', unpack(args, from, math.min(from + 3999, #args))) end
  end
  if next(it.unrank) then
    local args = {}
    for member in pairs(it.unrank) do args[#args + 1] = member end
    many('ZREM', key, args)
  end
  if next(it.value) then
    local values = space .. 'v' .. sub(key, #space + 2)
    local some, none = {}, {}
    for member, value in pairs(it.value) do
      if value then
        some[#some + 1] = member
        some[#some + 1] = value
      else
        none[#none + 1] = member
      end
    end
    if #none > 0 and call('EXISTS', values) == 1 then many('HDEL', values, none) end
    if #some > 0 then many('HSET', values, some) end
  end
end

-- Queues: how many members are stored, those to be stored, whether it is in the index of queues, and has come in anew.
local queues = {}
local function queueAt(key)
  local it = queues[key]
  if not it then
    local size = call('ZCARD', key)
    it = { size = size, waiting = {}, count = 0, listed = size > 0, anew = false }
    queues[key] = it
  end
  return it
end
local function writeQueue(key, it)
  if it.count == 0 then return end
  local args, count = {}, 0
  for member, score in pairs(it.waiting) do
    args[count + 1] = score
    args[count + 2] = member
    count = count + 2
  end
  for from = 1, count, 4000 do it.size = it.size + call('ZADD', key, unpack(args, from, math.min(from + 3999, count))) end
  it.waiting = {}
  it.count = 0
end
local queuesKey = index .. 'queues'
local function writeQueues()
  for key, it in pairs(queues) do
    writeQueue(key, it)
    if it.size == 0 then
      if it.listed then call('ZREM', queuesKey, sub(key, #index + 7)) end
      it.listed = false
    elseif it.anew then
      call('ZADD', queuesKey, nowText, sub(key, #index + 7))
      it.listed = true
    end
    it.anew = false
  end
end

-- Before an index is counted, what this commit writes to it is written.
local function count(key)
  if queues[key] then writeQueue(key, queues[key])
  elseif key == queuesKey then writeQueues()
  else writeIndex(key) end
  return call('ZCARD', key)
end

-- Logs: the position before the first stored entry, how many are stored, and those to be appended. That position is
-- kept beside the log, and only for logs that were trimmed.
local logs, bases, trimmed = {}, space .. 'b' .. tag, stored[4]
local function logAt(key)
  local it = logs[key]
  if not it then
    local base = trimmed and call('HGET', bases, sub(key, #space + #tag + 2)) or 0
    it = { base = tonumber(base), size = call('LLEN', key), entries = {} }
    logs[key] = it
  end
  return it
end
local function writeLog(key, it)
  if #it.entries == 0 then return end
  many('RPUSH', key, it.entries)
  it.size = it.size + #it.entries
  it.entries = {}
end
local function trim(key, through)
  local it = logAt(key)
  if it.gone then return end
  local drop = math.min(through, it.base + it.size + #it.entries - 1) - it.base
  if drop <= 0 then return end
  writeLog(key, it)
  call('LTRIM', key, drop, -1)
  it.base = it.base + drop
  it.size = it.size - drop
  call('HSET', bases, sub(key, #space + #tag + 2), format('%.0f', it.base))
  if not trimmed then call('HSET', KEYS[1], 'trimmed', '1') end
  trimmed = '1'
end

-- Deadlines by their durations; forgotten when what the lease clock has paused changes.
local paused
local deadlines, scores = {}, {}
local function deadline(forMs)
  local known = deadlines[forMs]
  if known then return known end
  if not paused then paused = tonumber(call('GET', pausedKey) or 0) end
  local base = set[pausedKey] == false and 0 or paused
  known = format('%.17g', now - base - (added[pausedKey] or 0) + forMs)
  deadlines[forMs] = known
  return known
end
local function scoreOf(text)
  if byte(text, 1) ~= 43 then return text end
  local known = scores[text]
  if not known then
    known = format('%.17g', now + tonumber(sub(text, 2)))
    scores[text] = known
  end
  return known
end
-- A held lease with another holder or state. False when it is not held.
local function rewrite(key, holder, state)
  local value = read(key)
  if not value then return false end
  local line = find(value, '\n', 1, true)
  if byte(value, line + 12) == 34 then return false end
  local first = find(value, ',"state":"', line, true)
  if state == '' then
    set[key] = sub(value, 1, line + 10) .. holder .. sub(value, first)
    return true
  end
  local second = find(value, ',"queue":"', first, true)
  if holder == '' then holder = sub(value, line + 11, first - 1) end
  set[key] = sub(value, 1, line + 10) .. holder .. ',"state":' .. state .. sub(value, second)
  return true
end
`;
