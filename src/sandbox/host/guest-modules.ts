import { readdirSync, readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { basename, extname } from "node:path";

/** The guest's code: JavaScript of each ES module by its name without extension. */
export type GuestModules = ReadonlyMap<string, string>;

/** The module whose `install` prepares an isolate. */
export const GUEST_ENTRY = "install";

/** Reads the guest's modules, which are TypeScript in the repository and JavaScript in a published package. */
export function readGuestModules(): GuestModules {
  const folder = new URL("../guest/", import.meta.url);
  const modules = new Map<string, string>();
  for (const file of readdirSync(folder)) {
    if (file.endsWith(".d.ts") || ![".ts", ".js"].includes(extname(file))) continue;
    const source = readFileSync(new URL(file, folder), "utf8");
    modules.set(guestModuleName(file), file.endsWith(".ts") ? stripTypeScriptTypes(source) : source);
  }
  return modules;
}

/** `./run.ts` and `run.js` are the module `run`. */
export function guestModuleName(specifier: string): string {
  return basename(specifier, extname(specifier));
}
