import { type Uuid, ZERO_UUID } from "../../base/ids.ts";
import { errorCode } from "../../protocol/errors.ts";
import type { DeleteTopicsResponse } from "../../protocol/messages/20-delete-topics.ts";
import { type ControllerResult, itemError, type ItemError, metadataRecord } from "./controller.ts";
import type { MetadataImage } from "./image.ts";

export type DeletableTopicResult = DeleteTopicsResponse["responses"][number];

/** A topic by its name or, where the name is null, by its id. */
export interface TopicReference {
  readonly name: string | null;
  readonly topicId: Uuid;
}

/**
 * DeleteTopics, with Kafka's errors and words (ControllerApis). A reference that is given twice, by
 * whichever way, is refused and deletes nothing. Results come in the request's order.
 */
export function deleteTopics(
  image: MetadataImage,
  references: readonly TopicReference[],
): ControllerResult<readonly DeletableTopicResult[]> {
  const counts = new Map<string, number>();
  for (const reference of references) {
    const key = referenceKey(reference);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const given: Given = {
    names: new Set(references.flatMap(({ name }) => name ?? [])),
    ids: new Set(references.flatMap(({ name, topicId }) => (name === null ? [topicId] : []))),
  };
  const records: Buffer[] = [];
  const answered = new Set<string>();
  const answer: DeletableTopicResult[] = [];
  for (const reference of references) {
    const key = referenceKey(reference);
    if (answered.has(key)) continue;
    answered.add(key);
    const isRepeated = (counts.get(key) ?? 0) > 1;
    const found = isRepeated ? repeatedError(reference) : find(image, reference, given);
    if ("message" in found) {
      answer.push(refusedDeletion(reference, found));
    } else {
      records.push(metadataRecord("removeTopic", { topicId: found.topicId }));
      answer.push({ ...found, errorCode: 0, errorMessage: null });
    }
  }
  return { records, answer };
}

/** A topic that was not deleted. */
export function refusedDeletion(reference: TopicReference, error: ItemError): DeletableTopicResult {
  return { ...reference, errorCode: errorCode(error.name), errorMessage: error.message };
}

function referenceKey({ name, topicId }: TopicReference): string {
  return name === null ? `id ${topicId}` : `name ${name} ${topicId}`;
}

function repeatedError({ name, topicId }: TopicReference): ItemError {
  if (name === null && topicId === ZERO_UUID) return unnamed();
  return itemError("INVALID_REQUEST", `Duplicate topic ${name === null ? "id" : "name"}.`);
}

/** What the request names, each way. */
interface Given {
  readonly names: ReadonlySet<string>;
  readonly ids: ReadonlySet<Uuid>;
}

function unnamed(): ItemError {
  return itemError("INVALID_REQUEST", "Neither topic name nor id were specified.");
}

function find(
  image: MetadataImage,
  { name, topicId }: TopicReference,
  given: Given,
): { readonly name: string; readonly topicId: Uuid } | ItemError {
  if (name === null) {
    if (topicId === ZERO_UUID) return unnamed();
    const topic = image.topicsById.get(topicId);
    if (topic === undefined) return itemError("UNKNOWN_TOPIC_ID");
    return given.names.has(topic.name)
      ? itemError("INVALID_REQUEST", "The provided topic id maps to a name that was supplied, too.")
      : pick(topic);
  }
  if (topicId !== ZERO_UUID) {
    return itemError("INVALID_REQUEST", "You may not specify both topic name and topic id.");
  }
  const topic = image.topicsByName.get(name);
  if (topic === undefined) return itemError("UNKNOWN_TOPIC_OR_PARTITION");
  if (given.ids.has(topic.topicId)) {
    return itemError(
      "INVALID_REQUEST",
      "The provided topic name maps to an ID that was already supplied.",
    );
  }
  return pick(topic);
}

function pick({ name, topicId }: { readonly name: string; readonly topicId: Uuid }) {
  return { name, topicId };
}
