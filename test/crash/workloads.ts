import { FAULT_WORKLOADS } from "./fault-workloads.ts";
import { LONG_WORKLOADS } from "./long-workloads.ts";
import { SHORT_WORKLOADS } from "./short-workloads.ts";
import type { Workload } from "./workload.ts";

export const WORKLOADS: readonly Workload[] = [
  ...SHORT_WORKLOADS,
  ...FAULT_WORKLOADS,
  ...LONG_WORKLOADS,
];
