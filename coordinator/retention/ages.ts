import { limits } from "#shared/domain/limits.ts";

/** How long things are kept, in milliseconds; `Infinity` is for ever. */
export interface Ages {
  /** A run with all that is of it, from its end. */
  readonly runsMs: number;
  /** The output of a task, from its archiving. */
  readonly logsMs: number;
  /** An event, from its acceptance: waits look back so far, and its id is known for so long. At least 15 minutes. */
  readonly eventsMs: number;
  /** What is known of an agent, from its last disconnection. */
  readonly agentsMs: number;
  /** A release that no run needs, from when another took its place. The newest of a project are kept whatever their age. */
  readonly releasesMs: number;
  readonly auditMs: number;
  /** A blob that nothing refers to, from when it was last put, asked for or referred to. At least 24 hours. */
  readonly blobsMs: number;
}

export const defaultAges: Ages = {
  runsMs: limits.keepRunsMs,
  logsMs: limits.keepLogsMs,
  eventsMs: limits.keepEventsMs,
  agentsMs: limits.keepAgentsMs,
  releasesMs: limits.keepReleasesMs,
  auditMs: limits.keepAuditMs,
  blobsMs: limits.keepBlobsMs,
};
