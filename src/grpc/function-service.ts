import type { ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import type { CallContext } from "../base/call-context.ts";
import { parseLibraryHeader } from "../functions/library-header.ts";
import type { LibraryLifecycle } from "../functions/library-lifecycle.ts";
import type { LibraryRegistry, ServedLibrary } from "../functions/library-registry.ts";
import type { Definitions } from "./definitions.ts";
import type { DeleteRequest__Output } from "./generated/gearmesh/v1/DeleteRequest.ts";
import type { DeleteResponse } from "./generated/gearmesh/v1/DeleteResponse.ts";
import type { Library } from "./generated/gearmesh/v1/Library.ts";
import type { ListRequest__Output } from "./generated/gearmesh/v1/ListRequest.ts";
import type { ListResponse } from "./generated/gearmesh/v1/ListResponse.ts";
import type { LoadRequest__Output } from "./generated/gearmesh/v1/LoadRequest.ts";
import type { LoadResponse } from "./generated/gearmesh/v1/LoadResponse.ts";
import type { RollbackRequest__Output } from "./generated/gearmesh/v1/RollbackRequest.ts";
import type { RollbackResponse } from "./generated/gearmesh/v1/RollbackResponse.ts";
import { passedThrough } from "./pass-through.ts";
import { type UnaryParts, unary, withMalformedAsFaults } from "./unary.ts";

export interface FunctionServiceParts extends UnaryParts {
  readonly lifecycle: LibraryLifecycle;
  readonly registry: LibraryRegistry;
  /** Why calls of a version are refused here; undefined: they are not. */
  readonly quarantine: (hash: string) => string | undefined;
  /** Takes an encoded CallRequest, resolves with the encoded CallResponse. */
  readonly call: (body: Uint8Array, context: CallContext) => Promise<Uint8Array>;
}

/** `Call` passes as bytes: the same codec serves the call stream and the links, and the sandbox has encoded the reply already. */
export function functionServiceDefinition({ functions }: Definitions): ServiceDefinition {
  return {
    ...withMalformedAsFaults({ ...functions }),
    Call: passedThrough(functions.Call),
  };
}

/** FunctionService but for CallStream, which is a stream of frames. */
export function functionService(parts: FunctionServiceParts): UntypedServiceImplementation {
  const { lifecycle, registry, quarantine, call } = parts;
  return {
    Load: unary<LoadRequest__Output, LoadResponse>(parts, async (request, context) => {
      const options = { config: request.config, replace: request.replace, allowMissing: request.allowMissing };
      const { version, pending } = await lifecycle.load(request.text, options, context);
      return {
        library: version.name,
        hash: version.source?.hash ?? "",
        revision: version.revision,
        pending: [...pending],
      };
    }),
    Delete: unary<DeleteRequest__Output, DeleteResponse>(parts, async (request, context) => {
      const { version, pending } = await lifecycle.delete(request.library, context);
      return { revision: version.revision, pending: [...pending] };
    }),
    Rollback: unary<RollbackRequest__Output, RollbackResponse>(parts, async (request, context) => {
      const rolledBack = await lifecycle.rollback(request.library, request.allowMissing, context);
      const { version, restoredRevision, pending } = rolledBack;
      return { hash: version.source?.hash ?? "", revision: version.revision, restoredRevision, pending: [...pending] };
    }),
    List: unary<ListRequest__Output, ListResponse>(parts, (request) => ({
      libraries: registry
        .list()
        .filter(({ source }) => request.library === "" || source.name === request.library)
        .map((library) => described(library, quarantine(library.source.hash), request.withText)),
    })),
    Call: unary<Uint8Array, Uint8Array>(parts, call),
  };
}

function described(
  { version, source, registrations, counters }: ServedLibrary,
  quarantine: string | undefined,
  withText: boolean,
): Library {
  const stages = [...new Set(registrations.middleware.map(({ stage }) => stage))];
  return {
    name: source.name,
    hash: source.hash,
    revision: version.revision,
    apiVersion: parseLibraryHeader(source.text).apiVersion,
    config: source.config,
    functions: registrations.functions.map((info) => ({
      ...info,
      flags: [...info.flags],
      counters: counters.of("function", info.name),
    })),
    remoteFunctions: [...registrations.remoteFunctions],
    text: withText ? source.text : "",
    previousRevision: version.previous?.revision ?? 0,
    remoteCounters: registrations.remoteFunctions.map((name) => counters.of("remote", name)),
    rpcMethods: [...registrations.rpcMethods],
    rpcCounters: registrations.rpcMethods.map((name) => counters.of("method", name)),
    tasks: registrations.tasks.map(({ name }) => name),
    taskCounters: registrations.tasks.map(({ name }) => counters.of("task", name)),
    taskStages: stages,
    stageCounters: stages.map((stage) => counters.of("middleware", stage)),
    state: quarantine === undefined ? "ok" : `quarantined: ${quarantine}`,
  };
}
