import { describe, expect, test } from "vitest";
import {
  type FeatureUpdate,
  finalizedLevels,
  updateFeatures,
  type UpgradeType,
} from "../../../src/server/metadata/update-features.ts";
import { apply, clusterOf } from "./cluster-image.ts";

const ELR = "eligible.leader.replicas.version";
const IMAGE = clusterOf(1);

const to = (
  feature: string,
  maxVersionLevel: number,
  upgradeType: UpgradeType = "upgrade",
): FeatureUpdate => ({ feature, maxVersionLevel, upgradeType });

function ask(...updates: FeatureUpdate[]) {
  const { records, answer } = updateFeatures(IMAGE, { nodeId: 1, updates, validateOnly: false });
  return { error: answer, levels: finalizedLevels(apply(IMAGE, records)) };
}

test("a cluster tells of its metadata, of eligible leaders and of its quorum", () => {
  expect(finalizedLevels(IMAGE)).toEqual(
    new Map([
      ["metadata.version", 30],
      [ELR, 1],
      ["kraft.version", 1],
    ]),
  );
});

describe("UpdateFeatures", () => {
  test("moves a level down when it is asked for a downgrade, and up again", () => {
    const off = ask(to(ELR, 0, "safe downgrade"));
    expect(off.error).toBeNull();
    expect(off.levels.has(ELR)).toBe(false);
    const lowered = apply(
      IMAGE,
      updateFeatures(IMAGE, {
        nodeId: 1,
        updates: [to(ELR, 0, "unsafe downgrade")],
        validateOnly: false,
      }).records,
    );
    const { records } = updateFeatures(lowered, {
      nodeId: 1,
      updates: [to(ELR, 1)],
      validateOnly: false,
    });
    expect(finalizedLevels(apply(lowered, records)).get(ELR)).toBe(1);
  });

  test("writes nothing for a level that holds already, nor when it only validates", () => {
    expect(
      updateFeatures(IMAGE, {
        nodeId: 1,
        updates: [to(ELR, 1), to("metadata.version", 30)],
        validateOnly: false,
      }),
    ).toEqual({ records: [], answer: null });
    expect(
      updateFeatures(IMAGE, {
        nodeId: 1,
        updates: [to(ELR, 0, "safe downgrade")],
        validateOnly: true,
      }),
    ).toEqual({ records: [], answer: null });
  });

  test("moves all levels or none", () => {
    const { error, levels } = ask(to(ELR, 0, "safe downgrade"), to("metadata.version", 31));
    expect(error?.name).toBe("INVALID_UPDATE_VERSION");
    expect(levels.get(ELR)).toBe(1);
  });

  test.each<[FeatureUpdate, string]>([
    [
      to(ELR, 0),
      "Can't downgrade the version of this feature without setting the upgrade type to either safe " +
        "or unsafe downgrade.",
    ],
    [to(ELR, -1), "A feature version cannot be less than 0."],
    [to(ELR, 2), "Local controller 1 only supports versions 0-1"],
    [to("metadata.version", 29, "safe downgrade"), "Local controller 1 only supports versions 30"],
    [to("group.version", 1), "Local controller 1 does not support this feature."],
    [to("kraft.version", 0, "unsafe downgrade"), "Can't downgrade the version of this feature."],
    [to(ELR, 1, "unknown"), "The controller does not support the given upgrade type."],
  ])("%j is refused, in Kafka's words", (update, reason) => {
    const { error } = ask(update);
    expect(error).toEqual({
      name: "INVALID_UPDATE_VERSION",
      message: `Invalid update version ${update.maxVersionLevel} for feature ${update.feature}. ${reason}`,
    });
  });

  test("a newer level is no downgrade", () => {
    const off = apply(
      IMAGE,
      updateFeatures(IMAGE, {
        nodeId: 1,
        updates: [to(ELR, 0, "safe downgrade")],
        validateOnly: false,
      }).records,
    );
    const { answer } = updateFeatures(off, {
      nodeId: 1,
      updates: [to(ELR, 1, "safe downgrade")],
      validateOnly: false,
    });
    expect(answer?.message).toContain("Can't downgrade to a newer version.");
  });
});
