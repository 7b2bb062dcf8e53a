import { attack, attackAtLoad, type HostileCase } from "./hostile-case.ts";
import { KILLS } from "./memory.ts";

/** What V8 does in one native step that nothing can interrupt: most of them kill the sandbox process. */
export const NATIVE_CASES: readonly HostileCase[] = [
  attack("native: split of 256 MB", 'return "ab".repeat(1 << 27).split("").length;', KILLS),
  attack("native: digits of an integer of 23 million bits", "return (7n ** (1n << 23n)).toString().length;", KILLS),
  attack("native: an array of 50 million filled", "return new Array(5e7).fill(0).length;", KILLS),
  attack("native: a result of 400 MB", 'return "x".repeat(400 * 1024 * 1024);', ["RESOURCE_EXHAUSTED"]),
  attack("native: digits that become an integer", 'return BigInt("9".repeat(1e7)) > 0n;', [...KILLS, "OK"]),
  attack("native: join of an empty array of 2^28", 'return new Array(2 ** 28).join("xy").length;', KILLS),
  attack("native: sort of a sparse array of 100 million", "return new Array(1e8).sort().length;", [...KILLS, "OK"]),
  attack("native: normalization of 256 MB", 'return "\\u1e9b\\u0323".repeat(1 << 27).normalize("NFKD").length;', KILLS),
  attack("native: replaceAll that doubles 256 MB", 'return "a".repeat(1 << 28).replaceAll("a", "bb").length;', KILLS),
  attack(
    "native: indexOf over an array-like of 2^53",
    "return Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1);",
    ["FUNCTION_TIMEOUT", "INDETERMINATE"],
  ),
  attack("native: Array.from of 2^32", "return Array.from({ length: 2 ** 32 - 1 }).length;", KILLS),
  attackAtLoad("native: a top level that fills 50 million", "new Array(5e7).fill(0);"),
];
