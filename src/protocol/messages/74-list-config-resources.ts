import { array, type Infer, int16, int32, int8, request, response, string } from "../schema.ts";

/** Kafka's ListConfigResourcesRequest. */
export const listConfigResourcesRequest = request(
  "ListConfigResources",
  74,
  { versions: "0-1", flexible: "0+" },
  { resourceTypes: array(int8(), { versions: "1+" }) },
);

export type ListConfigResourcesRequest = Infer<typeof listConfigResourcesRequest>;

/** Kafka's ListConfigResourcesResponse. */
export const listConfigResourcesResponse = response(
  "ListConfigResources",
  74,
  { versions: "0-1", flexible: "0+" },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    configResources: array({
      resourceName: string(),
      resourceType: int8({ versions: "1+", default: 16, ignorable: true }),
    }),
  },
);

export type ListConfigResourcesResponse = Infer<typeof listConfigResourcesResponse>;
