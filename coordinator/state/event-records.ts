import { type Partition, sha256 } from "#shared/domain/ids.ts";
import type { Value } from "#shared/protocol/common.ts";
import { type Key, keyIn } from "../engine/engine.ts";

/** Events of one name of a project, which are accepted into one log. */
export interface Topic {
  readonly partition: Partition;
  readonly project: string;
  readonly name: string;
}

export interface StoredEvent {
  readonly id: string;
  readonly value: Value;
  readonly by: string;
}

/** How far the events of a topic have been taken to the waits that they match. */
export interface CursorRecord {
  readonly position: number;
}

/** Of a topic that has events: since when. With its last event all is forgotten, and positions begin again. */
export interface TopicRecord {
  readonly sinceMs: number;
}

export const topicMember = ({ project, name }: Topic): string => `${project}/${name}`;
export const eventsLog = (topic: Topic): Key => keyIn(topic.partition, `events/${topicMember(topic)}`);
export const cursorKey = (topic: Topic): Key => keyIn(topic.partition, `events-cursor/${topicMember(topic)}`);
export const topicKey = (topic: Topic): Key => keyIn(topic.partition, `topic/${topicMember(topic)}`);
/** Says that an event has come, by its sender's id. */
export const seenKey = (topic: Topic, id: string): Key =>
  keyIn(topic.partition, `event/${topicMember(topic)}/${sha256(id)}`);
/** Topics that have a log, by when it is next looked for events that are past their time. */
export const topicsIndex = (partition: Partition): Key => keyIn(partition, "kept/topics");
/** Topics with events that have not been taken to all waits yet. */
export const walksIndex = (partition: Partition): Key => keyIn(partition, "walks");

export function parseTopic(partition: Partition, member: string): Topic {
  const [project = "", name = ""] = member.split("/");
  return { partition, project, name };
}

export const eventOwner = (topic: Topic, id: string): string => `event:${topicMember(topic)}/${sha256(id)}`;
