import { readFileSync } from "node:fs";
import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import type { Logger } from "../base/logger.ts";
import { FaultRuleError, parseFaultRules } from "../storage/fault-file.ts";
import { describeRule, type FaultRule } from "../storage/fault-rules.ts";
import { type DiskCall, FaultyDisk } from "../storage/faulty-disk.ts";

export interface DiskFaultsOptions {
  /** `holdfast.disk.faults`. */
  readonly path: string;
  /** Whether there is a page cache of our own, and so a platter below it. */
  readonly hasPlatter: boolean;
}

/**
 * The faults of `holdfast.disk.faults`: one FaultyDisk over the page cache and one below it, whose
 * rules come from the same file. For tests of programs that use this broker.
 */
export class DiskFaults {
  readonly #dependencies: { readonly clock: Clock; readonly logger: Logger };
  readonly #options: DiskFaultsOptions;
  readonly #disks: { readonly at: FaultRule["at"]; readonly disk: FaultyDisk }[] = [];
  #rules: readonly FaultRule[];

  private constructor(
    dependencies: { readonly clock: Clock; readonly logger: Logger },
    options: DiskFaultsOptions,
  ) {
    this.#dependencies = dependencies;
    this.#options = options;
    this.#rules = this.#read();
    this.#say();
  }

  /** Reads the file. Throws FaultRuleError, with the name of the file. */
  static load(
    dependencies: { readonly clock: Clock; readonly logger: Logger },
    options: DiskFaultsOptions,
  ): DiskFaults {
    return new DiskFaults(dependencies, options);
  }

  /** The disk with the faults of that place. */
  over(disk: Disk, at: FaultRule["at"]): Disk {
    const faulty = new FaultyDisk({ disk, clock: this.#dependencies.clock }, this.#rulesAt(at));
    faulty.setFaultListener((rule, call) => this.#onFault(rule, call));
    this.#disks.push({ at, disk: faulty });
    return faulty;
  }

  /** Reads the file again. What cannot be read changes nothing, and is said. */
  reload(): void {
    try {
      this.#rules = this.#read();
    } catch (error) {
      if (!(error instanceof FaultRuleError)) throw error;
      this.#dependencies.logger.error({}, `${error.message}; the rules stay as they were`);
      return;
    }
    for (const { at, disk } of this.#disks) disk.setRules(this.#rulesAt(at));
    this.#say();
  }

  #read(): readonly FaultRule[] {
    const { path, hasPlatter } = this.#options;
    try {
      const rules = parseFaultRules(readText(path));
      const index = rules.findIndex(({ at }) => at === "platter");
      if (index >= 0 && !hasPlatter) {
        throw new FaultRuleError(
          `rule ${index + 1}: at "platter" needs holdfast.disk.page.cache=process: the platter of ` +
            "the system's own cache is out of reach",
        );
      }
      return rules;
    } catch (error) {
      if (!(error instanceof FaultRuleError)) throw error;
      throw new FaultRuleError(`holdfast.disk.faults=${path}: ${error.message}`, { cause: error });
    }
  }

  #rulesAt(at: FaultRule["at"]): FaultRule[] {
    return this.#rules.filter((rule) => rule.at === at);
  }

  #say(): void {
    const rules = this.#rules.map(describeRule);
    this.#dependencies.logger.warn(
      { file: this.#options.path, rules },
      rules.length === 0
        ? "no faults of the disk are active"
        : "faults of the disk are active, for tests: this broker will fail on purpose",
    );
  }

  #onFault(rule: FaultRule, call: DiskCall): void {
    const { operation, path, callSite } = call;
    this.#dependencies.logger.warn(
      { rule: rule.name, operation, path, callSite },
      "injected a fault",
    );
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new FaultRuleError(`cannot be read (${reason})`, { cause: error });
  }
}
