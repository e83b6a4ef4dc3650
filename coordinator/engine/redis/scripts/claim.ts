/** Of the commit script: the claim, and the writing of all that was gathered. */
export const claimPart = String.raw`
-- The claim. A queue's lowest members are read in pages; what is taken of it is its beginning, and removed in one step.
if isClaiming then
  local holdMs = ARGV[a + 1]
  local heads = {}
  local named = tonumber(ARGV[a + 2])
  a = a + 2
  for number = 1, named do
    heads[number] = { key = KEYS[tonumber(ARGV[a + 1])], name = ARGV[a + 2], taken = 0, page = false, next = 1 }
    a = a + 2
  end
  local function load(it, rows)
    local queue = it.queue
    if not queue then
      queue = queueAt(it.key)
      it.queue = queue
    end
    it.next = 1
    if queue.size == 0 and queue.count <= 1 and it.taken == 0 then
      -- One alone, that came with this commit and goes with it, is never stored.
      local member, score = next(queue.waiting)
      it.page = member and { member, score } or {}
      it.alone = true
      it.more = false
    else
      writeQueue(it.key, queue)
      it.page = call('ZRANGE', it.key, it.taken, it.taken + rows - 1, 'WITHSCORES')
      it.more = #it.page == rows * 2
    end
    it.score = it.page[2] and tonumber(it.page[2])
  end
  local wants = tonumber(ARGV[a + 1])
  a = a + 1
  for want = 1, wants do
    local holder, take, asked = ARGV[a + 1], tonumber(ARGV[a + 2]), {}
    for number in string.gmatch(ARGV[a + 3], '%d+') do asked[#asked + 1] = tonumber(number) end
    a = a + 3
    local rows = math.max(1, math.ceil(take / math.max(1, #asked)))
    if take > 0 then
      for _, number in ipairs(asked) do
        if not heads[number].page then load(heads[number], rows) end
      end
    end
    while take > 0 do
      local lowest
      for _, number in ipairs(asked) do
        local score = heads[number].score
        if score and (not lowest or score < heads[lowest].score) then lowest = number end
      end
      if not lowest then break end
      local it = heads[lowest]
      local member = it.page[it.next]
      it.taken = it.taken + 1
      it.next = it.next + 2
      if it.page[it.next] then it.score = tonumber(it.page[it.next + 1])
      elseif it.more then load(it, rows)
      else it.score = nil end
      fence = math.max(fence + 1, micros)
      local text = format('%.0f', fence)
      set[record .. 'lease/' .. member] = text .. '\n{"holder":' .. holder .. ',"state":"granted","queue":' .. it.name .. '}'
      rank(at(leases), member, deadline(holdMs))
      answer[positions + 1] = want
      answer[positions + 2] = lowest
      answer[positions + 3] = member
      answer[positions + 4] = text
      positions = positions + 4
      take = take - 1
      wrote = true
    end
  end
  for number = 1, named do
    local it = heads[number]
    if it.taken > 0 then
      if it.alone then
        it.queue.waiting = {}
        it.queue.count = 0
      else
        call('ZREMRANGEBYRANK', it.key, 0, it.taken - 1)
        it.queue.size = it.queue.size - it.taken
      end
    end
  end
end

-- Counters first: one that is a record is a mistake, upon which nothing else has been written.
for key, delta in pairs(added) do
  if set[key] == false then
    call('DEL', key)
    set[key] = nil
  end
  local sum = redis.pcall('INCRBY', key, format('%.0f', delta))
  if type(sum) == 'table' and sum.err then return redis.error_reply('NOTACOUNTER ' .. key) end
end
local values, gone = {}, {}
local setCount = 0
for key, value in pairs(set) do
  if value then
    values[setCount + 1] = key
    values[setCount + 2] = value
    setCount = setCount + 2
  else
    gone[#gone + 1] = key
  end
end
for key, it in pairs(logs) do
  if it.gone then
    gone[#gone + 1] = key
    if trimmed then call('HDEL', bases, sub(key, #space + #tag + 2)) end
  end
end
for from = 1, #gone, 4000 do call('UNLINK', unpack(gone, from, math.min(from + 3999, #gone))) end
for from = 1, setCount, 4000 do call('MSET', unpack(values, from, math.min(from + 3999, setCount))) end
local ranked = {}
for key in pairs(indexes) do ranked[#ranked + 1] = key end
for _, key in ipairs(ranked) do writeIndex(key) end
for key, it in pairs(logs) do writeLog(key, it) end
writeQueues()
if wrote then call('HSET', KEYS[1], 'now', nowText, 'fence', format('%.0f', fence)) end
local own = space .. 'h' .. tag
for at = 1, #hints, 2 do
  call(ARGV[5] == '1' and hints[at] == own and 'SPUBLISH' or 'PUBLISH', hints[at], hints[at + 1])
end
return answer
`;
