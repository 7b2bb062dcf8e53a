import { identityProblem, type TlsIdentity } from "../../grpc/tls-identity.ts";
import type { ScopedToken } from "../../grpc/token-check.ts";
import { SETTINGS, type SettingValues } from "./schema.ts";
import { parseTokenFile } from "./token-file.ts";

/** A secret that lies in files and is read again when they change. `parse` gets their texts in the order of `paths`, and throws an Error whose text shows nothing of them. */
export interface SecretFiles<T> {
  readonly paths: readonly string[];
  readonly parse: (texts: readonly string[]) => T;
}

/** Where the serverToken is; undefined where it is in no file. */
export function serverTokenFiles({
  serverTokenFile,
}: Pick<SettingValues, "serverTokenFile">): SecretFiles<readonly string[]> | undefined {
  if (serverTokenFile === undefined) return undefined;
  return {
    paths: [serverTokenFile],
    parse([text]) {
      const { data } = SETTINGS.serverToken.schema.safeParse(text);
      if (!data) throw new Error(`must hold ${SETTINGS.serverToken.accepts}`);
      return data;
    },
  };
}

export function scopedTokenFiles({
  tokensFile,
}: Pick<SettingValues, "tokensFile">): SecretFiles<readonly ScopedToken[]> | undefined {
  return tokensFile === undefined ? undefined : { paths: [tokensFile], parse: ([text = ""]) => parseTokenFile(text) };
}

/** Undefined without TLS, and where one of its files is not named, which is a problem of its own. */
export function tlsFiles({
  tlsCertFile,
  tlsKeyFile,
  tlsCaFile,
}: Pick<SettingValues, "tlsCertFile" | "tlsKeyFile" | "tlsCaFile">): SecretFiles<TlsIdentity> | undefined {
  if (tlsCertFile === undefined || tlsKeyFile === undefined || tlsCaFile === undefined) return undefined;
  return {
    paths: [tlsCertFile, tlsKeyFile, tlsCaFile],
    parse([certificate = "", key = "", authorities = ""]) {
      const identity = { certificate, key, authorities };
      const problem = identityProblem(identity);
      if (problem !== undefined) throw new Error(problem);
      return identity;
    },
  };
}
