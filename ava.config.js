import { globSync } from "node:fs";

const LONG = ["test/chaos/**/*.test.ts", "test/**/*.long.test.ts"];
const INTEGRATION = ["test/integration/**/*.test.ts", "!test/**/*.long.test.ts"];

/** What a change must pass, or (GEARMESH_TEST_SUITE) what takes longer (full), or the image's test (image). */
function files() {
  if (process.env.GEARMESH_TEST_SUITE === "image") return ["test/image/**/*.test.ts"];
  if (process.env.GEARMESH_TEST_SUITE !== "full") return ["test/unit/**/*.test.ts", ...INTEGRATION];
  if (globSync(LONG).length > 0) return LONG;
  console.error("There are no long tests: the integration tests run once more, with other seeds.");
  return INTEGRATION;
}

export default {
  extensions: ["ts"],
  // isolated-vm asks for it.
  nodeArguments: ["--no-node-snapshot"],
  files: files(),
  require: ["./test/support/exit-check.ts"],
  // Two cores are what a change is tested on, and each integration test brings up a whole cluster.
  concurrency: 2,
  // Without a result, on machines that have other things to do, too.
  timeout: "5m",
  workerThreads: false,
};
