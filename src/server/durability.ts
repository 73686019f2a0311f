import type { BrokerValues } from "./config-keys.ts";
import { LONG_MAX_TEXT, type LongSetting } from "./config-types.ts";

/** The settings that decide what an acknowledgement is worth; topics may override the first three. */
export interface DurabilitySettings {
  /** Infinity: no sync by count. */
  readonly flushMessages: number;
  /** Infinity: no sync by time. */
  readonly flushMs: number;
  readonly minInsyncReplicas: number;
  readonly isPageCacheOurs: boolean;
}

export function durabilityOf(config: BrokerValues): DurabilitySettings {
  return {
    flushMessages: unbounded(config["log.flush.interval.messages"]),
    flushMs: unbounded(
      config["log.flush.interval.ms"] ?? config["log.flush.scheduler.interval.ms"],
    ),
    minInsyncReplicas: config["min.insync.replicas"],
    isPageCacheOurs: config["holdfast.disk.page.cache"] === "process",
  };
}

/** One line for people: what an acknowledged record survives. */
export function describeDurability(settings: DurabilitySettings): string {
  const { flushMessages, flushMs, minInsyncReplicas, isPageCacheOurs } = settings;
  const replicas =
    minInsyncReplicas === 1
      ? "acks=all needs 1 replica"
      : `acks=all needs ${minInsyncReplicas} replicas (all of them where a topic has fewer)`;
  const parts = [replicas, byCount(flushMessages)];
  if (flushMs !== Infinity && flushMessages !== 1) {
    parts.push(`what is acknowledged is synced within ${flushMs} ms (log.flush.interval.ms)`);
  }
  if (isPageCacheOurs) {
    parts.push(
      "kill -9 is a power cut: it loses what was not synced (holdfast.disk.page.cache=process)",
    );
  }
  return `durability: ${parts.join("; ")}`;
}

function byCount(flushMessages: number): string {
  if (flushMessages === Infinity) {
    return "an ack does not wait for fsync (log.flush.interval.messages is off)";
  }
  if (flushMessages === 1) return "every ack waits for fsync (log.flush.interval.messages=1)";
  return (
    `at most ${flushMessages - 1} acknowledged records of a partition are not yet synced ` +
    `(log.flush.interval.messages=${flushMessages})`
  );
}

/** Kafka writes Long.MAX_VALUE where it means "never". */
function unbounded(setting: LongSetting): number {
  return setting.text === LONG_MAX_TEXT ? Infinity : setting.value;
}
