import { describeFailovers } from "./describe-seeds.ts";

describeFailovers(1, 40);
