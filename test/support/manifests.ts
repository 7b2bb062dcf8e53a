import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { parseAllDocuments } from "yaml";

const run = promisify(execFile);

/** Those of `k8s/overlays`. */
export const OVERLAYS = ["dev", "prod"] as const;
export type Overlay = (typeof OVERLAYS)[number];

export type Labels = Readonly<Record<string, string>>;

/** An object of Kubernetes, as far as tests look at it. The schemas say whether it is one. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Labels };
  readonly spec?: unknown;
  readonly data?: Labels;
}

export interface EnvVariable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly fieldRef?: { readonly fieldPath: string } };
}

export interface Probe {
  readonly grpc?: { readonly port: number; readonly service?: string };
  readonly httpGet?: { readonly path: string; readonly port: string | number };
  readonly tcpSocket?: { readonly port: string | number };
}

export const PROBES = ["startupProbe", "livenessProbe", "readinessProbe"] as const;

export interface Hook {
  readonly exec: { readonly command: readonly string[] };
}

export interface SecurityContext {
  readonly runAsNonRoot?: boolean;
  readonly runAsUser?: number;
  readonly allowPrivilegeEscalation?: boolean;
  readonly readOnlyRootFilesystem?: boolean;
  readonly capabilities?: { readonly drop?: readonly string[]; readonly add?: readonly string[] };
  readonly seccompProfile?: { readonly type: string };
}

export interface Container extends Readonly<Partial<Record<(typeof PROBES)[number], Probe>>> {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly restartPolicy?: string;
  readonly env?: readonly EnvVariable[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly lifecycle?: { readonly postStart?: Hook; readonly preStop?: Hook };
  readonly resources?: Readonly<Record<"requests" | "limits", Readonly<Record<string, string>>>>;
  readonly securityContext?: SecurityContext;
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
}

export interface Volume {
  readonly name: string;
  readonly configMap?: { readonly name: string };
  /** `items`: those of its keys that are there, and as which file; undefined: all, by their names. */
  readonly secret?: {
    readonly secretName: string;
    readonly items?: readonly { readonly key: string; readonly path: string }[];
  };
  readonly emptyDir?: object;
}

export interface PodTemplate {
  readonly metadata: { readonly labels: Labels };
  readonly spec: {
    readonly automountServiceAccountToken?: boolean;
    readonly terminationGracePeriodSeconds?: number;
    readonly securityContext?: SecurityContext;
    readonly topologySpreadConstraints?: readonly { readonly labelSelector: { readonly matchLabels: Labels } }[];
    readonly initContainers: readonly Container[];
    readonly containers: readonly Container[];
    readonly volumes: readonly Volume[];
  };
}

export interface StatefulSetSpec {
  readonly replicas: number;
  readonly serviceName: string;
  readonly selector: { readonly matchLabels: Labels };
  readonly template: PodTemplate;
  readonly volumeClaimTemplates: readonly { readonly metadata: { readonly name: string } }[];
}

/** What `kubectl apply -k k8s/overlays/...` would send. */
export async function renderOverlay(overlay: Overlay): Promise<readonly Manifest[]> {
  const directory = fileURLToPath(new URL(`../../k8s/overlays/${overlay}`, import.meta.url));
  const { stdout } = await run("kubectl", ["kustomize", directory]);
  return parseAllDocuments(stdout).map((document) => document.toJS() as Manifest);
}

export function manifestsOf(manifests: readonly Manifest[], kind: string): readonly Manifest[] {
  return manifests.filter((manifest) => manifest.kind === kind);
}

/** The one object of that kind, and name where one is given. */
export function manifestOf(manifests: readonly Manifest[], kind: string, name?: string): Manifest {
  const found = manifestsOf(manifests, kind).filter(({ metadata }) => name === undefined || metadata.name === name);
  const [only] = found;
  if (!only || found.length > 1) throw new Error(`there are ${found.length} of ${kind} ${name ?? ""}`);
  return only;
}

export function statefulSetOf(manifests: readonly Manifest[]): StatefulSetSpec {
  return manifestOf(manifests, "StatefulSet").spec as StatefulSetSpec;
}

export function jobTemplateOf(manifests: readonly Manifest[]): PodTemplate {
  return (manifestOf(manifests, "Job").spec as { readonly template: PodTemplate }).template;
}

export function containersOf({ spec }: PodTemplate): readonly Container[] {
  return [...spec.initContainers, ...spec.containers];
}

export function containerOf(template: PodTemplate, name: string): Container {
  const found = containersOf(template).find((container) => container.name === name);
  if (!found) throw new Error(`there is no container ${name}`);
  return found;
}

/** A port by its name or its number, as probes and Services give it. */
export function portNumber({ name, ports }: Container, port: string | number): number {
  const found = typeof port === "number" ? port : ports?.find((one) => one.name === port)?.containerPort;
  if (found === undefined) throw new Error(`the container ${name} has no port ${port}`);
  return found;
}

/** The variables as the kubelet makes them: fields of the pod looked up, and earlier variables put in for `$(NAME)`. */
export function environmentOf(
  { env = [] }: Container,
  fields: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const values: Record<string, string> = {};
  for (const { name, value = "", valueFrom } of env) {
    const field = valueFrom?.fieldRef?.fieldPath;
    const text = field === undefined ? value : fields[field];
    if (text === undefined) throw new Error(`${name} takes the field ${field}, which is not there`);
    values[name] = text.replaceAll(/\$\((\w+)\)/g, (reference, other: string) => values[other] ?? reference);
  }
  return values;
}
