import { array, type Infer, int16, int32, request, response, string } from "../schema.ts";

/** Kafka's ListGroupsRequest. */
export const listGroupsRequest = request(
  "ListGroups",
  16,
  { versions: "0-5", flexible: "3+" },
  {
    statesFilter: array(string(), { versions: "4+" }),
    typesFilter: array(string(), { versions: "5+" }),
  },
);

export type ListGroupsRequest = Infer<typeof listGroupsRequest>;

/** Kafka's ListGroupsResponse. */
export const listGroupsResponse = response(
  "ListGroups",
  16,
  { versions: "0-5", flexible: "3+" },
  {
    throttleTimeMs: int32({ versions: "1+", ignorable: true }),
    errorCode: int16(),
    groups: array({
      groupId: string(),
      protocolType: string(),
      groupState: string({ versions: "4+", ignorable: true }),
      groupType: string({ versions: "5+", ignorable: true }),
    }),
  },
);

export type ListGroupsResponse = Infer<typeof listGroupsResponse>;
