import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Mailbox, MailboxClosedError } from "../../src/base/mailbox.ts";
import { drained } from "./manual-clock.ts";

describe("Mailbox", () => {
  test("a task sent while nothing runs starts before run returns", () => {
    const mailbox = new Mailbox();
    let hasStarted = false;
    void mailbox.run(() => (hasStarted = true));
    expect(hasStarted).toBe(true);
    expect(mailbox.depth).toBe(1);
  });

  test("tasks run one at a time, in order, whatever they do", async () => {
    const task = fc.record({ turns: fc.nat(4), fails: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(task, { maxLength: 20 }), async (tasks) => {
        const mailbox = new Mailbox();
        const log: number[] = [];
        let running = 0;
        const results = tasks.map(({ turns, fails }, index) =>
          mailbox.run(async () => {
            running += 1;
            expect(running).toBe(1);
            for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
            log.push(index);
            running -= 1;
            if (fails) throw new Error(`task ${index}`);
            return index;
          }),
        );
        const settled = await Promise.allSettled(results);
        await drained();
        expect(log).toEqual(tasks.map((_, index) => index));
        expect(settled.map(({ status }) => status)).toEqual(
          tasks.map(({ fails }) => (fails ? "rejected" : "fulfilled")),
        );
        expect(mailbox.depth).toBe(0);
      }),
      { numRuns: 100 },
    );
  });

  test("a task that throws at once rejects for its caller only", async () => {
    const mailbox = new Mailbox();
    const failing = mailbox.run(() => {
      throw new Error("planted");
    });
    const next = mailbox.run(() => "fine");
    await expect(failing).rejects.toThrow("planted");
    expect(await next).toBe("fine");
  });

  test("close waits for what was sent, and refuses what comes after", async () => {
    const mailbox = new Mailbox();
    const log: string[] = [];
    let release = (): void => undefined;
    void mailbox.run(() => new Promise<void>((resolve) => (release = resolve)));
    void mailbox.run(() => log.push("second"));
    const closed = mailbox.close().then(() => log.push("closed"));
    await expect(mailbox.run(() => "late")).rejects.toThrow(MailboxClosedError);
    await drained();
    expect(log).toEqual([]);
    release();
    await closed;
    expect(log).toEqual(["second", "closed"]);
  });
});
