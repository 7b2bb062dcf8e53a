import { choice, optionalText } from "./setting.ts";

/** What is set of encryption. */
export const TLS_SETTINGS = {
  tlsCertFile: optionalText({
    doc: "PEM file with the certificate of this coordinator, followed by those that lead to its authority. With it `listen` speaks TLS alone, and so do links. Other coordinators find it by the host of its address (see tlsServerName), and it opens links with it, so it must be good for both ends (`serverAuth` and `clientAuth`). Read again when it changes, as are the two files below.",
    defaultDoc: "none: no TLS",
  }),
  tlsKeyFile: optionalText({ doc: "PEM file with the private key of tlsCertFile, without a passphrase." }),
  tlsCaFile: optionalText({
    doc: "PEM file with the authorities, one or more, that have signed the certificates of the other coordinators, and of clients where those must show one.",
  }),
  tlsClientCertificates: choice({
    doc: "Who must show a certificate that tlsCaFile vouches for, besides the token: peers (the other coordinators), all (clients and gRPC probes, too), or none.",
    of: ["peers", "all", "none"],
    default: "peers",
  }),
  tlsServerName: optionalText({
    doc: "Whom the certificates of the other coordinators must be for, where one name stands for all of them.",
    defaultDoc: "the host of their address, a name or an IP",
  }),
} as const;
