import { describe, expect, it } from "vitest";
import type { Requirement } from "../state/queues.ts";
import type { FleetOffer } from "./fleet-view.ts";
import { waitsForAgent } from "./waits.ts";

const offer = (given: Partial<FleetOffer> = {}): FleetOffer => ({
  pool: "default",
  platform: "linux-x64",
  labels: {},
  agents: { task: 1, workflow: 1 },
  ...given,
});
const requirement = (given: Partial<Requirement> = {}): Requirement => ({
  kind: "task",
  pool: "default",
  targets: ["linux-x64"],
  labels: {},
  ...given,
});

describe("Why a task waits for an agent", () => {
  const cases: [string, Requirement, FleetOffer[], string][] = [
    ["nobody is there", requirement(), [], "no agent is connected"],
    [
      "nobody has slots",
      requirement({ kind: "workflow" }),
      [offer({ agents: { task: 1, workflow: 0 } })],
      "no connected agent has slots for workflows",
    ],
    ["the pool", requirement({ pool: "gpu" }), [offer()], "no connected agent serves pool 'gpu'"],
    [
      "the platform",
      requirement({ targets: ["darwin-arm64", "win32-x64"] }),
      [offer(), offer({ platform: "linux-arm64" }), offer({ pool: "x", platform: "win32-x64" })],
      "no connected agent of pool 'default' has the platform darwin-arm64 or win32-x64 (they have linux-arm64, linux-x64)",
    ],
    [
      "the Python",
      requirement({ targets: ["linux-x64 python>=3.11,<3.12", "darwin-arm64 python>=3.13"] }),
      [offer({ pythons: ["3.10.2", "3.12.1"] }), offer({ pythons: ["3.9.1"] })],
      "no connected agent of pool 'default' has python>=3.11,<3.12 (they have 3.10.2, 3.12.1, 3.9.1)",
    ],
    [
      "any Python",
      requirement({ targets: ["linux-x64 python>=3.11"] }),
      [offer()],
      "no connected agent of pool 'default' has python>=3.11 (they have none)",
    ],
    [
      "a label that none has",
      requirement({ labels: { gpu: "true", zone: "eu" } }),
      [offer({ labels: { zone: "eu" } }), offer({ platform: "win32-x64", labels: { gpu: "true" } })],
      "no connected agent of pool 'default' has the label gpu=true",
    ],
    [
      "a label's value",
      requirement({ labels: { zone: "eu" } }),
      [offer({ labels: { zone: "us" } })],
      "no connected agent of pool 'default' has the label zone=eu",
    ],
    [
      "labels that none has together",
      requirement({ labels: { gpu: "", zone: "eu" } }),
      [offer({ labels: { zone: "eu" } }), offer({ labels: { gpu: "" } })],
      "no connected agent of pool 'default' has the label gpu and zone=eu together",
    ],
    ["one that is busy", requirement(), [offer(), offer({ pool: "x" })], "1 agent could take it; it is busy"],
    [
      "several that are busy, also for a task that is kept for one of them",
      requirement({ agent: "agt_1" }),
      [offer({ agents: { task: 3, workflow: 3 } }), offer({ labels: { zone: "eu" } })],
      "4 agents could take it; all are busy",
    ],
  ];
  it.each(cases)("names what none has, from the pool on: %s", (_, asked, offers, text) => {
    expect(waitsForAgent(asked, offers)).toBe(text);
  });
});
