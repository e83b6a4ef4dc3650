/** Every bound has a name here. Sizes in bytes, times in milliseconds. */
export const limits = {
  /** One WebSocket message of the agent protocol, either way. */
  frameBytesMax: 1024 * 1024,
  /** One line of the task protocol. */
  programLineBytesMax: 4 * 1024 * 1024,
  /** An HTTP request body that is not a blob. */
  requestBytesMax: 1024 * 1024,
  /** A value that travels and is stored inline; beyond it is a blob. */
  inlineBytesMax: 16 * 1024,
  /** Inline values of one run together; beyond it further values are blobs. */
  runInlineBytesMax: 8 * 1024 * 1024,
  /** An encoded value, as a blob. */
  valueBytesMax: 64 * 1024 * 1024,
  /** A `file` value, and a binary. */
  fileBytesMax: 5 * 1024 ** 3,
  manifestBytesMax: 1024 * 1024,
  nameCharsMax: 100,
  callKeyCharsMax: 200,
  labelsMax: 64,
  refsPerCallMax: 256,
  callsWarnAt: 10_000,
  callsMax: 50_000,
  signalsBufferedMax: 1_000,
  crashesWithoutProgressMax: 5,
  /** Attempts of a task in a row that were lost with their agents, before it is taken to be what ends these. */
  lossesInRowMax: 5,
  journalPageBytes: 256 * 1024,
  batchMovesMax: 100,
  batchBytesMax: 256 * 1024,
  /** Records that one move reads and sets: room for a call with `refsPerCallMax` refs. */
  moveRecordsMax: 300,
  batchesInFlightMax: 3,
  conflictsMax: 8,
  logBytesPerTaskMax: 4 * 1024 * 1024,
  logFileBytesMax: 256 * 1024 * 1024,
  leaseTtlMs: 30_000,
  grantHoldMs: 5_000,
  parkAfterMs: 2_000,
  cancelGraceMs: 30_000,
  killGraceMs: 5_000,
  attemptTimeoutMs: 24 * 3600_000,
  workflowSlotsPerCore: 4,
  runsPerWorkflowProcessMax: 64,
  prefetchMax: 64,
  retryAttemptsMax: 1_000,
  idempotencyKeyCharsMax: 255,
  pageRowsMax: 500,
  stackCharsMax: 8_000,
  messageCharsMax: 8_000,
} as const;
