import { APIS } from "../../protocol/apis.ts";
import { errorCode } from "../../protocol/errors.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";
import {
  BROKER_LOGGER_RESOURCE,
  BROKER_RESOURCE,
  CLIENT_METRICS_RESOURCE,
  GROUP_RESOURCE,
  type MetadataImage,
  namesWithConfigs,
  TOPIC_RESOURCE,
} from "../metadata/image.ts";

// ListConfigResources, versions 0-1 (KIP-1142): 0 lists the subscriptions of client metrics; 1 what has or
// may have settings, of the types that are asked for, or of all: groups and subscriptions that have some,
// every broker and every topic.

/** In Kafka's order. */
const TYPES = [
  GROUP_RESOURCE,
  CLIENT_METRICS_RESOURCE,
  BROKER_LOGGER_RESOURCE,
  BROKER_RESOURCE,
  TOPIC_RESOURCE,
] as const;

export function listConfigResourcesHandler(dependencies: {
  readonly image: () => MetadataImage;
}): TypedApiHandler<
  typeof APIS.listConfigResources.request,
  typeof APIS.listConfigResources.response
> {
  return handlerFor(APIS.listConfigResources, ({ resourceTypes }, { apiVersion }) => {
    const asked = apiVersion === 0 ? [CLIENT_METRICS_RESOURCE] : resourceTypes;
    const isKnown = asked.every((type) => TYPES.some((known) => known === type));
    const image = dependencies.image();
    const types = TYPES.filter((type) => asked.length === 0 || asked.includes(type));
    return {
      throttleTimeMs: 0,
      errorCode: isKnown ? 0 : errorCode("UNSUPPORTED_VERSION"),
      configResources: isKnown
        ? types.flatMap((resourceType) =>
            namesOf(image, resourceType).map((resourceName) => ({ resourceName, resourceType })),
          )
        : [],
    };
  });
}

function namesOf(image: MetadataImage, resourceType: (typeof TYPES)[number]): readonly string[] {
  switch (resourceType) {
    case TOPIC_RESOURCE:
      return [...image.topicsByName.keys()];
    case BROKER_RESOURCE:
    case BROKER_LOGGER_RESOURCE:
      return [...image.brokers.keys()].map(String);
    case GROUP_RESOURCE:
    case CLIENT_METRICS_RESOURCE:
      return namesWithConfigs(image, resourceType);
  }
}
