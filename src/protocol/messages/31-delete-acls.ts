import { array, type Infer, int16, int32, int8, request, response, string } from "../schema.ts";

/** Kafka's DeleteAclsRequest. */
export const deleteAclsRequest = request(
  "DeleteAcls",
  31,
  { versions: "1-3", flexible: "2+" },
  {
    filters: array({
      resourceTypeFilter: int8(),
      resourceNameFilter: string({ nullable: true }),
      patternTypeFilter: int8({ default: 3 }),
      principalFilter: string({ nullable: true }),
      hostFilter: string({ nullable: true }),
      operation: int8(),
      permissionType: int8(),
    }),
  },
);

export type DeleteAclsRequest = Infer<typeof deleteAclsRequest>;

/** Kafka's DeleteAclsResponse. */
export const deleteAclsResponse = response(
  "DeleteAcls",
  31,
  { versions: "1-3", flexible: "2+" },
  {
    throttleTimeMs: int32(),
    filterResults: array({
      errorCode: int16(),
      errorMessage: string({ nullable: true }),
      matchingAcls: array({
        errorCode: int16(),
        errorMessage: string({ nullable: true }),
        resourceType: int8(),
        resourceName: string(),
        patternType: int8({ default: 3 }),
        principal: string(),
        host: string(),
        operation: int8(),
        permissionType: int8(),
      }),
    }),
  },
);

export type DeleteAclsResponse = Infer<typeof deleteAclsResponse>;
