/**
 * The topics in a consumer's metadata (ConsumerProtocolSubscription). Every version begins as version 0
 * does, so only that much is read, whatever comes after. Null when the bytes are something else.
 */
export function subscribedTopicsOf(metadata: Buffer): readonly string[] | null {
  if (metadata.length < 6 || metadata.readInt16BE(0) < 0) return null;
  const count = metadata.readInt32BE(2);
  const topics: string[] = [];
  let position = 6;
  for (let i = 0; i < count; i += 1) {
    if (position + 2 > metadata.length) return null;
    const length = metadata.readInt16BE(position);
    position += 2;
    if (length < 0 || position + length > metadata.length) return null;
    topics.push(metadata.toString("utf8", position, position + length));
    position += length;
  }
  return count < 0 ? null : topics;
}
