import { array, type Infer, int16, int32, int8, request, response, string } from "../schema.ts";

/** Kafka's CreateAclsRequest. */
export const createAclsRequest = request(
  "CreateAcls",
  30,
  { versions: "1-3", flexible: "2+" },
  {
    creations: array({
      resourceType: int8(),
      resourceName: string(),
      resourcePatternType: int8({ default: 3 }),
      principal: string(),
      host: string(),
      operation: int8(),
      permissionType: int8(),
    }),
  },
);

export type CreateAclsRequest = Infer<typeof createAclsRequest>;

/** Kafka's CreateAclsResponse. */
export const createAclsResponse = response(
  "CreateAcls",
  30,
  { versions: "1-3", flexible: "2+" },
  {
    throttleTimeMs: int32(),
    results: array({ errorCode: int16(), errorMessage: string({ nullable: true }) }),
  },
);

export type CreateAclsResponse = Infer<typeof createAclsResponse>;
