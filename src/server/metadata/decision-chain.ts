import { decodeMetadataRecord } from "../../protocol/metadata-records.ts";
import type { MetadataImage } from "./image.ts";
import { ImageBuilder } from "./image-builder.ts";

/** Records decided one after the other, each decision on what those before it have made. */
export function inOrder(
  image: MetadataImage,
  ...decisions: ((image: MetadataImage) => readonly Buffer[])[]
): Buffer[] {
  const records: Buffer[] = [];
  let current = image;
  for (const [index, decide] of decisions.entries()) {
    const decided = decide(current);
    records.push(...decided);
    const isLast = index === decisions.length - 1;
    if (decided.length === 0 || isLast) continue;
    const builder = new ImageBuilder(current);
    for (const record of decided) builder.replay(decodeMetadataRecord(record));
    current = builder.build().image;
  }
  return records;
}
