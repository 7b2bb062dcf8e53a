import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { copyFile, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Names and addresses that the test clusters' coordinators are found by. */
const LOOPBACK = "IP:127.0.0.1,DNS:localhost";

/** The paths of one end's files, as settings and clients take them. */
export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** A certificate authority of a test, made by openssl in a directory of its own. */
export class Authority {
  readonly caFile: string;
  readonly #directory: string;
  #issued = 0;

  private constructor(directory: string) {
    this.#directory = directory;
    this.caFile = join(directory, "ca.crt");
  }

  static async create(directory: string, name: string): Promise<Authority> {
    const own = join(directory, name);
    await mkdir(own, { recursive: true });
    const authority = new Authority(own);
    const key = join(own, "ca.key");
    await openssl("req", "-x509", ...NEW_KEY, "-keyout", key, "-out", authority.caFile, "-subj", `/CN=${name}`);
    return authority;
  }

  /** For a day. `names`: as OpenSSL writes them. */
  async issue(names = LOOPBACK): Promise<CertificateFiles> {
    const base = join(this.#directory, `end-${++this.#issued}`);
    const [keyFile, certFile] = [`${base}.key`, `${base}.crt`];
    const [request, extensions] = [`${base}.csr`, `${base}.ext`];
    await writeFile(extensions, `subjectAltName=${names}\nextendedKeyUsage=serverAuth,clientAuth\n`);
    await openssl("req", ...NEW_KEY, "-keyout", keyFile, "-out", request, "-subj", "/CN=gearmesh");
    const signed = ["-CA", this.caFile, "-CAkey", join(this.#directory, "ca.key"), "-set_serial", newSerial()];
    await openssl("x509", "-req", "-in", request, ...signed, "-out", certFile, "-days", "1", "-extfile", extensions);
    return { certFile, keyFile };
  }
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

async function openssl(command: string, ...args: readonly string[]): Promise<void> {
  await run("openssl", [command, ...args]);
}

/** Puts files in the place of others, each at once, as one that is mounted by Kubernetes is. */
export async function replaceFiles(replacements: Readonly<Record<string, string>>): Promise<void> {
  for (const [target, source] of Object.entries(replacements)) {
    const next = `${target}.next`;
    await copyFile(source, next);
    await rename(next, target);
  }
}

/** The same with a text. */
export async function replaceText(target: string, text: string): Promise<void> {
  const source = `${target}.text`;
  await writeFile(source, text);
  await replaceFiles({ [target]: source });
  await rm(source);
}

/** Not by OpenSSL's file of serial numbers: two that are issued at once would read it while the other writes it. No two authorities give the same. */
function newSerial(): string {
  return `0x${randomBytes(8).toString("hex")}`;
}
