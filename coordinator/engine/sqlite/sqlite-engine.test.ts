import { describeEngine } from "../contract.ts";
import { createSqliteEngine } from "./sqlite-engine.ts";

describeEngine("sqlite", ({ clock }) => createSqliteEngine({ file: ":memory:", clock }));
