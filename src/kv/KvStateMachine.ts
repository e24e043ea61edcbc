/**
 * The key-value store as a {@link StateMachine}: `kv/model/` decides, the {@link StateStore} keeps the rows, and
 * {@link ChangeFeed} gives changes to watches.
 *
 * A batch of commands costs one read of the keys they touch and one write of what became of them. Commands that read
 * much are carried out in several batches.
 */
import { Clock, Context, Effect, Layer, Semaphore } from "effect"
import { watchTables } from "../BoundedTables.ts"
import { InvalidArgument } from "../FlareDbError.ts"
import { apply as applyCommand, keysOf } from "./model/Apply.ts"
import { Batch } from "./model/Batch.ts"
import type { DecodedCommand } from "./model/Command.ts"
import { decodeCommand, encodeCommand, proposers } from "./model/Command.ts"
import { levelOf } from "./model/CommandLevel.ts"
import { maxRoles, maxUsers } from "./model/access/AccessLimits.ts"
import type { WriteSetEntry } from "./model/WriteSet.ts"
import { storedKey } from "./model/WriteSet.ts"
import { decodeRecord } from "./model/KeyRecord.ts"
import { maxKeptReplyBytes, maxLeases, maxTtlMs, problem } from "./model/Limits.ts"
import type { State } from "./model/State.ts"
import type { Entry } from "../raft/Types.ts"
import type { StateView } from "../storage/StateStore.ts"
import { StateStore } from "../storage/StateStore.ts"
import type { DataDirRefused, StorageError } from "../storage/StorageError.ts"
import { ChangeFeed, ChangeSource } from "./ChangeFeed.ts"
import { Grants } from "./Grants.ts"
import { checkIdentity, reloading } from "../machine/Identity.ts"
import type { HistoryLimits } from "./HistoryCut.ts"
import { defaultHistoryLimits, HistoryCut } from "./HistoryCut.ts"
import { dueCommands, untilDueMs } from "./DueCommands.ts"
import { corrupt, runLoading } from "../machine/KvLoader.ts"
import { KvAccess } from "./KvAccess.ts"
import { RecentCommands } from "./RecentCommands.ts"
import { nothingFound } from "./FoundLately.ts"
import { answer, invalid } from "./KvQueries.ts"
import { loadState } from "./LoadedState.ts"
import type { AnswerRoom } from "../machine/AnswerRoom.ts"
import type { CommandOrigin, KeptCommand, QueryReply } from "../machine/StateMachine.ts"
import { StateMachine } from "../machine/StateMachine.ts"

/** Bytes of values in memory at a time while commands are carried out; one transaction may look at more. */
const workBytes = 16 * 1024 * 1024

/** Keys that are read ahead at a time: at least this many, and at most so many when their values were small lately. */
const minReadAheadKeys = 16
const maxReadAheadKeys = 512

/** Queries other than gets that are answered side by side; each may hold a page of values. */
const concurrentQueries = 8

const noReply = new Uint8Array(0)

/** The command of an entry, `undefined` for one without any. It was checked before it reached the log. */
const commandOf = (entry: Entry): DecodedCommand | undefined => {
  if (entry.kind === "noop") return undefined
  if (entry.decoded !== undefined) return entry.decoded as DecodedCommand
  const command = decodeCommand(entry.payload)
  if (command._tag === "Problem") {
    throw new Error(
      `entry ${entry.index} holds a command that cannot be applied (${command.field} ${command.problem}); ` +
        "it was written by another version of FlareDB: run the same version on every node"
    )
  }
  return command
}

/** Reads what the keys of a batch hold, all in one trip. */
const loadKeys = (view: StateView, keyEntries: ReadonlyArray<WriteSetEntry>): Effect.Effect<void, StorageError> =>
  keyEntries.length === 0
    ? Effect.void
    : Effect.flatMap(view.getMany(keyEntries.map(storedKey)), (values) => {
      for (let i = 0; i < keyEntries.length; i++) {
        const value = values[i]
        if (value === undefined) continue
        const record = decodeRecord(value)
        if (record === undefined) return Effect.fail(corrupt("the record of a key is cut short"))
        ;(keyEntries[i] as WriteSetEntry).record = record
      }
      return Effect.void
    })

/** How many keys of such values fit into memory. */
const keysThatFit = (keyEntries: ReadonlyArray<WriteSetEntry>): number => {
  let bytes = 0
  for (const { record } of keyEntries) bytes += record?.value.byteLength ?? 0
  const fitting = Math.floor(workBytes * keyEntries.length / Math.max(1, bytes))
  return Math.min(maxReadAheadKeys, Math.max(minReadAheadKeys, fitting))
}

/** Longest times to live that this node lets into the log. */
export interface TtlLimits {
  readonly maxSessionTtlMs: number
  readonly maxLeaseTtlMs: number
}

/**
 * Why a command that asks for a time to live is not let into the log. It is a setting of this node and not part of the
 * format, so it must not be looked at when a command is applied.
 */
const ttlRefusal = ({ command }: DecodedCommand, limits: TtlLimits): InvalidArgument | undefined => {
  if (command._tag !== "OpenSession" && command._tag !== "GrantLease") return undefined
  const name = command._tag === "OpenSession" ? "maxSessionTtlMs" : "maxLeaseTtlMs"
  const maximum = limits[name]
  return command.ttlMs <= maximum ? undefined : new InvalidArgument({
    field: "ttlMs",
    problem: `${command.ttlMs} is more than ${name} = ${maximum} milliseconds; ask for less, or raise the limit on ` +
      "every node"
  })
}

/** Why a client may not propose a command that is well-formed. */
const refusal = (decoded: DecodedCommand, limits: TtlLimits): InvalidArgument | undefined => {
  const { _tag } = decoded.command
  return proposers[_tag] === "client"
    ? ttlRefusal(decoded, limits)
    : invalid(problem("command", `${_tag} is proposed by nodes only`))
}

class KvMachine {
  /** What the machine keeps in memory. `reload` replaces it. */
  state: State
  /** The last entry whose effects are in it, as far as is known: 0 from a snapshot to the entry behind it. */
  applied: number
  readonly recent = new RecentCommands()
  private readonly store: StateStore["Service"]
  private readonly source: ChangeSource
  private readonly limits: HistoryLimits & TtlLimits
  private readonly load: Effect.Effect<State, StorageError>
  private readonly queries = Semaphore.makeUnsafe(concurrentQueries)
  private readonly foundLately = nothingFound()
  private readonly history: HistoryCut
  /** How many keys may be read ahead, from what they held lately. */
  private readAheadKeys = maxReadAheadKeys

  constructor(
    store: StateStore["Service"],
    source: ChangeSource,
    limits: HistoryLimits & TtlLimits,
    load: Effect.Effect<State, StorageError>,
    state: State
  ) {
    this.store = store
    this.source = source
    this.limits = limits
    this.load = load
    this.state = state
    this.applied = store.recovered.index
    this.history = new HistoryCut(limits)
  }

  check(command: Uint8Array, origin: CommandOrigin = "client", kept?: KeptCommand): InvalidArgument | undefined {
    const decoded = this.recent.take(command)
    if (decoded._tag === "Problem") return invalid(decoded)
    const refused = origin === "client" ? refusal(decoded, this.limits) : undefined
    if (refused === undefined && kept !== undefined) kept.decoded = decoded
    return refused
  }

  readonly apply = Effect.fnUntraced({ self: this }, function*(this: KvMachine, entries: ReadonlyArray<Entry>) {
    const replies: Array<Uint8Array> = []
    let bytes = 0
    while (replies.length < entries.length && bytes < workBytes) {
      for (const reply of yield* this.applySome(entries, replies.length)) {
        replies.push(reply)
        bytes += reply.byteLength
      }
    }
    return replies
  })

  query(asked: ReadonlyArray<Uint8Array>, room?: AnswerRoom): Effect.Effect<ReadonlyArray<QueryReply>, StorageError> {
    return answer(this.store, () => this.state, asked, this.queries, this.foundLately, room)
  }

  get reload(): Effect.Effect<void, StorageError> {
    return Effect.map(this.load, (loaded) => {
      this.state = loaded
      this.applied = 0
      this.source.restart(loaded.metadata)
    })
  }

  due(logTimeMs: number): Effect.Effect<ReadonlyArray<Uint8Array>, StorageError> {
    return Effect.map(
      dueCommands(this.store, this.state, this.history, logTimeMs),
      (commands) => commands.map((command) => encodeCommand(command))
    )
  }

  untilDueMs(logTimeMs: number): number {
    return untilDueMs(this.state, logTimeMs)
  }

  /**
   * Carries out the first of the commands in one write: as many as memory has room for. Answers with their replies, at
   * least one.
   */
  private readonly applySome = Effect.fnUntraced({ self: this }, function*(
    this: KvMachine,
    entries: ReadonlyArray<Entry>,
    from: number
  ) {
    const { store } = this
    const batch = new Batch(this.state)
    // Only those of this write are decoded: garbage that lives as long as a large batch is dear to collect.
    const commands: Array<DecodedCommand | undefined> = []
    const keys: Array<Uint8Array> = []
    while (
      from + commands.length < entries.length && (commands.length === 0 || keys.length < this.readAheadKeys)
    ) {
      const decoded = commandOf(entries[from + commands.length] as Entry)
      commands.push(decoded)
      if (decoded !== undefined) keys.push(...keysOf(decoded.command))
    }
    const keyEntries = batch.writeSet.preload(keys)
    yield* loadKeys(store, keyEntries)
    this.readAheadKeys = keysThatFit(keyEntries)
    const replies: Array<Uint8Array> = []
    let replyBytes = 0
    for (const decoded of commands) {
      if (replies.length > 0 && replyBytes + batch.readBytes >= workBytes) break
      let reply: Uint8Array = noReply
      if (decoded !== undefined) {
        const applied = applyCommand(batch, entries[from + replies.length] as Entry, decoded)
        reply = applied instanceof Uint8Array ? applied : yield* runLoading(store, applied)
      }
      replyBytes += reply.byteLength
      replies.push(reply)
    }
    const last = entries[from + replies.length - 1] as Entry
    // The log keeps entries for followers that are behind, and has no use for their commands.
    for (let i = from; i < from + replies.length; i++) (entries[i] as Entry).decoded = undefined
    yield* store.commit(batch.changes(), { index: last.index, term: last.term })
    this.applied = last.index
    this.source.publish(batch.revisions, this.state.metadata)
    return replies
  })
}

/** Reports how full the tables are that the machine keeps in memory. */
const watchMemory = (machine: KvMachine) =>
  watchTables([
    {
      table: "sessions",
      entries: () => machine.state.sessions.size,
      limit: machine.state.maxSessions,
      setting: "maxSessions"
    },
    {
      table: "kept_reply_bytes",
      entries: () => machine.state.sessions.kept.bytes,
      limit: maxKeptReplyBytes,
      setting: "maxKeptReplyBytes"
    },
    { table: "leases", entries: () => machine.state.leases.size, limit: maxLeases, setting: "maxLeases" },
    { table: "users", entries: () => machine.state.access.userCount, limit: maxUsers, setting: "maxUsers" },
    { table: "roles", entries: () => machine.state.access.roleCount, limit: maxRoles, setting: "maxRoles" }
  ])

const make = Effect.fnUntraced(function*(limits: HistoryLimits & TtlLimits) {
  const store = yield* StateStore
  const load = store.withView((view) => Effect.andThen(checkIdentity(store, view, undefined), loadState(view)))
  const state = yield* load
  const source = yield* ChangeSource.make(store, state.metadata)
  const kv = new KvMachine(store, source, limits, reloading(load), state)
  yield* watchMemory(kv)
  const clock = yield* Clock.Clock
  const access = new KvAccess({
    state: () => kv.state,
    applied: () => kv.applied,
    nowMs: () => clock.currentTimeMillisUnsafe(),
    recent: kv.recent
  })

  const machine = StateMachine.of({
    recovered: store.recovered,
    logTimeMs: () => kv.state.metadata.logTimeMs,
    check: (command, origin, kept) => kv.check(command, origin, kept),
    levelOf,
    apply: kv.apply,
    query: (asked, room) => kv.query(asked, room),
    reload: kv.reload,
    due: (logTimeMs) => kv.due(logTimeMs),
    untilDueMs: (logTimeMs) => kv.untilDueMs(logTimeMs),
    access
  })
  const grants = Grants.of({
    isAlive: (kind, id) => (kind === "session" ? kv.state.sessions.get(id) : kv.state.leases.get(id)) !== undefined,
    ended: (kind) => kind === "session" ? kv.state.sessions.ended : kv.state.leases.ended
  })
  return Context.make(StateMachine, machine).pipe(Context.add(ChangeFeed, source.feed), Context.add(Grants, grants))
})

/** The key-value state machine over the state store, and the feed of its changes. */
export const layerWith = (
  limits: HistoryLimits & Partial<TtlLimits>
): Layer.Layer<StateMachine | ChangeFeed | Grants, StorageError | DataDirRefused, StateStore> =>
  Layer.effectContext(make({ maxLeaseTtlMs: maxTtlMs, maxSessionTtlMs: maxTtlMs, ...limits }))

/** {@link layerWith} the default limits on history. */
export const layer: Layer.Layer<StateMachine | ChangeFeed | Grants, StorageError | DataDirRefused, StateStore> =
  layerWith(
    defaultHistoryLimits
  )
