import { BROKER_COMMANDS } from "./broker-commands.ts";
import {
  ALTER_CONFIGS,
  type ControllerCommand,
  CREATE_PARTITIONS,
  CREATE_TOPICS,
  DELETE_TOPICS,
  ELECT_LEADERS,
  INCREMENTAL_ALTER_CONFIGS,
  UPDATE_FEATURES,
} from "./controller-commands.ts";
import { PARTITION_COMMANDS } from "./partition-commands.ts";
import { QUORUM_COMMANDS } from "./quorum-commands.ts";

/** All that the active controller decides for those who ask. */
export const CONTROLLER_COMMANDS: readonly ControllerCommand[] = [
  CREATE_TOPICS,
  CREATE_PARTITIONS,
  DELETE_TOPICS,
  ELECT_LEADERS,
  UPDATE_FEATURES,
  ALTER_CONFIGS,
  INCREMENTAL_ALTER_CONFIGS,
  ...PARTITION_COMMANDS,
  ...BROKER_COMMANDS,
  ...QUORUM_COMMANDS,
];
