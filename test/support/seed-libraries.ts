import { readFileSync } from "node:fs";

function seed(name: string): string {
  return readFileSync(new URL(`./seed/${name}.library.js`, import.meta.url), "utf8");
}

/** The complete libraries of RedisGears 2's cluster documentation, as they stand there. */
export const SEED = {
  /** `lib.test`: the number of keys in the cluster. */
  totalKeys: seed("total-keys"),
  /** `foo.test`: the value of `x`, wherever it lives. */
  remoteGet: seed("remote-get"),
  /** `first.my_dbsize`, with the documentation's first snippet, which uses a name that is not defined. */
  undefinedName: seed("undefined-name"),
};
