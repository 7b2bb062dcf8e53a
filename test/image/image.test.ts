import { readdir, readFile } from "node:fs/promises";
import test from "ava";
import { formatAddress } from "../../src/base/address.ts";
import { connect } from "../../src/client/client.ts";
import { startCluster } from "../../src/dev/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { foreignHealth } from "../support/foreign-health.ts";
import { buildImage, ImageProcess } from "../support/image.ts";

const MAX_ADDED_BYTES = 300 * 1024 * 1024;
const DRAIN_MS = 2_000;
/** Of the end of a coordinator that was told to stop, over its drain. Unit: ms. */
const STOP_MS = DRAIN_MS + 5_000;

test("the image is built from a clean checkout, is small, runs without rights, serves health and stops on SIGTERM", async (t) => {
  t.timeout(15 * 60_000);
  await using image = await buildImage();
  const { config, root } = image;
  t.log(`${(image.addedBytes / 1024 / 1024).toFixed(1)} MiB over its base`);
  t.true(image.addedBytes < MAX_ADDED_BYTES);
  t.deepEqual(config.Cmd, ["serve"]);
  t.regex(config.User, /^[1-9]\d*:[1-9]\d*$/, "a number that is not root's");
  t.is(config.Healthcheck, undefined);
  t.deepEqual(Object.keys(config.ExposedPorts).sort(), ["7379/tcp", "8379/tcp"]);
  for (const label of ["title", "description", "licenses", "version"]) {
    t.truthy(config.Labels[`org.opencontainers.image.${label}`], label);
  }
  const modules = await readdir(`${root}/app/node_modules`);
  // Of the packages for development these are the ones that no other one brings along.
  for (const name of ["@biomejs", "ava", "node", "typescript", "fast-check"]) t.false(modules.includes(name), name);

  await using cluster = await startCluster({ shards: 1 });
  const [node] = cluster.nodes;
  if (!node) throw new Error("the cluster has no node");
  const { coordinator, redis } = node;
  await coordinator.stop(); // the image takes its place
  await using container = new ImageProcess(image, {
    GEARMESH_REDIS: formatAddress(redis),
    GEARMESH_LISTEN: coordinator.address,
    GEARMESH_OPS_LISTEN: coordinator.opsAddress,
    GEARMESH_SERVER_TOKEN: cluster.token,
    GEARMESH_DRAIN_TIMEOUT_MS: String(DRAIN_MS),
  });
  let isDone = false;
  try {
    const serves = async () => (await foreignHealth(coordinator.address)) === "SERVING";
    await eventually(serves, { what: "health of the image", deadlineMs: 60_000 });
    const pid = await container.pid();
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    t.regex(status, /^Uid:\t1000\t1000\t1000\t1000$/m);
    t.regex(status, /^NSpid:\t\d+\t1$/m, "Node is process 1");
    for (const set of ["CapPrm", "CapEff", "CapBnd"]) t.regex(status, new RegExp(`^${set}:\t0+$`, "m"));
    const mounts = await readFile(`/proc/${pid}/mountinfo`, "utf8");
    t.regex(mounts, / \/ \/ ro,| \S+ \/ ro[, ]/, "the root file system is read only");

    await using client = connect({ address: coordinator.address, token: cluster.token });
    await client.load(await readFile("examples/seed.js", "utf8"));
    t.regex(String(await client.call("lib.my_dbsize")), /^\d+$/, "a library runs in the sandbox process of the image");

    const stoppedAt = performance.now();
    process.kill(pid, "SIGTERM");
    t.is(await container.exitCode(), 0);
    const tookMs = performance.now() - stoppedAt;
    t.log(`stopped in ${Math.round(tookMs)} ms`);
    t.true(tookMs < STOP_MS);
    isDone = t.passed;
  } finally {
    if (!isDone) t.log(container.output.slice(-4000));
  }
});
