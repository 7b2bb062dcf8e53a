import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { WatchedFiles } from "../../../src/app/watched-files.ts";
import { eventually } from "../../support/eventually.ts";

test("a change counts once it can be used; what cannot is refused once, and the value stays", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "gearmesh-watched-"));
  const path = join(directory, "number");
  await writeFile(path, "1");
  const values: number[] = [];
  const problems: string[] = [];
  const watched = new WatchedFiles({
    files: {
      paths: [path],
      parse([text]) {
        if (!/^\d+$/.test(text ?? "")) throw new Error("no number");
        return Number(text);
      },
    },
    value: 1,
    changed: (value) => values.push(value),
    refused: (paths, problem) => problems.push(`${paths.join()}: ${problem}`),
  });
  watched.start();
  try {
    await writeFile(path, "x");
    await eventually(() => problems.length === 1, { what: "a refusal" });
    await writeFile(path, "2");
    await eventually(() => values.length === 1, { what: "a change" });
    await rm(path);
    await eventually(() => problems.length === 2, { what: "another refusal" });
    await writeFile(path, "2");
    await writeFile(path, "3");
    await eventually(() => values.length === 2, { what: "another change" });
    t.deepEqual(values, [2, 3]);
    t.deepEqual(problems, [`${path}: no number`, `${path}: they cannot be read (ENOENT)`]);
  } finally {
    watched.stop();
    await rm(directory, { recursive: true, force: true });
  }
});
