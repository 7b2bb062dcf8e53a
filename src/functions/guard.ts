import { Buffer } from "node:buffer";

/** What Redis's COMMAND says of one command. */
export interface CommandInfo {
  /** In lower case; a subcommand as `config|get`. */
  readonly name: string;
  /** For example `write`, `readonly`, `admin`, `noscript`, `blocking`. */
  readonly flags: ReadonlySet<string>;
  /** ACL categories, for example `@dangerous`. */
  readonly categories: ReadonlySet<string>;
  /** Whether its first argument names a subcommand, which has an entry of its own. */
  readonly isContainer: boolean;
}

/** Every command of one Redis server, by name. */
export type CommandTable = ReadonlyMap<string, CommandInfo>;

/** Flagged `noscript` only because scripts do not nest, and a block is no script. */
const SCRIPTS = new Set(["eval", "eval_ro", "evalsha", "evalsha_ro", "fcall", "fcall_ro"]);
/** May write, though no flag says so: what a script does is known once it has run. */
const SCRIPTS_THAT_MAY_WRITE = new Set(["eval", "evalsha", "fcall"]);
/** Block only where their BLOCK option asks for it. */
const BLOCK_BY_OPTION = new Set(["xread", "xreadgroup"]);
/** Of `@connection`, those that leave the connection as it is. */
const HARMLESS_TO_CONNECTION = new Set(["echo", "ping", "command"]);
/** Of `@dangerous`, those that are so by what sorting one key may cost alone. */
const SORTS = new Set(["sort", "sort_ro"]);

/** Answered by nothing, by many replies or in another protocol: the connection would lose step with its replies for good. */
const OUT_OF_STEP = new Set(["client|reply", "hello", "monitor", "psync", "quit", "reset", "sync"]);

interface Rule {
  readonly writes: boolean;
  /** Why functions may not call it, and what can be done about that. */
  readonly refusal: string | undefined;
}

/**
 * Which commands functions may call. They share one connection that must stay in step and in its state, and one server that is not
 * theirs: so nothing that administers it, that changes the connection, that waits, or that Redis counts as dangerous. Redis checks
 * everything else itself.
 */
export class CommandGuard {
  readonly #table: CommandTable;
  readonly #rules: ReadonlyMap<string, Rule>;

  /** `allowed`: commands that the operator allows all the same, as ACL rules name them: `config|get`, or `config` for all of them. */
  constructor(table: CommandTable, allowed: ReadonlySet<string> = new Set()) {
    const names = new Set([...allowed].map((name) => name.toLowerCase()));
    this.#table = table;
    this.#rules = new Map(
      [...table.values()].map((command) => [
        command.name,
        { writes: writes(command), refusal: final(command) ?? overridable(command, names) },
      ]),
    );
  }

  /** Returns the error for the caller, or undefined for a command that may be sent. `args` begins with the command's name. */
  check(args: readonly (string | Uint8Array)[], { readOnly }: { readonly readOnly: boolean }): string | undefined {
    const name = this.#resolve(args);
    const rule = this.#rules.get(name);
    // Redis itself answers for a command it does not know, but one that is renamed or came with a module may write.
    if (!rule)
      return readOnly ? `Command '${name}' is unknown, so it was not called while write is not allowed` : undefined;
    if (readOnly && rule.writes) return `Write command '${name}' was called while write is not allowed`;
    if (rule.refusal === undefined || isHarmlessCall(name, args)) return undefined;
    return `Command '${name}' is not allowed in functions; ${rule.refusal}`;
  }

  /**
   * The commands that are refused whatever their arguments, for Redis to refuse them too. Containers are not among them: what is run is
   * a subcommand. Nor are those that only block by an option, which Redis cannot tell apart.
   */
  refused(): readonly string[] {
    const names = [...this.#table.values()].filter(({ isContainer }) => !isContainer).map(({ name }) => name);
    return names.filter((name) => this.#rules.get(name)?.refusal !== undefined && !BLOCK_BY_OPTION.has(name));
  }

  #resolve(args: readonly (string | Uint8Array)[]): string {
    const name = word(args[0]);
    return this.#table.get(name)?.isContainer && args.length > 1 ? `${name}|${word(args[1])}` : name;
  }
}

function writes({ name, flags }: CommandInfo): boolean {
  return flags.has("write") || SCRIPTS_THAT_MAY_WRITE.has(name);
}

/** Why not even the operator can allow it. */
function final({ name, flags, categories }: CommandInfo): string | undefined {
  const changesMode = categories.has("@transaction") || (categories.has("@pubsub") && flags.has("noscript"));
  return changesMode || OUT_OF_STEP.has(name) ? "it would take the connection from all other functions" : undefined;
}

function overridable(command: CommandInfo, allowed: ReadonlySet<string>): string | undefined {
  if (allowed.has(command.name) || allowed.has(containerOf(command.name))) return undefined;
  const reason = reasonToRefuse(command);
  return reason && `${reason}. The operator can allow it by name`;
}

function reasonToRefuse({ name, flags, categories }: CommandInfo): string | undefined {
  if (flags.has("admin") || categories.has("@admin")) return "it administers the server";
  if (flags.has("blocking")) return "it may wait, and every other call would wait behind it";
  if (categories.has("@connection") && !HARMLESS_TO_CONNECTION.has(containerOf(name))) {
    return "it is about the connection, which all functions share";
  }
  if (flags.has("noscript") && !SCRIPTS.has(name)) return "Redis does not run it in scripts either";
  // FLUSHALL, SWAPDB and MIGRATE; but also KEYS and INFO, which only read: of every key at once, and of the whole server.
  return categories.has("@dangerous") && !SORTS.has(name) ? "Redis counts it among the dangerous ones" : undefined;
}

/** Whether this call of a command that may block does not. */
function isHarmlessCall(name: string, args: readonly (string | Uint8Array)[]): boolean {
  if (!BLOCK_BY_OPTION.has(name)) return false;
  // XREADGROUP GROUP <group> <consumer>: a group may be called `block`.
  for (let index = name === "xreadgroup" ? 4 : 1; index < args.length; index++) {
    const option = word(args[index]);
    if (option === "block") return false;
    if (option === "streams") return true;
  }
  return true;
}

function containerOf(name: string): string {
  return name.split("|", 1)[0] ?? name;
}

function word(arg: string | Uint8Array | undefined): string {
  if (arg === undefined) return "";
  const text =
    typeof arg === "string" ? arg : Buffer.from(arg.buffer, arg.byteOffset, arg.byteLength).toString("latin1");
  return text.toLowerCase();
}
