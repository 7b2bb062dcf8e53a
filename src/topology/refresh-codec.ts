import { WireReader, WireWriter } from "../base/wire.ts";
import type { RefreshedMap } from "./cluster-refresh.ts";

/** `gearmesh.v1.RefreshTopologyResponse`. */
export function encodeRefreshedMap({ version, hash }: RefreshedMap): Buffer {
  return new WireWriter().uint(1, version).string(2, hash).finish();
}

export function decodeRefreshedMap(message: Uint8Array): RefreshedMap {
  let version = 0;
  let hash = "";
  const reader = new WireReader(message);
  while (reader.next()) {
    if (reader.field === 1) version = reader.uint();
    else if (reader.field === 2) hash = reader.string();
  }
  return { version, hash };
}
