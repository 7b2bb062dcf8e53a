import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { SETTING_ENTRIES, variableOf } from "../../../src/app/config/schema.ts";
import { type ResolvedSettings, resolveSettings } from "../../../src/app/config/settings.ts";
import { packageVersion } from "../../../src/app/version.ts";
import { makeSecrets } from "../../support/deployment.ts";
import {
  type Container,
  containerOf,
  containersOf,
  environmentOf,
  jobTemplateOf,
  type Labels,
  type Manifest,
  manifestOf,
  manifestsOf,
  type PodTemplate,
  PROBES,
  portNumber,
  renderOverlay,
  statefulSetOf,
} from "../../support/manifests.ts";

/** What the kubelet puts in for fields of the pod. */
const FIELDS = { "metadata.name": "gearmesh-0", "metadata.namespace": "the-namespace" };
/** Of handover.sh, unless a variable says otherwise. Unit: s. */
const HANDOVER_S = 15;
const LINGER_S = 5;
/** `shutdown-timeout` of Redis. Unit: s. */
const REDIS_STOP_S = 10;

interface Selecting {
  readonly selector: Labels;
}

interface Policy {
  readonly podSelector: { readonly matchLabels: Labels };
  readonly ingress?: readonly {
    readonly from: readonly Peer[];
    readonly ports: readonly { readonly port: number }[];
  }[];
  readonly egress?: readonly { readonly to: readonly Peer[]; readonly ports: readonly { readonly port: number }[] }[];
}

interface Peer {
  readonly podSelector?: { readonly matchLabels: Labels };
  readonly namespaceSelector?: object;
}

function selects(selector: Labels, { metadata }: PodTemplate): boolean {
  return Object.entries(selector).every(([name, value]) => metadata.labels[name] === value);
}

/** The volume that a container has at the path, and whether it may write there. */
function volumeAt(
  { volumeMounts = [] }: Container,
  path: string,
): { readonly name: string; readonly writable: boolean } {
  const mount = volumeMounts.find(({ mountPath }) => path === mountPath || path.startsWith(`${mountPath}/`));
  if (!mount) throw new Error(`no volume is mounted at ${path}`);
  return { name: mount.name, writable: mount.readOnly !== true };
}

/** What a container finds in a file, by its volumes. */
function fileIn(container: Container, template: PodTemplate, manifests: readonly Manifest[], path: string): string {
  const mount = container.volumeMounts?.find(({ mountPath }) => path.startsWith(`${mountPath}/`));
  const volume = template.spec.volumes.find(({ name }) => name === mount?.name);
  const source = volume?.configMap?.name ?? volume?.secret?.secretName;
  const kind = volume?.configMap ? "ConfigMap" : "Secret";
  const name = path.slice((mount?.mountPath.length ?? 0) + 1);
  const items = volume?.secret?.items;
  const key = items ? items.find((item) => item.path === name)?.key : name;
  const text = key === undefined ? undefined : manifestOf(manifests, kind, source).data?.[key];
  if (text === undefined) throw Object.assign(new Error(`no file ${path}`), { code: "ENOENT" });
  return kind === "Secret" ? Buffer.from(text, "base64").toString() : text;
}

/** The variables that a container looks at: the settings of `serve`, what client commands know, or what stands in its scripts. */
function variablesRead(
  { image, args, command, lifecycle: { postStart, preStop } = {} }: Container,
  file: (path: string) => string,
): ReadonlySet<string> {
  if (image.startsWith("gearmesh:")) {
    if (!args) return new Set(SETTING_ENTRIES.map(([key]) => variableOf(key)));
    return new Set(readFileSync("src/cli/target.ts", "utf8").match(/GEARMESH_\w+/g));
  }
  const scripts = [command, postStart?.exec.command, preStop?.exec.command].flatMap((each) => each?.[1] ?? []);
  const texts = [...scripts, "/etc/redis/lib.sh"].map(file);
  return new Set(texts.join("\n").match(/(?<=\$\{?)[A-Z][A-Z_]*/g));
}

const directory = await mkdtemp(join(tmpdir(), "gearmesh-manifests-"));
const secrets = await makeSecrets(directory).finally(() => rm(directory, { recursive: true, force: true }));
const production = await renderOverlay("prod");
const overlays = [
  ["dev", await renderOverlay("dev")],
  ["prod", production],
] as const;

for (const [overlay, rendered] of overlays) {
  const manifests = [...rendered, ...(manifestsOf(rendered, "Secret").length > 0 ? [] : secrets)];
  const set = statefulSetOf(manifests);
  const nodes = set.template;
  const job = jobTemplateOf(manifests);
  const coordinator = containerOf(nodes, "gearmesh");
  const redis = containerOf(nodes, "redis");
  const file = (path: string) => fileIn(redis, nodes, manifests, path);
  const redisConf = (name: string) => new RegExp(`^${name} (.*)$`, "m").exec(file("/etc/redis/redis.conf"))?.[1];
  const resolved = (): ResolvedSettings =>
    resolveSettings({
      environment: Object.fromEntries(
        Object.entries(environmentOf(coordinator, FIELDS)).filter(([name]) => name.startsWith("GEARMESH_")),
      ),
      flags: [],
      readFile: (path) => fileIn(coordinator, nodes, manifests, path),
    });

  test(`${overlay}: a coordinator takes its variables, and they fit its ports, its probes and its Redis`, (t) => {
    const { settings } = resolved();
    const { listen, opsListen } = settings;
    t.is(listen.port, portNumber(coordinator, "grpc"));
    t.is(listen.port, settings.redis.port + settings.peerPortOffset, "others look for it there");
    t.is(opsListen.port, portNumber(coordinator, "ops"));
    const { grpc, httpGet } = coordinator.readinessProbe ?? {};
    // The kubelet's gRPC probe speaks no TLS.
    if (settings.tls) t.deepEqual([grpc, httpGet], [undefined, { path: "/ready", port: "ops" }]);
    else t.is(grpc?.port, listen.port);
    for (const name of ["startupProbe", "livenessProbe"] as const) {
      t.is(portNumber(coordinator, coordinator[name]?.httpGet?.port ?? "none"), opsListen.port);
      t.is(coordinator[name]?.httpGet?.path, "/live", "neither asks for Redis");
    }
    t.is(settings.redis.port, Number(redisConf("port")));
    t.is(settings.redis.port, portNumber(redis, "redis"));
    t.is(settings.redis.port + 10_000, portNumber(redis, "redis-bus"));
    t.is(settings.redisSocket, redisConf("unixsocket"));
    t.true(Number(redisConf("cluster-node-timeout")) > settings.leaseMs);
    t.is(settings.identity, FIELDS["metadata.name"]);
    t.is(settings.redisPassword, file("/etc/gearmesh/redis/password"), "Redis is told the same password");
  });

  test(`${overlay}: Redis writes where it may, keeps its data on the claim, and shares its socket with the coordinator`, (t) => {
    const claims = set.volumeClaimTemplates.map(({ metadata }) => metadata.name);
    const data = volumeAt(redis, redisConf("dir") ?? "");
    t.deepEqual(data, { name: claims[0] ?? "", writable: true });
    const socket = redisConf("unixsocket") ?? "";
    t.true(volumeAt(redis, socket).writable);
    t.is(volumeAt(coordinator, socket).name, volumeAt(redis, socket).name);
    t.truthy(nodes.spec.volumes.find(({ name }) => name === volumeAt(redis, socket).name)?.emptyDir);
    t.is(redisConf("include"), "/etc/redis/overlay.conf");
    t.is(volumeAt(redis, redisConf("include") ?? "").name, "config", "what an overlay adds is there");
    for (const container of [...containersOf(nodes), ...containersOf(job)]) {
      for (const { name, mountPath, readOnly } of container.volumeMounts ?? []) {
        const isOwn = [data.name, volumeAt(redis, socket).name].includes(name);
        t.is(readOnly === true, !isOwn, `${container.name} ${mountPath}`);
      }
    }
  });

  test(`${overlay}: each variable is read by what its container runs`, (t) => {
    for (const template of [nodes, job]) {
      for (const container of containersOf(template)) {
        const read = variablesRead(container, (path) => fileIn(container, template, manifests, path));
        const values = (container.env ?? []).map(({ value = "" }) => value).join();
        for (const { name } of container.env ?? []) {
          t.true(read.has(name) || values.includes(`$(${name})`), `${container.name} reads ${name}`);
        }
      }
    }
  });

  test(`${overlay}: the image of each container is one release, that of this repository`, (t) => {
    for (const { name, image } of [...containersOf(nodes), ...containersOf(job)]) {
      if (image.startsWith("gearmesh")) t.is(image, `gearmesh:${packageVersion()}`, name);
      else t.regex(image, /^redis:\d+\.\d+-/, `${name} is pinned`);
    }
  });

  test(`${overlay}: a pod's grace period is longer than all that happens in it`, (t) => {
    const neededS = HANDOVER_S + LINGER_S + REDIS_STOP_S + resolved().settings.drainTimeoutMs / 1000;
    t.true((nodes.spec.terminationGracePeriodSeconds ?? 0) >= 2 * neededS);
  });

  test(`${overlay}: the coordinator is a native sidecar, so it starts before Redis and stops after it`, (t) => {
    t.deepEqual(nodes.spec.initContainers, [coordinator]);
    t.is(coordinator.restartPolicy, "Always");
    t.deepEqual(nodes.spec.containers, [redis]);
  });

  test(`${overlay}: each Service leads to the nodes' pods and to ports that they have`, (t) => {
    t.true(selects(set.selector.matchLabels, nodes));
    const ports = containersOf(nodes).flatMap((container) => container.ports ?? []);
    for (const { metadata, spec } of manifestsOf(manifests, "Service")) {
      const service = spec as Selecting & {
        readonly ports: readonly { readonly port: number; readonly targetPort: string }[];
      };
      t.true(selects(service.selector, nodes), metadata.name);
      t.false(selects(service.selector, job), `${metadata.name} does not lead to the Job`);
      for (const { port, targetPort } of service.ports) {
        t.is(ports.find(({ name }) => name === targetPort)?.containerPort, port, `${metadata.name} ${targetPort}`);
      }
    }
    const naming = manifestOf(manifests, "Service", set.serviceName).spec as object;
    t.like(naming, { clusterIP: "None", publishNotReadyAddresses: true });
  });

  for (const [what, template] of [
    ["node", nodes],
    ["Job", job],
  ] as const) {
    test(`${overlay}: what the containers of a ${what} mount, run and read is there`, (t) => {
      const claims = what === "node" ? set.volumeClaimTemplates.map(({ metadata }) => metadata.name) : [];
      const volumes = [...template.spec.volumes.map(({ name }) => name), ...claims];
      const mounted = containersOf(template).flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name));
      t.deepEqual(volumes.sort(), [...new Set(mounted)].sort());
      for (const { configMap, secret } of template.spec.volumes) {
        if (configMap) t.truthy(manifestOf(manifests, "ConfigMap", configMap.name));
        if (secret) t.truthy(manifestOf(manifests, "Secret", secret.secretName));
      }
      for (const container of containersOf(template)) {
        const variables = environmentOf(container, FIELDS);
        for (const value of Object.values(variables))
          t.notRegex(value, /\$\(/, "each reference is to a variable before");
        for (const [name, path] of Object.entries(variables)) {
          if (name.endsWith("_FILE")) t.not(fileIn(container, template, manifests, path), "", name);
        }
        const { postStart, preStop } = container.lifecycle ?? {};
        for (const command of [container.command, postStart?.exec.command, preStop?.exec.command]) {
          const script = command?.[1];
          if (script === undefined) continue;
          const text = [script, "/etc/redis/lib.sh"]
            .map((path) => fileIn(container, template, manifests, path))
            .join("\n");
          const used = new Set([...text.matchAll(/\$\{?([A-Z][A-Z_]*)(?!\w|:-)/g)].map(([, name]) => name ?? ""));
          const own = new Set([...text.matchAll(/^\s*([A-Z_]+)=/gm)].map(([, name]) => name));
          for (const name of used) t.true(name in variables || own.has(name), `${script} needs ${name}`);
        }
      }
    });

    test(`${overlay}: a ${what} runs under the restricted profile, and its probes ask for ports that it has`, (t) => {
      const { securityContext, automountServiceAccountToken } = template.spec;
      t.like(securityContext, { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
      t.not(securityContext?.runAsUser ?? 0, 0);
      t.false(automountServiceAccountToken);
      for (const container of containersOf(template)) {
        t.deepEqual(container.securityContext, {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        });
        t.truthy(container.resources?.requests["memory"]);
        t.truthy(container.resources?.limits["memory"]);
        for (const probe of PROBES.map((name) => container[name])) {
          if (!probe) continue;
          const port =
            probe.grpc?.port ?? portNumber(container, probe.httpGet?.port ?? probe.tcpSocket?.port ?? "none");
          t.true(container.ports?.some(({ containerPort }) => containerPort === port));
        }
      }
    });
  }

  test(`${overlay}: the Job forms the cluster of the StatefulSet's pods, and refreshes one of them`, (t) => {
    const { name, namespace } = manifestOf(manifests, "StatefulSet").metadata;
    t.is(namespace, manifestOf(manifests, "Namespace").metadata.name);
    const form = environmentOf(containerOf(job, "form"), FIELDS);
    t.is(form["STATEFULSET"], name);
    t.is(form["NODES"], String(set.replicas));
    t.is(form["NODES_DOMAIN"], environmentOf(redis, FIELDS)["NODES_DOMAIN"], "the pods announce themselves there");
    t.is(form["NODES_DOMAIN"], `${set.serviceName}.${FIELDS["metadata.namespace"]}.svc.cluster.local`);
    const refresh = environmentOf(containerOf(job, "refresh"), FIELDS);
    t.is(refresh["GEARMESH_ADDRESS"], `${name}-0.${form["NODES_DOMAIN"]}:${portNumber(coordinator, "grpc")}`);
  });
}

test("prod: coordinators speak TLS, the Job believes their authority and has no key, and no Service says otherwise", (t) => {
  const coordinator = environmentOf(containerOf(statefulSetOf(production).template, "gearmesh"), FIELDS);
  t.false("GEARMESH_ALLOW_INSECURE" in coordinator);
  t.is(coordinator["GEARMESH_TLS_CERT_FILE"], "/etc/gearmesh/tls/tls.crt");
  const job = jobTemplateOf(production);
  t.is(environmentOf(containerOf(job, "refresh"), FIELDS)["GEARMESH_TLS_CA_FILE"], "/etc/gearmesh/tls/ca.crt");
  const secret = job.spec.volumes.find(({ name }) => name === "tls")?.secret;
  t.deepEqual(secret, {
    secretName: "gearmesh-tls",
    defaultMode: 0o440,
    items: [{ key: "ca.crt", path: "ca.crt" }],
  } as typeof secret);
  for (const { metadata, spec } of manifestsOf(production, "Service")) {
    t.notRegex(JSON.stringify(spec), /h2c/, metadata.name);
  }
});

test("prod: each Secret that it expects is one that docs/KUBERNETES.md has its reader make, with those keys", (t) => {
  const page = readFileSync("docs/KUBERNETES.md", "utf8");
  const made = [...page.matchAll(/create secret generic (\S+) --from-file=(\w+)=/g)].map(([, name, key]) => [
    name,
    [key],
  ]);
  const [, name, keys = ""] = /The Secret `(\S+)` has the keys (.*?)\. \[/s.exec(page) ?? [];
  made.push([name, [...keys.matchAll(/`(\S+)`/g)].map(([, key]) => key)]);
  t.deepEqual(made.sort(), secrets.map(({ metadata, data }) => [metadata.name, Object.keys(data ?? {})]).sort());
  const mounted = [statefulSetOf(production).template, jobTemplateOf(production)]
    .flatMap(({ spec }) => spec.volumes)
    .flatMap(({ secret }) => secret?.secretName ?? []);
  t.deepEqual([...new Set(mounted)].sort(), secrets.map(({ metadata }) => metadata.name).sort());
});

test("prod: the certificate that docs/KUBERNETES.md asks for names every node, as the others and the Job call it", (t) => {
  const page = readFileSync("docs/KUBERNETES.md", "utf8");
  const { serviceName } = statefulSetOf(production);
  const { namespace = "" } = manifestOf(production, "StatefulSet").metadata;
  t.true(page.includes(`- "*.${serviceName}.${namespace}.svc.cluster.local"`));
  for (const client of [`gearmesh.${namespace}.svc.cluster.local`, `gearmesh.${namespace}.svc`]) {
    t.true(page.includes(`    - ${client} `) || page.includes(`    - ${client}\n`), client);
  }
});

test("prod: the PodMonitor gives the coordinators the job that the alerts ask for", (t) => {
  const { name, namespace } = manifestOf(production, "PodMonitor").metadata;
  const asked = /up\{job=~"(.*?)"\}/.exec(readFileSync("monitoring/alerts.yaml", "utf8"))?.[1];
  t.regex(`${namespace}/${name}`, new RegExp(`^(?:${asked})$`));
});

test("prod: the disruption budget, the spread and the PodMonitor are for the nodes' pods", (t) => {
  const { template } = statefulSetOf(production);
  const job = jobTemplateOf(production);
  const spread = template.spec.topologySpreadConstraints?.map(({ labelSelector }) => labelSelector.matchLabels) ?? [];
  t.is(spread.length, 2);
  const selectors = [...spread];
  for (const kind of ["PodDisruptionBudget", "PodMonitor"]) {
    const { selector } = manifestOf(production, kind).spec as { readonly selector: { readonly matchLabels: Labels } };
    selectors.push(selector.matchLabels);
  }
  for (const selector of selectors) {
    t.true(selects(selector, template));
    t.false(selects(selector, job));
  }
  const { podMetricsEndpoints } = manifestOf(production, "PodMonitor").spec as {
    readonly podMetricsEndpoints: readonly { readonly port: string; readonly path: string }[];
  };
  t.deepEqual(
    podMetricsEndpoints.map(({ port, path }) => [portNumber(containerOf(template, "gearmesh"), port), path]),
    [[8379, "/metrics"]],
  );
});

test("prod: the network policies let in and out what is needed and nothing else", (t) => {
  const nodes = statefulSetOf(production).template;
  const job = jobTemplateOf(production);
  const policies = manifestsOf(production, "NetworkPolicy").map(({ spec }) => spec as Policy);
  const kinds = { nodes, job };
  const named = (peer: Peer): string =>
    Object.entries(kinds)
      .filter(([, template]) => !peer.namespaceSelector && selects(peer.podSelector?.matchLabels ?? {}, template))
      .map(([kind]) => kind)
      .join() || JSON.stringify(peer.podSelector?.matchLabels ?? peer.namespaceSelector);
  const allowed = (template: PodTemplate, direction: "ingress" | "egress") =>
    policies
      .filter(({ podSelector }) => selects(podSelector.matchLabels, template))
      .flatMap((policy) =>
        direction === "ingress"
          ? (policy.ingress ?? []).map(({ from, ports }) => ({ peers: from, ports }))
          : (policy.egress ?? []).map(({ to, ports }) => ({ peers: to, ports })),
      )
      .flatMap(({ peers, ports }) => peers.map((peer) => [named(peer), ports.map(({ port }) => port)]));
  const [grpc, ops] = ["grpc", "ops"].map((port) => portNumber(containerOf(nodes, "gearmesh"), port));
  const [redis, bus] = ["redis", "redis-bus"].map((port) => portNumber(containerOf(nodes, "redis"), port));
  const dns = ['{"matchLabels":{"kubernetes.io/metadata.name":"kube-system"}}', [53, 53]];
  t.deepEqual(allowed(nodes, "ingress"), [
    ["nodes", [grpc, redis, bus]],
    ["job", [grpc, redis]],
    ['{"gearmesh.io/client":"true"}', [grpc]],
    ['{"gearmesh.io/redis-client":"true"}', [redis]],
    ['{"matchLabels":{"kubernetes.io/metadata.name":"monitoring"}}', [ops]],
  ]);
  t.deepEqual(allowed(job, "ingress"), []);
  const sorted = (rules: readonly unknown[]) => rules.map(String).sort();
  const out = (template: PodTemplate) => [...new Set(sorted(allowed(template, "egress")))];
  t.deepEqual(out(nodes), sorted([["nodes", [grpc, redis, bus]], dns]));
  t.deepEqual(out(job), sorted([["nodes", [grpc, redis]], dns]));
});
