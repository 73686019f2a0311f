import type { Uuid } from "../../base/ids.ts";
import { type MetadataImage, type TopicImage, topicOverrides } from "./image.ts";
import type { TopicConfigs } from "./topic-configs.ts";

/** What the settings of a topic say about who may lead its partitions. */
export interface PartitionRules {
  readonly minInsyncReplicas: number;
  /** R7, R-18: a replica that may lack committed records may lead when no other can. */
  readonly isUncleanElectionEnabled: boolean;
  /** Whether replicas that left the ISR, but have all that is committed, are kept in mind (KIP-966). */
  readonly isElrEnabled: boolean;
}

export type RulesOf = (topic: TopicImage) => PartitionRules;

const ELR_FEATURE = "eligible.leader.replicas.version";

/** The rules of an image's topics, each worked out once. `topicConfigs` has the controller's settings. */
export function partitionRules(image: MetadataImage, topicConfigs: TopicConfigs): RulesOf {
  const underImage = topicConfigs.under(image);
  const isElrEnabled = (image.features.get(ELR_FEATURE) ?? 0) > 0;
  const known = new Map<Uuid, PartitionRules>();
  return ({ name, topicId }) => {
    let rules = known.get(topicId);
    if (rules === undefined) {
      const config = underImage.effective(topicOverrides(image, name));
      rules = {
        minInsyncReplicas: config["min.insync.replicas"],
        isUncleanElectionEnabled: config["unclean.leader.election.enable"],
        isElrEnabled,
      };
      known.set(topicId, rules);
    }
    return rules;
  };
}
