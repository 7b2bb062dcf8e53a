/**
 * Fails when an import crosses the layers: `node scripts/check-layers.ts [root]`. A rule of its own, since the linter's
 * cannot tell a type from a value, and says nothing about `import()`.
 */
import { readdirSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { LAYERS } from "./layers.ts";

interface Import {
  readonly line: number;
  /** Undefined where it is computed, so that nobody can say what it is. */
  readonly specifier: string | undefined;
  readonly typeOnly: boolean;
}

// The formatter puts each static import at the start of a line, where neither a comment nor a string can begin one.
const STATIC = /^(?:import|export)\s+(?<type>type\s)?(?:[^"';=]*?\bfrom\s*)?"(?<specifier>[^"]+)"/gm;
const DYNAMIC = /^(?!\s*(?:\*|\/\/)).*?\b(?:import|require|import\.meta\.resolve)\(\s*(?:"(?<specifier>[^"]+)")?/gm;

function importsOf(text: string): Import[] {
  return [STATIC, DYNAMIC].flatMap((pattern) =>
    [...text.matchAll(pattern)].map((match) => ({
      line: text.slice(0, match.index).split("\n").length,
      specifier: match.groups?.["specifier"],
      typeOnly: match.groups?.["type"] !== undefined,
    })),
  );
}

/** What is wrong with one import of `file` (a path below src), or undefined. */
function refusal(file: string, { specifier, typeOnly }: Import): string | undefined {
  const folder = file.split("/", 1)[0] ?? "";
  const layer = LAYERS[folder];
  if (!layer) return `src/${folder} is not a layer; add it to scripts/layers.ts with what it may import`;
  if (specifier === undefined) return "an import whose name is computed cannot be checked; write the name out";
  const no = `src/${folder} may not import "${specifier}": it is ${layer.is}`;
  if (specifier.startsWith(".")) {
    const target = join(dirname(file), specifier);
    const targetFolder = target.split("/", 1)[0] ?? "";
    const allowed = targetFolder === folder || layer.folders.includes(targetFolder);
    return allowed || (typeOnly && layer.types?.includes(target)) ? undefined : no;
  }
  if (isBuiltin(specifier)) return layer.builtins?.includes(specifier) === false ? no : undefined;
  const allowed = layer.packages?.some(
    (name) => specifier === name || specifier.startsWith(`${name.replace(/\/$/, "")}/`),
  );
  return allowed ? undefined : no;
}

const root = resolve(process.argv[2] ?? fileURLToPath(new URL("..", import.meta.url)));
const src = join(root, "src");
const files = readdirSync(src, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && /\.[cm]?[jt]s$/.test(entry.name))
  .map((entry) => relative(src, join(entry.parentPath, entry.name)))
  .filter((file) => !file.startsWith("grpc/generated/"));

const refusals = files.flatMap((file) =>
  importsOf(readFileSync(join(src, file), "utf8")).flatMap((found) => {
    const reason = refusal(file, found);
    return reason ? [`src/${file}:${found.line}: ${reason}`] : [];
  }),
);
for (const line of refusals) console.error(line);
console.log(`layers: ${files.length} files checked, ${refusals.length} forbidden imports`);
process.exitCode = refusals.length > 0 ? 1 : 0;
