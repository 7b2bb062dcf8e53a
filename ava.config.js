/**
 * `npm test` runs what a change must pass; `npm run test:full` (which sets GEARMESH_TEST_SUITE=full) runs the chaos tests and
 * the long ones, and the integration tests once more with other seeds.
 */
const full = process.env.GEARMESH_TEST_SUITE === "full";

export default {
  extensions: ["ts"],
  // isolated-vm asks for it.
  nodeArguments: ["--no-node-snapshot"],
  files: full
    ? ["test/chaos/**/*.test.ts", "test/**/*.long.test.ts"]
    : ["test/unit/**/*.test.ts", "test/integration/**/*.test.ts", "!test/**/*.long.test.ts"],
  // Two cores are what a change is tested on, and each integration test brings up a whole cluster.
  concurrency: 2,
  timeout: "2m",
  workerThreads: false,
};
