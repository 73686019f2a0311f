import { APIS } from "../../../src/protocol/apis.ts";

/** The APIs whose answers are compared. */
export const RECORDED_APIS = {
  createTopics: APIS.createTopics,
  describeConfigs: APIS.describeConfigs,
  alterConfigs: APIS.alterConfigs,
  incrementalAlterConfigs: APIS.incrementalAlterConfigs,
  listConfigResources: APIS.listConfigResources,
} as const;

export type ApiName = keyof typeof RECORDED_APIS;

/** What a node answered to one case. */
export interface RecordedAnswer {
  readonly name: string;
  /** null: it closed the connection. */
  readonly response: unknown;
}
