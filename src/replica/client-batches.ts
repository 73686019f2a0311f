import type { Clock } from "../base/clock.ts";
import type { CompressionType, Offload } from "../base/offload.ts";
import { KafkaError } from "../protocol/errors.ts";
import {
  batchBaseTimestamp,
  batchCompression,
  batchMaxTimestamp,
  stampMaxTimestamp,
  withBody,
} from "../protocol/records/batch.ts";
import { batchBody } from "../protocol/records/record.ts";
import {
  isWithin,
  outsideOf,
  type RecordRules,
  validateRecords,
} from "../protocol/records/validate-records.ts";
import { Limiter } from "../storage/limiter.ts";
import type { LogConfig } from "../storage/log-config.ts";

/** The most that a batch may grow to when it is opened; compaction and searches have the same bound. */
const MAX_INFLATED_BYTES = 64 * 1024 * 1024;
/** Opened at a time: as many threads as there are for it, and a bound on their memory. */
const MAX_CONCURRENT_OPENINGS = 4;

/**
 * Makes clients' batches what their topic wants (Kafka's LogValidator; docs/decisions/0005). Records that
 * lie open are read at once. Packed ones are opened only where a setting cannot be obeyed otherwise:
 * another codec, keys that must be there, times that may not be too old.
 */
export class ClientBatches {
  readonly #clock: Clock;
  readonly #offload: Offload;
  readonly #openings = new Limiter(MAX_CONCURRENT_OPENINGS);

  constructor(dependencies: { readonly clock: Clock; readonly offload: Offload }) {
    this.#clock = dependencies.clock;
    this.#offload = dependencies.offload;
  }

  /**
   * The batch as it is to be appended: the same bytes, with the greatest timestamp made right, or new
   * ones in the topic's codec. It has been through validateClientBatch, and stays as it is until this has
   * settled. Throws (or rejects with) KafkaError INVALID_RECORD, INVALID_TIMESTAMP, both also as
   * RecordsRefusedError, and MESSAGE_TOO_LARGE when it has become so in the other codec.
   */
  prepare(batch: Buffer, config: LogConfig): Buffer | Promise<Buffer> {
    const from = batchCompression(batch);
    const to = targetOf(config, from);
    if (from === "none" && to === "none") {
      const { body } = batchBody(batch, 0);
      return this.#validate(batch, body, config);
    }
    if (from !== to || mustBeRead(config)) {
      return this.#openings.run(() => this.#open(batch, config, to));
    }
    this.#checkHeader(batch, config);
    return batch;
  }

  async #open(batch: Buffer, config: LogConfig, to: CompressionType): Promise<Buffer> {
    // One after the other comes here without the event loop in between, and each may take milliseconds.
    await new Promise<void>((resolve) => this.#clock.afterPoll(resolve));
    const { type: from, body: packed } = batchBody(batch, 0);
    const body = from === "none" ? packed : await this.#inflate(from, packed);
    const validated = this.#validate(batch, body, config);
    if (from === to) return validated;
    const repacked = await this.#offload.deflate(to, body, config.compressionLevel);
    const result = withBody(validated, to, repacked);
    if (result.length > config.maxMessageBytes) {
      throw new KafkaError(
        "MESSAGE_TOO_LARGE",
        `the batch has ${result.length} bytes as ${to}, more than the maximum of ${config.maxMessageBytes}`,
      );
    }
    return result;
  }

  /** The checksum was right: what cannot be inflated was sent so, and would come again (C22). */
  async #inflate(type: CompressionType, packed: Buffer): Promise<Buffer> {
    try {
      return await this.#offload.inflate(type, packed, MAX_INFLATED_BYTES);
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      throw new KafkaError("INVALID_RECORD", error.message, { cause: error });
    }
  }

  #validate(batch: Buffer, body: Buffer, config: LogConfig): Buffer {
    const maxTimestamp = validateRecords(batch, body, this.#rulesOf(config));
    // With LogAppendTime the log writes its own.
    if (config.timestampType === "CreateTime") stampMaxTimestamp(batch, 0, maxTimestamp);
    return batch;
  }

  /** Of a batch that stays packed: by its format its greatest time is in the header, and its first. */
  #checkHeader(batch: Buffer, config: LogConfig): void {
    const { timestamps } = this.#rulesOf(config);
    if (timestamps === null) return;
    for (const timestamp of [batchMaxTimestamp(batch), batchBaseTimestamp(batch)]) {
      if (isWithin(timestamp, timestamps)) continue;
      throw new KafkaError("INVALID_TIMESTAMP", outsideOf(timestamp, timestamps));
    }
  }

  #rulesOf(config: LogConfig): RecordRules {
    return {
      needsKey: config.cleanupPolicy.compacts,
      timestamps:
        config.timestampType === "LogAppendTime"
          ? null
          : {
              nowMs: this.#clock.wallMs(),
              beforeMaxMs: config.timestampBeforeMaxMs,
              afterMaxMs: config.timestampAfterMaxMs,
            },
    };
  }
}

function targetOf({ compressionType }: LogConfig, from: CompressionType): CompressionType {
  if (compressionType === "producer") return from;
  return compressionType === "uncompressed" ? "none" : compressionType;
}

function mustBeRead(config: LogConfig): boolean {
  const hasOldest = config.timestampType === "CreateTime" && config.timestampBeforeMaxMs < Infinity;
  return config.cleanupPolicy.compacts || hasOldest;
}
