import { claimPart } from "./claim.ts";
import { gatheredPart } from "./gathered.ts";
import { stepsPart } from "./steps.ts";

const head = String.raw`#!lua
-- commit: checks and writes of all transactions of a batch, then its claim.
--
-- KEYS  1      <space>e{partition}: what the engine itself knows of the partition, a hash: now, fence, server, trimmed.
--       2...   those that the operands K below name. All are of the partition's slot.
-- ARGV  1      the program: a letter for each step and, where it has an operand K, that key's number, in three characters
--              from ' ' to '~' with the value 0 to 94. Operands A follow in ARGV.
--       2      a time in ms that has passed for sure, as the caller has heard and counted on, or ''.
--       3      the time in ms in place of TIME (tests), or ''.
--       4      who the server is (run id and replication id), or ''.
--       5      '1' where hints to the partition's own channel go to its shard.
--       6...   operands A.
-- Steps |              begins a transaction       > A earlier     it relies on that one (counted from 1)
--       a K            no such record             s K A           its stamp (A with a newline after it)
--       c K            it is a counter            e K A           the log ends at position A
--       f K A          index has fewer than A     m K A A         ... or has this member
--       S K A          sets "stamp\nvalue"        D K             deletes record, counter or log
--       L K A          deletes lease of member    N K A           adds to a counter
--       R K A A        ranks score member         V K A A A       ... with a value
--       U K A          unranks member             P K A           appends to a log
--       Y K A          trims a log through A
--       E K A A        enqueues score member      Q K A           dequeues member
--       H A A          holds member for ms        I K A A A A     ... with state and holder, in JSON or ''
--       X K A          releases lease of member   G A A           hints channel, note
--       C A A          claim: hold for ms, n queues; n times A A (key's number, name in JSON); A (wants); for each want
--                      A A A: holder in JSON, how many, which of the queues, from 1, with blanks between
--       A score "+n" counts from now.
-- Returns {now, outcomes, p, p positions ..., then for each grant: want, queue (from 1), member, fence}; outcomes has a
-- letter a transaction: a applied, c conflict, u unmet, s skipped. An error "NOTACOUNTER key" when a record is added to.
local call, byte, sub, find = redis.call, string.byte, string.sub, string.find
local format, floor, tonumber, unpack = string.format, math.floor, tonumber, unpack
local prog, n = ARGV[1], #ARGV[1]
local a, pc = 5, 1
local space, tag = string.match(KEYS[1], '^(.*)e({[^}]*})$')
local record, index = space .. 'r' .. tag, space .. 'i' .. tag
local leases, pausedKey = index .. 'leases', record .. 'paused'

-- Time never goes back: not before what is stored, nor, when the server's clock was set back, before what has passed.
local stored = call('HMGET', KEYS[1], 'now', 'fence', 'server', 'trimmed')
local now, micros
if ARGV[3] == '' then
  local time = call('TIME')
  micros = time[1] * 1000000 + time[2]
  now = floor(micros / 1000)
  if ARGV[2] ~= '' and ARGV[2] - now > 1000 then now = tonumber(ARGV[2]) micros = now * 1000 end
else
  now = tonumber(ARGV[3])
  if ARGV[2] ~= '' and tonumber(ARGV[2]) > now then now = tonumber(ARGV[2]) end
  micros = now * 1000
end
if stored[1] and tonumber(stored[1]) > now then now = tonumber(stored[1]) micros = now * 1000 end
local nowText = format('%.0f', now)
local fence = stored[2] and tonumber(stored[2]) or 0
local wrote = false

-- Another server, or one that began anew, may have forgotten what it acknowledged: a new epoch, in which no lease of
-- before holds and all fences are higher, by a minute, which two servers' clocks may differ.
if ARGV[4] ~= '' and stored[3] ~= ARGV[4] then
  if stored[3] then
    local was = call('GET', record .. 'epoch')
    local epoch = was and tonumber(string.match(was, '^epoch%.(%d+)')) + 1 or 1
    fence = math.max(fence, micros) + 60000000
    local first = format('%.0f', fence + 1)
    call('SET', record .. 'epoch', 'epoch.' .. epoch .. '\n{"epoch":' .. epoch .. ',"fence":' .. first .. '}')
    call('ZUNIONSTORE', leases, 1, leases, 'WEIGHTS', 0)
  end
  call('HSET', KEYS[1], 'server', ARGV[4])
  wrote = true
end
`;

/**
 * The one script that writes. A text in modules, so that what is bundled has it too.
 *
 * What a batch writes is gathered and written at the end in as few Redis commands as there are kinds and keys, for each
 * command costs about as much as ten gathered writes; what a check reads is written before it is read.
 */
export const commitScript = [head, gatheredPart, stepsPart, claimPart].join("");
