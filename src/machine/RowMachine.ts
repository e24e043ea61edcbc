/**
 * The plain way to a state machine of one's own: commands as functions of rows. Everything that has to be right for
 * replication is done here, once: the order of commands, one atomic write for a batch and its applied point, the
 * cluster's clock, the name of the machine in the store. All state is rows, so snapshots and restarts need no more.
 *
 * A machine that wants to keep state in memory beside its rows implements {@link StateMachine} itself, as the key-value
 * store does.
 */
import { Effect, Layer } from "effect"
import { InvalidArgument } from "../FlareDbError.ts"
import { Reader, Writer } from "../bytes/Binary.ts"
import type { Entry } from "../raft/Types.ts"
import type { StateView } from "../storage/StateStore.ts"
import { StateStore } from "../storage/StateStore.ts"
import type { DataDirRefused, StorageError } from "../storage/StorageError.ts"
import type { Caller } from "./Caller.ts"
import { checkIdentity, identityKey, reloading } from "./Identity.ts"
import { corrupt } from "./KvLoader.ts"
import type { Described } from "./MachineAccess.ts"
import type { MachineRequest } from "./RowAccess.ts"
import { rowAccess } from "./RowAccess.ts"
import { Rows } from "./Rows.ts"
import { clockKey } from "./StateFacts.ts"
import type { QueryReply } from "./StateMachine.ts"
import { StateMachine } from "./StateMachine.ts"

/** When a command is carried out: the same on every node. */
export interface ApplyContext {
  /** The command's place in the log: unique, and larger than that of every command before it. */
  readonly index: number
  /** The cluster's clock in milliseconds, as the log tells it. Never goes back. */
  readonly timeMs: number
}

/** A state machine whose state is rows: what it does with a command, and what it answers to a query. */
export interface RowMachine<Command, Query> {
  /**
   * Names the machine and the format of its rows, say `job-queue/1`. A directory that was written under one name
   * is refused under another, so the name changes with an incompatible change of the rows.
   */
  readonly name: string

  /**
   * The command in these bytes, or why it is refused before it reaches the log: malformed, or over a limit. Cheap and
   * pure. Every version of the program must read what earlier ones accepted, because it may still be in the log.
   */
  readonly decodeCommand: (bytes: Uint8Array) => Command | InvalidArgument

  /** Rows that a command is going to read. They are read in one trip for the whole batch; only speed depends on it. */
  readonly keysOf?: ((command: Command) => ReadonlyArray<Uint8Array>) | undefined

  /**
   * Carries a command out on the rows and gives its reply. A pure function of rows, command and context: no clock, no
   * random source, nothing remembered from command to command. It cannot refuse any more, but its reply may say no. An
   * error or a defect stops the node, and every other node at the same entry.
   */
  readonly apply: (rows: Rows, command: Command, at: ApplyContext) => Effect.Effect<Uint8Array, StorageError>

  readonly decodeQuery: (bytes: Uint8Array) => Query | InvalidArgument

  /** Answers a query from one state of the rows. `timeMs` is the timestamp of that state. */
  readonly query: (view: StateView, query: Query, timeMs: number) => Effect.Effect<Uint8Array, StorageError>

  /**
   * Why a caller may not send this command or query, to go behind "NAME may not"; `undefined` when it may. Asked where
   * callers have to say who they are, before the log and again for each call; administrators and nodes are not asked
   * about. Cheap and pure: a rule that needs rows belongs into `apply`, whose reply may say no. Without it only
   * administrators and nodes may do anything there.
   */
  readonly authorize?: ((caller: Caller, request: MachineRequest<Command, Query>) => string | undefined) | undefined

  /** What the audit log says of a command or query; the kind alone without it. Never a value. */
  readonly describe?: ((request: MachineRequest<Command, Query>) => Described) | undefined

  /** See `StateMachine.due`: the bytes of commands that are due at `timeMs` by themselves. */
  readonly due?:
    | ((view: StateView, timeMs: number) => Effect.Effect<ReadonlyArray<Uint8Array>, StorageError>)
    | undefined
}

const noReply = new Uint8Array(0)

const readTime = (view: StateView): Effect.Effect<number, StorageError> =>
  Effect.flatMap(view.getMany([clockKey]), ([row]) => {
    if (row === undefined) return Effect.succeed(0)
    const reader = new Reader(row)
    const timeMs = reader.u64()
    return reader.complete ? Effect.succeed(timeMs) : Effect.fail(corrupt("the clock is cut short"))
  })

const make = <Command, Query>(machine: RowMachine<Command, Query>) =>
  Effect.gen(function*() {
    const store = yield* StateStore
    const identity = new TextEncoder().encode(machine.name)
    const { authorize, due } = machine
    const load = store.withView((view) => Effect.andThen(checkIdentity(store, view, machine.name), readTime(view)))
    let timeMs = yield* load

    const commandOf = (entry: Entry): Command | undefined => {
      if (entry.kind === "noop") return undefined
      if (entry.decoded !== undefined) return entry.decoded as Command
      const command = machine.decodeCommand(entry.payload)
      if (command instanceof InvalidArgument) {
        throw new Error(
          `entry ${entry.index} holds a command that ${machine.name} cannot read (${command.message}); ` +
            "it was written by another version: run the same version on every node"
        )
      }
      return command
    }

    const apply = Effect.fnUntraced(function*(entries: ReadonlyArray<Entry>) {
      const last = entries[entries.length - 1]
      if (last === undefined) return []
      const rows = new Rows(store)
      const commands = entries.map(commandOf)
      for (const entry of entries) entry.decoded = undefined
      if (machine.keysOf !== undefined) {
        const keys: Array<Uint8Array> = []
        for (const command of commands) if (command !== undefined) keys.push(...machine.keysOf(command))
        yield* rows.prefetch(keys)
      }
      const replies: Array<Uint8Array> = []
      for (let i = 0; i < entries.length; i++) {
        const { index, timestampMs } = entries[i] as Entry
        const command = commands[i]
        timeMs = Math.max(timeMs, timestampMs)
        replies.push(command === undefined ? noReply : yield* machine.apply(rows, command, { index, timeMs }))
      }
      yield* store.commit(
        [
          ...rows.changes(),
          { _tag: "Put", key: identityKey, value: identity },
          { _tag: "Put", key: clockKey, value: new Writer(8).u64(timeMs).bytes }
        ],
        { index: last.index, term: last.term }
      )
      return replies
    })

    return StateMachine.of({
      ...(authorize === undefined ? {} : { access: rowAccess({ ...machine, authorize }) }),
      recovered: store.recovered,
      logTimeMs: () => timeMs,
      check: (bytes, _origin, kept) => {
        const command = machine.decodeCommand(bytes)
        if (command instanceof InvalidArgument) return command
        if (kept !== undefined) kept.decoded = command
        return undefined
      },
      apply,
      query: (queries) =>
        store.withView((view) =>
          Effect.flatMap(readTime(view), (now) =>
            Effect.forEach(queries, (bytes): Effect.Effect<QueryReply, StorageError> => {
              const query = machine.decodeQuery(bytes)
              return query instanceof InvalidArgument ? Effect.succeed(query) : machine.query(view, query, now)
            }))
        ),
      reload: Effect.map(reloading(load), (loaded) => {
        timeMs = loaded
      }),
      due: (now) =>
        due === undefined ? Effect.succeed([]) : store.withView((view) =>
          due(view, now)
        )
    })
  })

/**
 * The machine over a node's state store.
 *
 * **When to use**
 *
 * With `FlareDb.layerWith` or `FlareDb.layerMemoryWith`.
 */
export const layer = <Command, Query>(
  machine: RowMachine<Command, Query>
): Layer.Layer<StateMachine, StorageError | DataDirRefused, StateStore> => Layer.effect(StateMachine, make(machine))
