import type { Partition, RunId } from "#shared/domain/ids.ts";
import type { Transaction } from "./engine/engine.ts";
import type { Fleet } from "./fleet/fleet.ts";
import type { Growth } from "./growth.ts";
import type { Logs } from "./logs/logs.ts";
import { type News, Peers, type PeersDeps } from "./peers.ts";
import type { ProgressBoard } from "./progress.ts";

interface JoinPeers extends Pick<PeersDeps, "engine" | "clock" | "random" | "partitions" | "logger"> {
  readonly fleet: Fleet;
  readonly growth: Growth;
  readonly logs: Logs;
  readonly progress: ProgressBoard;
  /** Looks for what others made in a partition. */
  readonly lookAt: (partition: Partition) => Promise<void>;
}

/** What other coordinators tell, given to whom it concerns. */
export function joinPeers(deps: JoinPeers): Peers {
  const { fleet, growth, logs, progress } = deps;
  const onNews: PeersDeps["onNews"] = (partition, news) => {
    switch (news.t) {
      case "journal":
        fleet.onGrown(news.run);
        growth.grew(news.run);
        return;
      case "logs":
        return logs.onGrown(news.run);
      case "queue":
        return fleet.matching.sawQueue(partition, news.queue);
      case "stop":
        return void fleet.stopLease(news);
      case "session":
        return fleet.onSession(news.agent, news.session);
      case "progress":
        return progress.hear(news, news);
    }
  };
  const onLost: PeersDeps["onLost"] = (partition) => {
    fleet.onLost(partition);
    void deps.lookAt(partition);
  };
  return new Peers({ ...deps, onNews, onLost });
}

/** What a batch tells other coordinators: journals and logs that it appends to, and queues that it leaves filled. */
export function* newsOf(batch: readonly Transaction[], filled: Iterable<string>): Generator<News> {
  const grown = new Set<string>();
  for (const { writes } of batch) {
    for (const write of writes) if (write.kind === "append") grown.add(write.log.slice(write.log.indexOf("}") + 1));
  }
  for (const log of grown) {
    if (log.startsWith("journal/")) yield { t: "journal", run: log.slice("journal/".length) as RunId };
    if (log.startsWith("outputs/")) yield { t: "logs", run: log.slice("outputs/".length) as RunId };
  }
  for (const queue of filled) yield { t: "queue", queue };
}
