import { beforeEach, describe, expect, test } from "vitest";
import { History } from "../../src/sim/history.ts";

const P = "topic-0";

function sentRecord(identity: string, filler = "") {
  return { key: null, value: Buffer.from(`${identity} ${filler}`), headers: [], timestamp: 5 };
}
function found(offset: number, identity: string, filler = "") {
  return { offset, ...sentRecord(identity, filler) };
}

describe("the checker sees", () => {
  let history = new History();
  const rules = () => history.findings.map(({ rule }) => rule);
  beforeEach(() => {
    history = new History();
    for (let order = 0; order < 3; order += 1) {
      history.onSend(P, "a", order, sentRecord(`a:${order}`));
      history.onAck(P, sentRecord(`a:${order}`), order);
    }
  });

  test("nothing where nothing is wrong", () => {
    const log = [found(0, "a:0"), found(1, "a:1"), found(2, "a:2")];
    for (const record of log) history.onPoll(P, record);
    expect(history.judge(P, log)).toBe(0);
    expect(history.findings).toEqual([]);
    expect(history.ackedCount).toBe(3);
  });

  test("an acked record that is missing", () => {
    expect(history.judge(P, [found(0, "a:0"), found(1, "a:1")])).toBe(1);
    expect(rules()).toContain("lost-write");
  });

  test("the same loss as a figure where it is expected", () => {
    const lossy = new History({ mayLose: true });
    lossy.onSend(P, "a", 0, sentRecord("a:0"));
    lossy.onAck(P, sentRecord("a:0"), 0);
    expect(lossy.judge(P, [])).toBe(1);
    expect(lossy.findings).toEqual([]);
  });

  test("a duplicate, and a wrong order", () => {
    const log = [found(0, "a:0"), found(1, "a:1"), found(2, "a:2"), found(3, "a:1")];
    history.judge(P, log);
    expect(rules()).toEqual(["duplicate", "order"]);
  });

  test("an offset that shows another record than it once did", () => {
    history.onSend(P, "b", 0, sentRecord("b:0"));
    history.onPoll(P, found(3, "b:0"));
    history.judge(P, [found(0, "a:0"), found(1, "a:1"), found(2, "a:2")]);
    expect(rules()).toEqual(["inconsistent-offsets"]);
  });

  test("a record that nobody sent here, and one with other bytes than were sent", () => {
    history.onPoll(P, found(0, "a:0", "changed"));
    history.onPoll("other-0", found(0, "a:0"));
    expect(rules()).toEqual(["C20", "C21"]);
  });

  test("a producer id that is given out twice", () => {
    history.onProducerId("a", 7, 0);
    history.onProducerId("a", 7, 1);
    history.onProducerId("b", 7, 0);
    expect(rules()).toEqual(["X4"]);
  });
});
