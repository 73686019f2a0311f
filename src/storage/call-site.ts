/** Frames that lead to a Disk and are not the call itself. */
const DECORATORS: ReadonlySet<string> = new Set(["call-site", "faulty-disk"]);
/** `at async Segment.#writeSnapshot (file:///…/src/storage/segment.ts:301:5)`, from `dist` as well. */
const FRAME =
  /^\s+at (?:async )?(?:new )?(?:(.+?) )?\(?[^()]*\/(?:src|dist)\/\w[^()]*?\/([\w-]+)\.[jt]s(?:\?[^:]*)?:\d+:\d+\)?$/;

/**
 * The place in our sources that calls the disk, as "segment.ts datasync": its file and function, so
 * that it is the same in `src` and in `dist`. A function without a name is "(anonymous)". "unknown"
 * when the caller is not of this program.
 */
export function callSite(stack: string | undefined = new Error().stack): string {
  for (const line of (stack ?? "").split("\n")) {
    const match = FRAME.exec(line);
    const file = match?.[2];
    if (file === undefined || DECORATORS.has(file)) continue;
    return `${file}.ts ${functionName(match?.[1])}`;
  }
  return "unknown";
}

/** "Segment.#writeSnapshot" and "async Segment.#writeSnapshot [as x]" are "#writeSnapshot". */
function functionName(qualified: string | undefined): string {
  const name =
    qualified
      ?.replace(/ \[as .*\]$/, "")
      .split(".")
      .at(-1) ?? "";
  return name === "" || name === "<anonymous>" ? "(anonymous)" : name;
}
