import { describe, expect, test } from "vitest";
import type { ReplicaKey } from "../../src/raft/core/voters.ts";
import {
  Formation,
  type FormationEffect,
  type FormationEvent,
  type FormationOptions,
} from "../../src/raft/formation.ts";
import { formatFormationState, parseFormationState } from "../../src/raft/formation-state.ts";
import { QuorumStateError } from "../../src/raft/quorum-state.ts";
import { type FormationFactory, runFormation } from "./formation-model.ts";

const SEEDS = 300;
/** Until a planted mistake shows: two have to die at the wrong time for some. */
const PLANTED_SEEDS = 10_000;

describe("the formation of a cluster (R14)", () => {
  test("one cluster at most, whatever is lost, killed or wiped, and one where nothing hinders it", () => {
    for (let seed = 0; seed < SEEDS; seed += 1) {
      runFormation((options) => new Formation(options), seed);
    }
  });

  /** What is changed of a node: the events that it is given, its options, or what it says. */
  const planted: readonly [string, FormationFactory, RegExp][] = [
    [
      "a promise is forgotten by a restart",
      (options) => new Formation({ ...options, state: { kind: "empty" } }),
      /two clusters formed/,
    ],
    [
      "a promise is said before it is durable",
      (options) => changed(options, sayBeforeDurable()),
      /two clusters formed|one write/,
    ],
    [
      "a promise to another disk of the founder counts",
      (options) => changed(options, { event: (event) => promisedToMe(options.self, event) }),
      /two clusters formed/,
    ],
    [
      "a majority's promise is enough",
      (options) => new Formation({ ...options, voterIds: options.voterIds.slice(0, 2) }),
      /two clusters formed|not all were asked|not formed/,
    ],
    [
      "whoever is configured founds",
      (options) =>
        new Formation({
          ...options,
          voterIds: [options.self.nodeId, ...options.voterIds.slice(0, 2)],
        }),
      /two clusters formed|not all were asked|not formed/,
    ],
  ];

  test.each(planted)("planted: %s: is found", (_name, factory, violation) => {
    const runAll = () => {
      for (let seed = 0; seed < PLANTED_SEEDS; seed += 1) runFormation(factory, seed);
    };
    expect(runAll).toThrow(violation);
  });

  test("any bit of the file flipped is damage, or changes nothing (E14)", () => {
    const founder = { nodeId: 1, directoryId: "rVOkE_ZvVwdXAkHJFrWK8g" as never };
    for (const state of [
      { kind: "promised", founder } as const,
      { kind: "formed", voters: [founder] } as const,
    ]) {
      const whole = Buffer.from(formatFormationState(state));
      expect(parseFormationState(whole.toString(), "file")).toEqual(state);
      for (let bit = 0; bit < 8 * whole.length; bit += 1) {
        const bytes = Buffer.from(whole);
        bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
        try {
          expect(parseFormationState(bytes.toString(), "file"), `bit ${bit}`).toEqual(state);
        } catch (error) {
          if (!(error instanceof QuorumStateError)) throw error;
        }
      }
    }
  });
});

interface Change {
  readonly event?: (event: FormationEvent) => FormationEvent;
  readonly effects?: (effects: readonly FormationEffect[]) => readonly FormationEffect[];
}

function changed(options: FormationOptions, change: Change): Pick<Formation, "step"> {
  const { event: changeEvent = same, effects: changeEffects = same } = change;
  const formation = new Formation(options);
  return { step: (event) => changeEffects(formation.step(changeEvent(event))) };
}

/** Each promise leaves with the write, not after it. */
function sayBeforeDurable(): Change {
  return {
    effects: (effects) =>
      effects.flatMap((effect) => {
        if (effect.kind !== "persist" || effect.state.kind !== "promised") return [effect];
        const { founder } = effect.state;
        const message = { kind: "promised", clusterId: "model", founder } as const;
        return [effect, { kind: "send", to: founder.nodeId, message } as const];
      }),
  };
}

function promisedToMe(founder: ReplicaKey, event: FormationEvent): FormationEvent {
  if (event.kind !== "message" || event.message.kind !== "promised") return event;
  return { ...event, message: { ...event.message, founder } };
}

function same<T>(value: T): T {
  return value;
}
