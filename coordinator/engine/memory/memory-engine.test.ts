import { describeEngine } from "../contract.ts";
import { createMemoryEngine } from "./memory-engine.ts";

describeEngine("memory", createMemoryEngine);
