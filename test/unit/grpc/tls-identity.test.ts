import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { certificatesIn, expiryOf, identityProblem, type TlsIdentity } from "../../../src/grpc/tls-identity.ts";
import { Authority } from "../../support/certificates.ts";

const DAY_MS = 86_400_000;

let directory: string;
let good: TlsIdentity;
let other: TlsIdentity;

test.before(async () => {
  directory = await mkdtemp(join(tmpdir(), "gearmesh-certificates-"));
  const authority = await Authority.create(directory, "authority");
  const made = async (): Promise<TlsIdentity> => {
    const { certFile, keyFile } = await authority.issue();
    const [certificate, key, authorities] = await Promise.all(
      [certFile, keyFile, authority.caFile].map((path) => readFile(path, "utf8")),
    );
    return { certificate: certificate ?? "", key: key ?? "", authorities: authorities ?? "" };
  };
  [good, other] = await Promise.all([made(), made()]);
});

test.after.always(() => rm(directory, { recursive: true, force: true }));

test("a certificate, its key and an authority are fine, and say when they end", (t) => {
  t.is(identityProblem(good), undefined);
  const leftMs = expiryOf(good) - Date.now();
  t.true(leftMs > 0 && leftMs <= DAY_MS);
});

test("what does not fit, is none, or is not of today is named", (t) => {
  t.regex(identityProblem({ ...good, key: other.key }) ?? "", /not that of the certificate/);
  t.regex(identityProblem({ ...good, certificate: "" }) ?? "", /certificate is not a PEM certificate/);
  t.regex(identityProblem({ ...good, key: good.certificate }) ?? "", /key is not a PEM private key/);
  t.regex(identityProblem({ ...good, authorities: good.key }) ?? "", /authorities are not PEM/);
  t.regex(identityProblem(good, new Date(Date.now() + 2 * DAY_MS)) ?? "", /has expired/);
  t.regex(identityProblem(good, new Date(Date.now() - 2 * DAY_MS)) ?? "", /not valid yet/);
});

test("a bundle has several authorities", (t) => {
  t.is(certificatesIn(`${good.authorities}# another one\n${good.certificate}`).length, 2);
});
