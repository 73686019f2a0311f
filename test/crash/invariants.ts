import type { ExpectedLog, History, KnownBatch } from "./history.ts";
import type { FoundLog, Outcome } from "./probe.ts";

/**
 * What is wrong with an outcome, given what was done and promised before the cut: "id: what", with
 * the ids of docs/reliability.md. `cut` says what had to survive: after the death of the process all
 * that was written (R1), after a power cut all that was durable.
 */
export function violationsOf(
  history: History,
  outcome: Outcome,
  cut: "process" | "power",
): string[] {
  return [
    ...outcome.violations,
    ...history.retries.map((what) => `S8: it had failed, and was made again: ${what}`),
    ...[...history.logs.values()].flatMap((log) => logViolations(log, outcome, cut)),
    ...unknownLogs(history, outcome),
    ...cleanStopViolations(history, outcome),
    ...metadataViolations(history, outcome),
  ];
}

function logViolations(log: ExpectedLog, outcome: Outcome, cut: "process" | "power"): string[] {
  const found = outcome.logs.get(log.id.topicId);
  // S7: what counts as written is in the page cache, not in a buffer of the process that has died.
  const { id, surviving, safeLoss } =
    cut === "process"
      ? { id: "S7", surviving: log.writtenEnd, safeLoss: 0 }
      : { id: "S4", surviving: log.durableEnd, safeLoss: log.flushMessages - 1 };
  const say = (text: string): string => `${text} (${log.key})`;
  if (log.life === "deleted") {
    return found === undefined ? [] : [say("S15: a deleted topic is back")];
  }
  if (found === undefined) {
    const isMissed = log.life === "live" && surviving > log.startMust;
    return isMissed ? [say(`${id}: the log is gone, and ${surviving} had to survive`)] : [];
  }
  if (log.life === "deleting") return contentViolations(log, found).map(say);
  const faults: string[] = [];
  if (found.endOffset < surviving) {
    faults.push(`${id}: it ends at ${found.endOffset}, and ${surviving} had to survive`);
  }
  if (found.endOffset + safeLoss < log.safeEnd) {
    faults.push(`S5: it ends at ${found.endOffset}, and ${log.safeEnd} counted as safe`);
  }
  if (found.flushedEnd !== found.endOffset) {
    faults.push(`S5: it ends at ${found.endOffset}, flushed up to ${found.flushedEnd}`);
  }
  if (found.startOffset < log.startMust) {
    faults.push(`S15: records from ${found.startOffset} to ${log.startMust} are back`);
  }
  if (found.startOffset > log.startMay && found.startOffset !== log.restartOffset) {
    faults.push(`S13: it starts at ${found.startOffset}, at most ${log.startMay} was allowed`);
  }
  return [...faults, ...moveViolations(log, found, outcome), ...contentViolations(log, found)].map(
    say,
  );
}

/** S15: a move that has begun is begun anew; one that is over stays so. */
function moveViolations(
  { movedTo, movingTo }: ExpectedLog,
  found: FoundLog,
  { moves }: Outcome,
): string[] {
  const faults: string[] = [];
  if (movedTo !== null && found.path !== movedTo) {
    faults.push(`S15: it was moved to ${movedTo}, and lies in ${found.path}`);
  }
  if (movingTo !== null && !moves.some(({ path }) => path === movingTo)) {
    faults.push(`S15: the move to ${movingTo} had begun, and is forgotten`);
  }
  return faults;
}

/** S1, S3, S14, S17: byte for byte what was appended, in order, from the start to some border. */
function contentViolations(log: ExpectedLog, found: FoundLog): string[] {
  const faults: string[] = [];
  let endOffset = -1;
  for (const batch of found.batches) {
    if (batch.offset < endOffset) faults.push(`S1: offset ${batch.offset} comes twice`);
    endOffset = batch.endOffset;
  }
  const expected = log.batches.filter((batch) => isWithin(batch, found));
  const isEmptyAnew = found.batches.length === 0 && found.endOffset === log.restartOffset;
  const isBorder =
    isEmptyAnew ||
    found.endOffset === found.startOffset ||
    log.batches.some((batch) => batch.endOffset === found.endOffset);
  if (!isBorder) faults.push(`S3: no batch ends at ${found.endOffset}, where the log does`);
  if (isEmptyAnew) return faults;
  if (log.compacts) return [...faults, ...compactionViolations(expected, found)];
  const count = Math.max(expected.length, found.batches.length);
  for (let index = 0; index < count; index += 1) {
    if (expected[index]?.digest === found.batches[index]?.digest) continue;
    const offset = expected[index]?.offset ?? found.batches[index]?.offset;
    faults.push(`S3: offset ${offset} does not hold what was appended there`);
    break;
  }
  return faults;
}

/**
 * S14: each record is at the offset at which it was appended; of those that lack there is a later one
 * with the same key, or it was a tombstone, or its transaction was aborted.
 */
function compactionViolations(expected: readonly KnownBatch[], found: FoundLog): string[] {
  const stored = new Map(
    found.batches.flatMap(({ records }) => records.map((record) => [record.offset, record])),
  );
  const lastOffsets = new Map<string, number>();
  const kept = expected.filter(({ isControl, isAborted }) => !isControl && !isAborted);
  for (const { records } of kept)
    for (const { key, offset } of records) lastOffsets.set(key, offset);
  const faults: string[] = [];
  for (const { records } of kept) {
    for (const record of records) {
      const other = stored.get(record.offset);
      const isOld = lastOffsets.get(record.key) !== record.offset || record.value === null;
      const isBelow = record.offset < found.startOffset;
      if (other === undefined && !isOld && !isBelow) {
        faults.push(`S14: offset ${record.offset}, the last of key ${record.key}, is gone`);
      }
      if (other !== undefined && (other.key !== record.key || other.value !== record.value)) {
        faults.push(`S14: offset ${record.offset} holds another record`);
      }
    }
  }
  const known = new Set(expected.flatMap(({ records }) => records.map(({ offset }) => offset)));
  for (const offset of stored.keys()) {
    if (!known.has(offset)) faults.push(`S14: nobody has appended offset ${offset}`);
  }
  return faults;
}

function isWithin(batch: KnownBatch, found: FoundLog): boolean {
  return batch.endOffset > found.startOffset && batch.offset < found.endOffset;
}

function unknownLogs({ logs }: History, outcome: Outcome): string[] {
  return [...outcome.logs]
    .filter(([topicId]) => !logs.has(topicId))
    .map(([, { key }]) => `S15: nobody has made the log ${key}`);
}

/** R5: the mark of an orderly stop is there after the stop, and gone after the next start. */
function cleanStopViolations({ cleanEpochs }: History, { cleanEpoch }: Outcome): string[] {
  if (cleanEpochs.includes(cleanEpoch)) return [];
  return [`R5: the stop before was ${cleanEpochs.join(" or ")}, and is taken for ${cleanEpoch}`];
}

/** K5, K7, R12: what was committed is there, in order, and no epoch is led in twice. */
function metadataViolations(history: History, { metadata }: Outcome): string[] {
  if (metadata === null) return [];
  const faults: string[] = [];
  if (metadata.leaderEpoch <= history.ledEpoch) {
    faults.push(`K7: epoch ${metadata.leaderEpoch} is led in again`);
  }
  if (metadata.notedEnd < history.metadataNotedEnd) {
    faults.push(`R10: ${metadata.notedEnd} is noted as durable, ${history.metadataNotedEnd} was`);
  }
  const { batches } = metadata;
  for (const [index, known] of history.metadata.entries()) {
    const found = batches[index];
    if (found === undefined) {
      if (known.baseOffset < history.committedEnd) {
        faults.push(`R12: what was committed at ${known.baseOffset} is gone`);
      }
      break;
    }
    if (found.baseOffset !== known.baseOffset || found.values.join() !== known.values.join()) {
      faults.push(`K5: offset ${known.baseOffset} holds something else`);
      break;
    }
  }
  if (batches.length > history.metadata.length) faults.push("K5: there is more than was proposed");
  return faults;
}
