import { describe } from "vitest";
import { describeList } from "./matrix.ts";

describe("every call that changes the disk may fail (R9, S8)", () => describeList(0));
