import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Manifest } from "./manifests.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const KUBERNETES = "kubernetes-models";
const PROMETHEUS = "@kubernetes-models/prometheus-operator/monitoring.coreos.com";

/** Where the schema of its kind is. */
function moduleOf({ apiVersion, kind }: Manifest): string {
  const monitoring = /^monitoring\.coreos\.com(\/\w+)$/.exec(apiVersion);
  return monitoring ? `${PROMETHEUS}${monitoring[1]}/${kind}` : `${KUBERNETES}/${apiVersion}/${kind}`;
}

/** What the schemas of Kubernetes have to say against each object: values that are missing or of the wrong kind. */
export async function schemaProblems(manifests: readonly Manifest[]): Promise<readonly string[]> {
  const problems = await Promise.all(
    manifests.map(async (manifest) => {
      const { kind, metadata } = manifest;
      const models = (await import(moduleOf(manifest))) as Readonly<Record<string, Model>>;
      const Model = models[kind];
      if (!Model) return [`there is no schema of ${manifest.apiVersion} ${kind}`];
      try {
        new Model(manifest).validate();
        return [];
      } catch (error) {
        return [`${kind} ${metadata.name}: ${error}`];
      }
    }),
  );
  return problems.flat();
}

type Model = new (data: unknown) => { validate(): void };

/** The fields that Kubernetes does not know, each with its place in the compiler's words. The schemas let them pass, and so does an API server that is not asked to be strict. */
export async function unknownFields(manifests: readonly Manifest[]): Promise<readonly string[]> {
  // Within the checkout, so that the types are found.
  const cache = join(ROOT, "node_modules/.cache");
  await mkdir(cache, { recursive: true });
  const directory = await mkdtemp(join(cache, "manifests-"));
  try {
    const lines = manifests.map((manifest, index) => {
      const type = `import("${moduleOf(manifest)}").I${manifest.kind}`;
      return `export const manifest${index}: ${type} = ${JSON.stringify(manifest)};`;
    });
    await writeFile(join(directory, "manifests.ts"), lines.join("\n"));
    const options = { target: "esnext", module: "nodenext", strict: true, noEmit: true, skipLibCheck: true, types: [] };
    await writeFile(join(directory, "tsconfig.json"), JSON.stringify({ compilerOptions: options }));
    return await compilerErrors(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function compilerErrors(directory: string): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    execFile(join(ROOT, "node_modules/.bin/tsc"), ["-p", directory], (error, stdout) => {
      const errors = stdout.match(/error TS\d+: .*/g) ?? [];
      if (error && errors.length === 0) reject(error);
      else resolve(errors);
    });
  });
}
