import { array, type Infer, int16, int32, request, response, string } from "../schema.ts";

/** Kafka's DeleteGroupsRequest. */
export const deleteGroupsRequest = request(
  "DeleteGroups",
  42,
  { versions: "0-3", flexible: "2+" },
  { groupsNames: array(string()) },
);

export type DeleteGroupsRequest = Infer<typeof deleteGroupsRequest>;

/** Kafka's DeleteGroupsResponse. */
export const deleteGroupsResponse = response(
  "DeleteGroups",
  42,
  { versions: "0-3", flexible: "2+" },
  {
    throttleTimeMs: int32(),
    results: array({
      groupId: string(),
      errorCode: int16(),
      errorMessage: string({ versions: "3+", nullable: true, default: null, ignorable: true }),
    }),
  },
);

export type DeleteGroupsResponse = Infer<typeof deleteGroupsResponse>;
