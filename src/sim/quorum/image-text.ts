import type { MetadataImage } from "../../server/metadata/image.ts";

/** All that an image holds but its place in the log, the same text for the same state. */
export function imageText(image: MetadataImage): string {
  const { features, brokers, controllers, topicsById, configs, nextProducerId } = image;
  return JSON.stringify({
    features: sorted(features),
    brokers: sorted(brokers),
    controllers: sorted(controllers),
    topics: sorted(topicsById),
    configs: sorted(configs).map(([key, config]) => [key, sorted(config)]),
    nextProducerId,
  });
}

function sorted<K extends string | number, V>(map: ReadonlyMap<K, V>): [string, V][] {
  return [...map]
    .map(([key, value]): [string, V] => [String(key), value])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
