import test from "ava";
import fc from "fast-check";
import { ConfigError } from "../../../src/app/config/config-error.ts";
import { insecurities } from "../../../src/app/config/insecurities.ts";
import { flagOf, SETTING_ENTRIES, variableOf } from "../../../src/app/config/schema.ts";
import { type ResolvedSettings, resolveSettings } from "../../../src/app/config/settings.ts";

const TOKEN = "0123456789abcdef";
const REQUIRED = { GEARMESH_SERVER_TOKEN: TOKEN };

interface Given {
  readonly env?: Record<string, string>;
  readonly flags?: readonly string[];
  readonly files?: Record<string, string>;
}

function resolve({ env = REQUIRED, flags = [], files = {} }: Given = {}): ResolvedSettings {
  return resolveSettings({
    environment: env,
    flags,
    readFile: (path) => {
      const text = files[path];
      if (text === undefined) throw Object.assign(new Error("no such file"), { code: "ENOENT" });
      return text;
    },
  });
}

function problems(given: Given): readonly string[] {
  try {
    resolve(given);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

test("a token is all that must be set; addresses follow from Redis'", (t) => {
  const { settings } = resolve({ env: { ...REQUIRED, GEARMESH_REDIS: "127.0.0.1:12001" } });
  t.deepEqual(settings.serverTokens, [TOKEN]);
  t.deepEqual(settings.listen, { host: "127.0.0.1", port: 13001 });
  t.deepEqual(settings.opsListen, { host: "127.0.0.1", port: 14001 });
  t.is(settings.mode, "auto");
});

test("a flag wins over the file, the file over a variable, and each value says where it came from", (t) => {
  const { settings, effective } = resolve({
    env: {
      ...REQUIRED,
      GEARMESH_CONFIG: "c.json",
      GEARMESH_HEARTBEAT_MS: "5001",
      GEARMESH_MODE: "manual",
      GEARMESH_LOG_LEVEL: "warn",
    },
    files: { "c.json": '{"heartbeatMs": 5002, "logLevel": "error"}' },
    flags: ["--heartbeat-ms", "5003"],
  });
  t.is(settings.heartbeatMs, 5003);
  t.is(settings.logLevel, "error");
  t.is(settings.mode, "manual");
  const source = Object.fromEntries(effective.map((one) => [one.key, one.source]));
  t.like(source, { heartbeatMs: "flag", logLevel: "file", mode: "environment", redis: "default" });
});

test("--config wins over GEARMESH_CONFIG", (t) => {
  const { settings } = resolve({
    env: { ...REQUIRED, GEARMESH_CONFIG: "a.json" },
    files: { "b.json": '{"namespace": "b"}' },
    flags: ["--config=b.json"],
  });
  t.is(settings.namespace, "b");
});

test("every problem is listed at once", (t) => {
  const found = problems({
    env: { GEARMESH_LEESE_MS: "1", GEARMESH_MAX_CALLS: "many" },
    files: { "c.json": '{"nope": 1, "mode": "sometimes"}' },
    flags: ["--config", "c.json", "--no-such", "value", "stray", "--error-verbosity", "9", "--listen"],
  });
  t.deepEqual(
    found.map((problem) => problem.replace(/ must be .*/, "").replace(/:.*/, "")),
    [
      "unknown variable GEARMESH_LEESE_MS",
      'unknown key "nope" in c.json',
      "unknown flag --no-such",
      'unexpected argument "stray"',
      "--listen needs a value",
      "mode in c.json",
      "GEARMESH_MAX_CALLS",
      "--error-verbosity",
      "serverToken is not set",
    ],
  );
});

test("settings that do not fit together are refused", (t) => {
  const flags = (...args: string[]) => problems({ flags: args }).join("\n");
  t.regex(problems({ env: {} }).join(), /serverToken is not set.*openssl rand/);
  t.regex(flags("--server-token-file", "t"), /cannot read t \(ENOENT\)\n.*both set/);
  t.regex(flags("--max-call-timeout-ms", "1000"), /callTimeoutMs \(10000\) must not be more than maxCallTimeoutMs/);
  t.regex(flags("--max-result-bytes", "33554432"), /maxResultBytes/);
  t.regex(flags("--link-max-in-flight-bytes", "65536"), /linkMaxInFlightBytes/);
  t.regex(flags("--listen", "127.0.0.1:9", "--ops-listen", "127.0.0.1:9"), /both 127\.0\.0\.1:9/);
  t.regex(flags("--redis", "127.0.0.1:65000"), /listen would be port 66000/);
  t.regex(flags("--redis-username", "ann"), /redisUsername is set without/);
  const slow = ["--heartbeat-ms", "2000"];
  t.regex(
    flags(...slow),
    /leaseMs \(5000\) must be at least .* \(6000\), or one lost message ends the lease; 0 turns it off/,
  );
  for (const fits of [
    ["--lease-ms", "6000"],
    ["--lease-ms", "0"],
    ["--mode", "manual"],
  ])
    t.notRegex(flags(...slow, ...fits), /leaseMs/);
  for (const alone of ["--function-redis-username", "--function-redis-password"]) {
    t.regex(flags(alone, "ann"), /functionRedisUsername and its password .* are set only together/);
  }
  t.is(flags("--function-redis-username", "ann", "--function-redis-password", "secret").indexOf("functionRedis"), -1);
});

test("a listener that others reach is refused without TLS, unless told", (t) => {
  t.regex(problems({ flags: ["--listen", "0.0.0.0:7379"] }).join(), /there is no TLS: set tlsCertFile/);
  t.deepEqual(problems({ flags: ["--listen", "0.0.0.0:7379", "--allow-insecure"] }), []);
  for (const host of ["127.0.0.1", "127.1.2.3", "localhost", "[::1]"])
    t.deepEqual(problems({ flags: ["--listen", `${host}:1`] }), []);
  t.not(problems({ flags: ["--listen", "127.0.0.1.example.com:1"] }).length, 0);
});

test("secrets are read from files, and two tokens may hold", (t) => {
  const { settings } = resolve({
    env: {
      GEARMESH_SERVER_TOKEN_FILE: "token",
      GEARMESH_REDIS_PASSWORD_FILE: "password",
      GEARMESH_FUNCTION_REDIS_USERNAME: "ann",
      GEARMESH_FUNCTION_REDIS_PASSWORD_FILE: "another",
    },
    files: { token: `${TOKEN}-new\n${TOKEN}\n`, password: " with blanks \n", another: "of functions\r\n" },
  });
  t.deepEqual(settings.serverTokens, [`${TOKEN}-new`, TOKEN]);
  t.is(settings.redisPassword, " with blanks ");
  t.is(settings.functionRedisPassword, "of functions");
  t.deepEqual(resolve({ env: { GEARMESH_SERVER_TOKEN: `${TOKEN}a,${TOKEN}b` } }).settings.serverTokens, [
    `${TOKEN}a`,
    `${TOKEN}b`,
  ]);
});

test("no message and no effective setting shows a secret", (t) => {
  const short = "tooshort-secret";
  const shown = [
    ...problems({ env: { GEARMESH_SERVER_TOKEN: short } }),
    ...problems({ env: { GEARMESH_SERVER_TOKEN_FILE: "token" }, files: { token: short } }),
    ...problems({ flags: ["--server-token", `${short},${short},${short}`] }),
    ...problems({ flags: ["--config", "c"], files: { c: `{"serverToken": ${short}}` } }),
  ];
  t.is(shown.length, 4, shown.join("\n"));
  t.false(shown.join("\n").includes(short));
  const { effective } = resolve({ env: { ...REQUIRED, GEARMESH_REDIS_PASSWORD: "hunter2" } });
  t.false(JSON.stringify(effective).includes(TOKEN));
  t.false(JSON.stringify(effective).includes("hunter2"));
});

test("switches need no value and can be turned off", (t) => {
  t.true(resolve({ flags: ["--allow-insecure"] }).settings.allowInsecure);
  t.false(resolve({ flags: ["--no-reflection"] }).settings.reflection);
  t.false(resolve({ flags: ["--reflection=false"] }).settings.reflection);
  t.regex(problems({ flags: ["--no-lease-ms"] }).join(), /unknown flag --no-lease-ms/);
});

test("peers are named in pairs, as a text or in the file as an object", (t) => {
  const expected = new Map([["10.0.0.1:6379", { host: "proxy", port: 1 }]]);
  t.deepEqual(resolve({ flags: ["--peer-addresses", "10.0.0.1:6379=proxy:1"] }).settings.peerAddresses, expected);
  const files = { c: '{"peerAddresses": {"10.0.0.1:6379": "proxy:1"}}' };
  t.deepEqual(resolve({ flags: ["--config", "c"], files }).settings.peerAddresses, expected);
  t.is(problems({ flags: ["--peer-addresses", "a:1=b"] }).length, 1);
  t.is(problems({ flags: ["--peer-addresses", "a:1=b:2=c:3"] }).length, 1);
});

test("variables that Kubernetes makes for a Service called gearmesh are no settings", (t) => {
  const env = {
    ...REQUIRED,
    GEARMESH_SERVICE_HOST: "10.0.0.1",
    GEARMESH_SERVICE_PORT_GRPC: "7379",
    GEARMESH_PORT: "tcp://10.0.0.1:7379",
    GEARMESH_PORT_7379_TCP_ADDR: "10.0.0.1",
    GEARMESH_HEADLESS_SERVICE_PORT: "7379",
  };
  t.deepEqual(problems({ env }), []);
  t.is(problems({ env: { ...REQUIRED, GEARMESH_PEER_PORT_OFSET: "1" } }).length, 1);
});

test("names that users know keep their spelling as flags", (t) => {
  const { settings } = resolve({
    flags: ["--remote-task-default-timeout", "700"],
    env: { ...REQUIRED, GEARMESH_LOCK_REDIS_TIMEOUT: "800" },
  });
  t.is(settings.remoteTaskDefaultTimeoutMs, 700);
  t.is(settings.lockRedisTimeoutMs, 800);
});

test("flags and variables are unique, and every default is a value its own schema would take", (t) => {
  t.is(new Set(SETTING_ENTRIES.map(([key]) => flagOf(key))).size, SETTING_ENTRIES.length);
  t.is(new Set(SETTING_ENTRIES.map(([key]) => variableOf(key))).size, SETTING_ENTRIES.length);
  for (const [key, setting] of SETTING_ENTRIES) {
    if (typeof setting.default !== "object" && setting.default !== undefined) {
      t.deepEqual(setting.schema.parse(setting.default), setting.default, key);
      t.deepEqual(setting.schema.parse(String(setting.default)), setting.default, key);
    }
  }
});

test("whatever the sources hold, the answer is settings or a list of problems", (t) => {
  const flags = fc.array(fc.oneof(fc.constantFrom(...SETTING_ENTRIES.map(([key]) => `--${flagOf(key)}`)), fc.string()));
  const file = fc.oneof(fc.json(), fc.string());
  fc.assert(
    fc.property(flags, file, (args, text) => {
      t.notThrows(() => problems({ flags: ["--config", "c", ...args], files: { c: text } }));
    }),
  );
});

for (const [flag, key, value] of [
  ["remote-task-default-timeout", "remoteTaskDefaultTimeoutMs", 500],
  ["lock-redis-timeout", "lockRedisTimeoutMs", 500],
  ["library-maxmemory", "libraryMaxMemoryMb", 128],
  ["library-fatal-failure-policy", "libraryFatalFailurePolicy", "abort"],
  ["error-verbosity", "errorVerbosity", 1],
] as const) {
  test(`users of RedisGears 2 know --${flag}, and its default: ${value}`, (t) => {
    t.is(flagOf(key), flag);
    t.is(resolve().settings[key], value);
  });
}

const TLS_FLAGS = ["--tls-cert-file", "c", "--tls-key-file", "k", "--tls-ca-file", "a"];

test("TLS needs three files, that can be read and fit together", (t) => {
  t.regex(problems({ flags: TLS_FLAGS.slice(0, 4) }).join(), /tlsCertFile and tlsKeyFile is set alone: .* together/);
  t.is(problems({ flags: TLS_FLAGS }).filter((problem) => /cannot read [cka] \(ENOENT\)/.test(problem)).length, 3);
  const files = { c: "no certificate", k: "my-secret-key", a: "" };
  const found = problems({ flags: [...TLS_FLAGS, "--listen", "0.0.0.0:7379"], files });
  t.deepEqual(found, ["c, k, a: the certificate is not a PEM certificate"]);
});

test("the file of tokens is read at the start, and its problems are told without a token", (t) => {
  const flags = ["--tokens-file", "f"];
  const { settings } = resolve({ flags, files: { f: "call,metrics token-of-the-shop\n" } });
  t.deepEqual(settings.scopedTokens, [{ token: "token-of-the-shop", scopes: ["call", "metrics"] }]);
  const [problem = "", ...more] = problems({ flags, files: { f: "everything token-of-the-shop\n" } });
  t.deepEqual(more, []);
  t.regex(problem, /^f: line 1 must be scopes/);
  t.notRegex(problem, /shop/);
});

test("a start warns of an address that other machines reach without TLS, and of tokens at an ops port that they reach", (t) => {
  t.deepEqual(insecurities(resolve().settings), []);
  const open = resolve({ flags: ["--listen", "0.0.0.0:7379", "--allow-insecure", "--ops-listen", "0.0.0.0:8379"] });
  t.is(insecurities(open.settings).length, 1);
  t.regex(insecurities(open.settings).join(), /^listen is 0\.0\.0\.0:7379.*no TLS/);
  const guarded = resolve({ flags: ["--ops-listen", "0.0.0.0:8379", "--metrics-need-token"] });
  t.regex(insecurities(guarded.settings).join(), /^opsListen is 0\.0\.0\.0:8379/);
});
