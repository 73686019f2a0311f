/** `String.hashCode` of Java: over UTF-16 code units, in int32 arithmetic. */
export function javaStringHash(text: string): number {
  let hash = 0;
  for (let i = 0; i < text.length; i += 1) hash = (Math.imul(31, hash) + text.charCodeAt(i)) | 0;
  return hash;
}

/**
 * The partition of a coordinator's topic that owns the id (protocol.md, Groups). The most negative
 * hash has no absolute value in int32: Kafka takes 0.
 */
export function coordinatorPartition(id: string, partitionCount: number): number {
  const hash = javaStringHash(id);
  return (hash === -(2 ** 31) ? 0 : Math.abs(hash)) % partitionCount;
}
