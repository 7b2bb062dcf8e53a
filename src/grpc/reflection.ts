import type { AnyDefinition, PackageDefinition } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";

/** What tells clients which services there are, for `grpcurl` and the like. */
export function createReflection(packages: PackageDefinition): ReflectionService {
  return new ReflectionService(withDistinctFiles(packages));
}

/**
 * proto-loader gives every message and service the descriptors of all files, and the reflection service decodes each that it is given: 260 times
 * the same files, half a second of every start. One definition for each set of files says as much.
 */
function withDistinctFiles(packages: PackageDefinition): PackageDefinition {
  const byFiles = new Map<unknown, [string, AnyDefinition]>();
  for (const [name, definition] of Object.entries(packages)) {
    if ("fileDescriptorProtos" in definition && !byFiles.has(definition.fileDescriptorProtos)) {
      byFiles.set(definition.fileDescriptorProtos, [name, definition]);
    }
  }
  return Object.fromEntries(byFiles.values());
}
