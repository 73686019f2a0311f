/** Kafka's Topic.MAX_NAME_LENGTH: with "-" and a partition it fits into a file name. */
const MAX_NAME_LENGTH = 249;
const LEGAL_NAME = /^[a-zA-Z0-9._-]*$/;

export const GROUP_METADATA_TOPIC = "__consumer_offsets";
export const TRANSACTION_STATE_TOPIC = "__transaction_state";
export const CLUSTER_METADATA_TOPIC = "__cluster_metadata";

const INTERNAL_TOPICS: ReadonlySet<string> = new Set([
  GROUP_METADATA_TOPIC,
  TRANSACTION_STATE_TOPIC,
  "__share_group_state",
]);

/** Topics that clients do not take for their own. */
export function isInternalTopic(name: string): boolean {
  return INTERNAL_TOPICS.has(name);
}

/** Why a topic may not have this name, in Kafka's words; null when it may. */
export function topicNameProblem(name: string): string | null {
  const reason = reasonOf(name);
  return reason === null ? null : `Topic name is invalid: ${reason}`;
}

function reasonOf(name: string): string | null {
  if (name === "") return "the empty string is not allowed";
  if (name === "." || name === "..") return `'${name}' is not allowed`;
  if (name.length > MAX_NAME_LENGTH) {
    return `the length of '${name}' is longer than the max allowed length ${MAX_NAME_LENGTH}`;
  }
  if (!LEGAL_NAME.test(name)) {
    return (
      `'${name}' contains one or more characters other than ` +
      "ASCII alphanumerics, '.', '_' and '-'"
    );
  }
  return null;
}

/** Metrics write "." as "_", so that names which differ only there would meet. */
export function hasCollisionCharacters(name: string): boolean {
  return name.includes(".") || name.includes("_");
}

/** Equal for two names that would meet. */
export function unifyCollisionCharacters(name: string): string {
  return name.replaceAll(".", "_");
}
