import { array, type Infer, int16, int32, int8, request, response, string } from "../schema.ts";

/** Kafka's DescribeAclsRequest. */
export const describeAclsRequest = request(
  "DescribeAcls",
  29,
  { versions: "1-3", flexible: "2+" },
  {
    resourceTypeFilter: int8(),
    resourceNameFilter: string({ nullable: true }),
    patternTypeFilter: int8({ default: 3 }),
    principalFilter: string({ nullable: true }),
    hostFilter: string({ nullable: true }),
    operation: int8(),
    permissionType: int8(),
  },
);

export type DescribeAclsRequest = Infer<typeof describeAclsRequest>;

/** Kafka's DescribeAclsResponse. */
export const describeAclsResponse = response(
  "DescribeAcls",
  29,
  { versions: "1-3", flexible: "2+" },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    errorMessage: string({ nullable: true }),
    resources: array({
      resourceType: int8(),
      resourceName: string(),
      patternType: int8({ default: 3 }),
      acls: array({
        principal: string(),
        host: string(),
        operation: int8(),
        permissionType: int8(),
      }),
    }),
  },
);

export type DescribeAclsResponse = Infer<typeof describeAclsResponse>;
