import { extname } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * Path of a module that is run as a process of its own. `name` has no ending: the repository holds .ts, and what
 * `npm run build` emits is .js.
 */
export function modulePath(name: string, importMetaUrl: string): string {
  return fileURLToPath(new URL(`${name}${extname(importMetaUrl)}`, importMetaUrl));
}
