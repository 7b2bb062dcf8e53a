import type { GearmeshClient } from "../../src/client/client.ts";
import { librarySource } from "../../src/functions/library-version.ts";

export const VERSIONED = "versioned";

/** A library whose functions say which version of it they are. */
export function versionedText(version: number): string {
  return `#!js name=${VERSIONED}
redis.register_function("here", () => "${version}");
redis.register_remote_function("there", async () => "${version}");
redis.register_async_function("everywhere", async (client) => client.run_on_all_shards("there"));
`;
}

export function versionedHash(version: number): string {
  return librarySource(VERSIONED, versionedText(version), "{}").hash;
}

/** The version that the coordinator serves. */
export async function versionAt(client: GearmeshClient, timeoutMs = 5_000): Promise<number> {
  return Number(await client.call(`${VERSIONED}.here`, { timeoutMs }));
}

/** The versions that its remote calls meet, one for each shard, and what went wrong instead. */
export async function versionsFrom(
  client: GearmeshClient,
  timeoutMs = 5_000,
): Promise<{ readonly versions: readonly number[]; readonly errors: readonly string[] }> {
  const reply = await client.call(`${VERSIONED}.everywhere`, { timeoutMs });
  if (!Array.isArray(reply)) throw new Error(`run_on_all_shards gave ${String(reply)}`);
  const [results, errors] = reply;
  if (!Array.isArray(results) || !Array.isArray(errors)) throw new Error("run_on_all_shards gave no two arrays");
  return { versions: results.map(Number), errors: errors.map(String) };
}
