/** Of the commit script: the steps of its program, one after another. */
export const stepsPart = `
local answer, positions = { nowText, '', 0 }, 3
local hints, hinted = {}, {}
-- The operands A of steps that are passed over, for A to Z and a to z.
local upper, lower = '00002022400101011210130110', '00001100000020000010000000'
local outcomes, tx, outcome, isClaiming = {}, 0, 97, false
while pc <= n do
  local op, high, middle, low = byte(prog, pc, pc + 3)
  pc = pc + 1
  if op == 124 then
    if tx > 0 then outcomes[tx] = outcome end
    tx = tx + 1
    outcome = 97
  elseif op == 67 then
    isClaiming = true
    break
  elseif op == 62 then
    a = a + 1
    if outcomes[tonumber(ARGV[a])] ~= 97 then outcome = 115 end
  elseif outcome == 115 or outcome == 99 or (outcome == 117 and op < 97) then
    if op ~= 71 and op ~= 72 then pc = pc + 3 end
    if op < 97 then a = a + tonumber(sub(upper, op - 64, op - 64))
    else a = a + tonumber(sub(lower, op - 96, op - 96)) end
  elseif op >= 97 then
    pc = pc + 3
    local key = KEYS[(high - 32) * 9025 + (middle - 32) * 95 + low - 31]
    if op == 115 then
      a = a + 1
      local stamp = ARGV[a]
      if head(key, #stamp) ~= stamp then outcome = 99 end
    elseif op == 97 then
      if added[key] or not isAbsent(key) then outcome = 99 end
    elseif op == 99 then
      if not added[key] and not find(head(key, 20), '^-?%d+$') then outcome = 99 end
    elseif op == 101 then
      a = a + 1
      local it = logAt(key)
      if it.base + it.size + #it.entries ~= tonumber(ARGV[a]) then outcome = 117 end
    else
      a = a + 1
      local holds = count(key) < tonumber(ARGV[a])
      if op == 109 then
        a = a + 1
        holds = holds or call('ZSCORE', key, ARGV[a])
      end
      if not holds then outcome = 117 end
    end
  elseif op == 72 then
    local member = ARGV[a + 1]
    local it = at(leases)
    if it.rank[member] then it.rank[member] = deadline(ARGV[a + 2])
    elseif not it.unrank[member] then it.move[member] = deadline(ARGV[a + 2]) end
    a = a + 2
  elseif op == 71 then
    local hint = ARGV[a + 1] .. ' ' .. ARGV[a + 2]
    if not hinted[hint] then
      hinted[hint] = true
      hints[#hints + 1] = ARGV[a + 1]
      hints[#hints + 1] = ARGV[a + 2]
    end
    a = a + 2
  else
    pc = pc + 3
    local key = KEYS[(high - 32) * 9025 + (middle - 32) * 95 + low - 31]
    if op == 83 then
      a = a + 1
      set[key] = ARGV[a]
    elseif op == 80 then
      a = a + 1
      local it = logAt(key)
      local entries = it.entries
      entries[#entries + 1] = nowText .. ' ' .. ARGV[a]
      positions = positions + 1
      answer[positions] = it.base + it.size + #entries
    elseif op == 82 or op == 86 then
      local member = ARGV[a + 2]
      local it = at(key)
      rank(it, member, scoreOf(ARGV[a + 1]))
      a = a + 2
      if op == 86 then
        a = a + 1
        it.value[member] = ARGV[a]
      else
        it.value[member] = false
      end
    elseif op == 85 then
      a = a + 1
      local it = at(key)
      unrank(it, ARGV[a])
      it.value[ARGV[a]] = false
    elseif op == 78 then
      a = a + 1
      if set[key] then return redis.error_reply('NOTACOUNTER ' .. key) end
      added[key] = (added[key] or 0) + tonumber(ARGV[a])
      if key == pausedKey then deadlines = {} end
    elseif op == 69 then
      local it = queueAt(key)
      if it.size == 0 and it.count == 0 then it.anew = true end
      if not it.waiting[ARGV[a + 2]] then it.count = it.count + 1 end
      it.waiting[ARGV[a + 2]] = scoreOf(ARGV[a + 1])
      a = a + 2
    elseif op == 81 then
      a = a + 1
      local it = queueAt(key)
      if it.size > 0 then
        writeQueue(key, it)
        it.size = it.size - call('ZREM', key, ARGV[a])
      elseif it.waiting[ARGV[a]] then
        it.waiting[ARGV[a]] = nil
        it.count = it.count - 1
      end
    elseif op == 73 then
      local member = ARGV[a + 1]
      if rewrite(key, ARGV[a + 4], ARGV[a + 3]) then
        local it = at(leases)
        if it.rank[member] then it.rank[member] = deadline(ARGV[a + 2])
        else it.move[member] = deadline(ARGV[a + 2]) end
      end
      a = a + 4
    elseif op == 88 then
      a = a + 1
      if rewrite(key, '""', '') then unrank(at(leases), ARGV[a]) end
    elseif op == 89 then
      a = a + 1
      trim(key, tonumber(ARGV[a]))
    elseif op == 68 then
      set[key] = false
      added[key] = nil
      if key == pausedKey then deadlines = {} end
      logs[space .. 'l' .. sub(key, #space + 2)] = { base = 0, size = 0, entries = {}, gone = true }
    else
      a = a + 1
      set[key] = false
      unrank(at(leases), ARGV[a])
    end
  end
end
if tx > 0 then outcomes[tx] = outcome end
local letters = tx > 0 and string.char(unpack(outcomes)) or ''
answer[2] = letters
answer[3] = positions - 3
if find(letters, 'a', 1, true) then wrote = true end
`;
