/** Kinds of files, each with why a flip in it may pass unnoticed; null: it may not. */
const KINDS: readonly {
  readonly name: string;
  readonly pattern: RegExp;
  readonly harmless: string | null;
}[] = [
  {
    name: "deleted files",
    pattern: /\.deleted$/,
    harmless: "nobody opens it any more, the next start removes it",
  },
  {
    name: "metadata log",
    pattern: /__cluster_metadata-0\/\d{20}\.log$/,
    harmless: null,
  },
  {
    name: "metadata log, beside it",
    pattern: /__cluster_metadata-0\/(?!quorum-state|\d{20}\.log)/,
    harmless: "derived from the log, which is checked whole at every start",
  },
  {
    name: "quorum-state",
    pattern: /quorum-state$/,
    harmless: "the name of the checksum's own field: the others are as they were",
  },
  { name: ".log", pattern: /\.log$/, harmless: null },
  {
    name: ".index",
    pattern: /\.index$/,
    harmless: "an entry is believed only where the batch that it leads to bears it out",
  },
  {
    name: ".timeindex",
    pattern: /\.timeindex$/,
    harmless: "an entry is believed only where the batch that it names bears it out",
  },
  {
    name: ".txnindex",
    pattern: /\.txnindex$/,
    harmless: "its entries are derived from the batches; the file only says that there are some",
  },
  {
    name: ".snapshot",
    pattern: /\.snapshot$/,
    harmless: "it has a checksum: an older one and the batches say the same (S11)",
  },
  {
    name: "leader-epoch-checkpoint",
    pattern: /leader-epoch-checkpoint$/,
    harmless: "it has a checksum, and is derived from the batches",
  },
  { name: "partition.metadata", pattern: /partition\.metadata$/, harmless: null },
  {
    name: "offset checkpoints",
    pattern: /-offset-checkpoint$/,
    harmless: null,
  },
  {
    name: "meta.properties",
    pattern: /meta\.properties$/,
    harmless: "the comment that holds the checksum, before it: the properties are as they were",
  },
  {
    name: "clean-shutdown mark",
    pattern: /\.kafka_cleanshutdown$/,
    harmless: "another epoch, or none, makes the registration an unclean one, the safe side (R5)",
  },
];

export function kindOf(path: string): string {
  const kind = KINDS.find(({ pattern }) => pattern.test(path));
  if (kind === undefined) throw new Error(`no kind of file for ${path}`);
  return kind.name;
}

/** Why a flip in such a file may have no effect and not be told; null: it must have been noticed. */
export function harmlessReason(name: string): string | null {
  return KINDS.find((kind) => kind.name === name)?.harmless ?? null;
}
