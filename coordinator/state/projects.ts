import { type Partition, partitionAt, partitionFor } from "#shared/domain/ids.ts";

/** Where a project's registry is: its record, releases and triggers. */
export const projectPartition = (partitions: number, project: string): Partition =>
  partitionFor(partitions, "project", project);

export const allPartitions = (partitions: number): readonly Partition[] =>
  Array.from({ length: partitions }, (_, index) => partitionAt(index));
