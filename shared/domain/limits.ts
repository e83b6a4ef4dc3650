/** Every bound has a name here. Sizes in bytes, times in milliseconds. */
export const limits = {
  /** One WebSocket message of the agent protocol, either way. */
  frameBytesMax: 1024 * 1024,
  /** What waits to be taken by one agent's connection. */
  outboundBytesMax: 16 * 1024 * 1024,
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
  /** Files that a value too large to be inline names. */
  filesPerValueMax: 1_000,
  manifestBytesMax: 1024 * 1024,
  /** One file of schemas that code is generated from. */
  schemaFileBytesMax: 4 * 1024 * 1024,
  /** Files of schemas that code is generated from at once. */
  schemaFilesMax: 10_000,
  nameCharsMax: 100,
  callKeyCharsMax: 200,
  labelsMax: 64,
  /** Refs that a call names itself; the keys of more are a value of their own. */
  refsInlineMax: 256,
  refsPerCallMax: 50_000,
  /** The outputs of one call's refs, when they travel as a blob. */
  refsBytesMax: 128 * 1024 * 1024,
  callsWarnAt: 10_000,
  callsMax: 50_000,
  signalsBufferedMax: 1_000,
  crashesWithoutProgressMax: 5,
  /** Attempts of a task in a row that were lost with their agents, before it is taken to be what ends these. */
  lossesInRowMax: 5,
  journalPageBytes: 256 * 1024,
  /** Journals that an agent keeps in memory for workflows that wake. */
  journalsKeptBytesMax: 64 * 1024 * 1024,
  batchMovesMax: 100,
  batchBytesMax: 256 * 1024,
  /** Records that one move reads and sets: room for a call with `refsInlineMax` refs. */
  moveRecordsMax: 300,
  batchesInFlightMax: 3,
  conflictsMax: 8,
  /** How long a command to Redis is waited for; beyond, its outcome is unknown. */
  engineTimeoutMs: 5_000,
  logBytesPerTaskMax: 4 * 1024 * 1024,
  logFileBytesMax: 256 * 1024 * 1024,
  leaseTtlMs: 30_000,
  grantHoldMs: 5_000,
  parkAfterMs: 2_000,
  cancelGraceMs: 30_000,
  killGraceMs: 5_000,
  /** What an attempt that must not outlast its lease has to end in, before the task is granted anew. */
  leaseLostMarginMs: 5_000,
  attemptTimeoutMs: 24 * 3600_000,
  workflowSlotsPerCore: 4,
  runsPerWorkflowProcessMax: 64,
  prefetchMax: 256,
  /** Tasks that a limit can allow to be ready or running at once. */
  slotsPerLimitMax: 1_000,
  /** Tasks waiting under one limit that are counted before it is taken to be more. */
  waitersCountedMax: 10_000,
  retryAttemptsMax: 1_000,
  idempotencyKeyCharsMax: 255,
  pageRowsMax: 500,
  /** Runs that one request looks at for those that its filter lets through. */
  runsLookedAtMax: 2_000,
  /** Agents that are looked at to say why a task waits. */
  agentsLookedAtMax: 10_000,
  /** How long a coordinator believes a token's record that it has read: another may have revoked it since. */
  tokenBelievedMs: 3_000,
  /** Uploads of more than this to S3 go in parts of it. At least 5 MiB, and at most 10,000 of them. */
  blobPartBytes: 8 * 1024 * 1024,
  /** Parts of one upload to S3 that are on their way at a time. */
  blobPartsInFlight: 2,
  /** Uploads to S3 through a coordinator at a time; further ones wait. */
  blobUploadsMax: 16,
  /** Questions for blobs to S3 at a time, of one coordinator. */
  blobLooksMax: 64,
  /** Connections of one coordinator to S3. */
  blobConnectionsMax: 256,
  blobConnectMs: 5_000,
  /** Silence on a connection to a blob store after which it is given up. */
  blobIdleMs: 30_000,
  blobTriesMax: 5,
  /** The same two of a coordinator that starts and of `salt doctor`, for which somebody waits. */
  blobCheckIdleMs: 5_000,
  blobCheckTriesMax: 2,
  /** Age at which an upload in parts that was not completed is taken to be of a coordinator that was killed. */
  blobUploadAgeMs: 24 * 3600_000,
  /** How long a presigned request may be begun. */
  presignedTtlMs: 5 * 60_000,
  /** How long a blob goes through the coordinator after it failed to go straight to the store. */
  directPauseMs: 60_000,
  /** Ages: how long things are kept, when nothing else is asked for. */
  keepRunsMs: 30 * 24 * 3600_000,
  keepLogsMs: 14 * 24 * 3600_000,
  keepEventsMs: 24 * 3600_000,
  keepAgentsMs: 30 * 24 * 3600_000,
  keepReleasesMs: 90 * 24 * 3600_000,
  keepAuditMs: 365 * 24 * 3600_000,
  /** A blob from when it was last used on, that nothing refers to; also the least that can be asked for. */
  keepBlobsMs: 24 * 3600_000,
  /** The least time for which events are kept: waits look back so far. */
  keepEventsLeastMs: 15 * 60_000,
  /** The newest releases of a project, which are kept whatever their age. */
  keepReleasesNewest: 20,
  stackCharsMax: 8_000,
  messageCharsMax: 8_000,
} as const;
