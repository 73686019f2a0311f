import { expect, test } from "vitest";
import { openFilesLimit, openFilesWarning } from "../../src/server/main-limits.ts";

const limits = (soft: string) => `Limit                     Soft Limit           Hard Limit
Max processes             127000               127000               processes
Max open files            ${soft}                 1024                 files
`;

test("a low limit of open files is warned of, with the way out", () => {
  expect(openFilesWarning(openFilesLimit(limits("1024")))).toContain("may open only 1024 files");
  expect(openFilesWarning(openFilesLimit(limits("1024")))).toContain("ulimit -Hn");
});

test.each(["4096", "1048576", "unlimited"])("a limit of %s is not", (soft) => {
  expect(openFilesWarning(openFilesLimit(limits(soft)))).toBeNull();
});

test("a system that does not say is not warned about", () => {
  expect(openFilesWarning(openFilesLimit(null))).toBeNull();
});
