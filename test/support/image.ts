import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { eventually } from "./eventually.ts";

const run = promisify(execFile);

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BASE_SCRIPT = fileURLToPath(new URL("./image-base.sh", import.meta.url));
/** The base image is kept there: it takes a minute to make. */
const CACHE = join(ROOT, "node_modules/.cache/image");
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
const TAG = "localhost/gearmesh:test";

/** Has buildah keep its images in our own directory. */
const STORAGE_CONF = join(CACHE, "storage.conf");
const STORAGE = `[storage]\ndriver = "vfs"\ngraphroot = "${CACHE}/storage"\nrunroot = "${CACHE}/run"\n`;
/** No engine and no overlay file system: buildah as it runs anywhere. */
const BUILDAH_ENV = {
  ...process.env,
  STORAGE_DRIVER: "vfs",
  BUILDAH_ISOLATION: "chroot",
  CONTAINERS_STORAGE_CONF: STORAGE_CONF,
};

/** What an image says of how it is run. */
export interface ImageConfig {
  readonly User: string;
  readonly Env: readonly string[];
  readonly WorkingDir: string;
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
  readonly Labels: Readonly<Record<string, string>>;
  readonly ExposedPorts: Readonly<Record<string, object>>;
  readonly Healthcheck?: object;
}

/** An image that was built from a clean checkout of HEAD. */
export interface BuiltImage extends AsyncDisposable {
  readonly config: ImageConfig;
  /** Its file system, unpacked. */
  readonly root: string;
  /** What it takes more than its base. Unit: bytes. */
  readonly addedBytes: number;
}

async function buildah(...args: string[]): Promise<string> {
  const { stdout } = await run("buildah", args, { env: BUILDAH_ENV, maxBuffer: MAX_OUTPUT_BYTES });
  return stdout.trim();
}

export async function buildImage(): Promise<BuiltImage> {
  await mkdir(CACHE, { recursive: true });
  await writeFile(STORAGE_CONF, STORAGE);
  const base = await ensureBase();
  await using stack = new AsyncDisposableStack();
  const checkout = await mkdtemp(join(tmpdir(), "gearmesh-checkout-"));
  stack.defer(() => rm(checkout, { recursive: true, force: true }));
  await run("sh", ["-c", 'git archive HEAD | tar x -C "$1"', "sh", checkout], { cwd: ROOT });
  await buildah("bud", "--pull-never", "--layers=false", "--quiet", "--tag", TAG, checkout);
  const built = new AsyncDisposableStack();
  built.defer(() => buildah("rmi", TAG).then(() => undefined));
  const baseBytes = await sizeOf(await mountImage(base, stack));
  const root = await mountImage(TAG, built);
  const { OCIv1 } = JSON.parse(await buildah("inspect", "--type", "image", TAG)) as { OCIv1: { config: ImageConfig } };
  const addedBytes = (await sizeOf(root)) - baseBytes;
  return { config: OCIv1.config, root, addedBytes, [Symbol.asyncDispose]: () => built.disposeAsync() };
}

/** The image that the Dockerfile names; made here, if need be, where it would be fetched elsewhere. */
async function ensureBase(): Promise<string> {
  const dockerfile = await readFile(join(ROOT, "Dockerfile"), "utf8");
  const [, name = ""] = /^FROM (\S+)$/m.exec(dockerfile) ?? [];
  const image = `docker.io/library/${name}`;
  const isThere = await buildah("images", "--quiet", image).catch(() => "");
  if (isThere !== "") return image;
  const { stdout: modules } = await run("npm", ["root", "--global"]);
  await run("sh", [BASE_SCRIPT, image, process.execPath, join(modules.trim(), "npm"), CACHE], { env: BUILDAH_ENV });
  return image;
}

async function mountImage(image: string, stack: AsyncDisposableStack): Promise<string> {
  const container = await buildah("from", "--pull-never", image);
  stack.defer(() => buildah("rm", container).then(() => undefined));
  return buildah("mount", container);
}

async function sizeOf(directory: string): Promise<number> {
  const { stdout } = await run("du", ["--summarize", "--bytes", "--one-file-system", directory]);
  return Number(stdout.split("\t", 1)[0]);
}

/** An image that runs as a container: process 1 of its own, its user, no capabilities, and a file system that it cannot write to. */
export class ImageProcess {
  readonly #unshare: ChildProcess;
  readonly #output: string[] = [];
  readonly #ended: Promise<unknown>;

  /** `env`: further variables. `args`: in place of the image's command. */
  constructor({ root, config }: BuiltImage, env: Readonly<Record<string, string>>, args = config.Cmd) {
    const [uid, gid = uid] = config.User.split(":");
    const variables = [...config.Env, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)];
    const confined = [
      "setpriv",
      "--no-new-privs",
      "--bounding-set=-all",
      "--inh-caps=-all",
      `--reuid=${uid}`,
      `--regid=${gid}`,
      "--clear-groups",
    ];
    const command = [
      ...confined,
      "env",
      "-i",
      `--chdir=${config.WorkingDir}`,
      ...variables,
      ...config.Entrypoint,
      ...args,
    ];
    const script = `mount --bind "$0" "$0" && mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" &&
      mount -o remount,bind,ro "$0" && exec chroot "$0" "$@"`;
    const namespaces = ["--mount", "--pid", "--fork"];
    this.#unshare = spawn("unshare", [...namespaces, "sh", "-c", script, root, ...command], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: process.env["PATH"] ?? "" },
    });
    for (const stream of [this.#unshare.stdout, this.#unshare.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => this.#output.push(text));
    }
    this.#ended = once(this.#unshare, "close");
  }

  get output(): string {
    return this.#output.join("");
  }

  /** Of the container's process 1, as the machine sees it. */
  async pid(): Promise<number> {
    const { pid } = this.#unshare;
    const children = () => readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
    return eventually(async () => Number((await children()).trim()), { what: "a process in the container" });
  }

  /** Its exit code, once it has ended. */
  async exitCode(): Promise<number | null> {
    await this.#ended;
    return this.#unshare.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // With process 1 all of its namespace ends. It has changed its user, so it does not end with unshare.
    if (this.#unshare.exitCode === null) process.kill(await this.pid(), "SIGKILL");
    await this.#ended;
  }
}
