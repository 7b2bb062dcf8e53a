import test from "ava";
import { type Manifest, manifestOf, OVERLAYS, renderOverlay } from "../../support/manifests.ts";
import { schemaProblems, unknownFields } from "../../support/schemas.ts";

for (const overlay of OVERLAYS) {
  test(`the ${overlay} overlay is what Kubernetes' schemas ask for`, async (t) => {
    const manifests = await renderOverlay(overlay);
    t.deepEqual(await schemaProblems(manifests), []);
    t.deepEqual(await unknownFields(manifests), []);
  });
}

/** The production StatefulSet with one place in its text made wrong. */
async function misspelt(right: string, wrong: string): Promise<readonly Manifest[]> {
  const text = JSON.stringify(manifestOf(await renderOverlay("prod"), "StatefulSet"));
  return [JSON.parse(text.replace(right, wrong)) as Manifest];
}

test("a value of the wrong kind and a field that does not exist are found", async (t) => {
  const [problem] = await schemaProblems(await misspelt('"containerPort":7379', '"containerPort":"7379"'));
  t.regex(problem ?? "", /StatefulSet gearmesh: .*containerPort must be integer/);
  const [field] = await unknownFields(await misspelt('"restartPolicy":', '"restartpolicy":'));
  t.regex(field ?? "", /'"restartpolicy"' does not exist|restartpolicy/);
});
