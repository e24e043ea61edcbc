/**
 * The key-value store as a {@link StateMachine}: `kv/` decides, the {@link StateStore} keeps, and {@link ChangeFeed}
 * tells those who watch.
 *
 * A batch of commands costs one read of the keys they touch and one write of what became of them.
 */
import { Context, Effect, Layer } from "effect"
import { apply as applyCommand, keysOf } from "../kv/Apply.ts"
import { Batch } from "../kv/Batch.ts"
import type { Stamped } from "../kv/Command.ts"
import { decodeCommand, encodeCommand } from "../kv/Command.ts"
import type { Slot } from "../kv/Draft.ts"
import { successor } from "../kv/KeyRange.ts"
import { decodeRecord } from "../kv/KeyRecord.ts"
import type { StoredRange } from "../kv/Keyspace.ts"
import { idOf, leaseRange, recordKey, replyBlockRange, replyRange, sequenceOf, sessionRange } from "../kv/Keyspace.ts"
import { decodeLease } from "../kv/Lease.ts"
import { decodeSession, Session } from "../kv/Session.ts"
import { State } from "../kv/State.ts"
import type { Entry } from "../raft/Types.ts"
import type { StateRow, StateView } from "../storage/StateStore.ts"
import { StateStore } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { ChangeFeed, ChangeSource } from "./ChangeFeed.ts"
import { checkIdentity } from "./Identity.ts"
import type { HistoryLimits } from "./KvHousekeeping.ts"
import { defaultHistoryLimits, dueCommands } from "./KvHousekeeping.ts"
import { corrupt, runLoading } from "./KvLoader.ts"
import { answer, invalid, loadFigures } from "./KvQueries.ts"
import { StateMachine } from "./StateMachine.ts"

/** Rows read at once while the memory of the machine is filled. */
const loadChunk = 512

const noReply = new Uint8Array(0)

/** The commands of a batch, `undefined` for entries without one. They were checked before they reached the log. */
const commandsOf = (entries: ReadonlyArray<Entry>): ReadonlyArray<Stamped | undefined> =>
  entries.map((entry) => {
    if (entry.kind === "noop") return undefined
    const command = decodeCommand(entry.payload)
    if (command._tag === "Problem") {
      throw new Error(
        `entry ${entry.index} holds a command that cannot be applied (${command.field} ${command.problem}); ` +
          "it was written by another version of FlareDB: run the same version on every node"
      )
    }
    return command
  })

/** Reads what the slots of a batch hold, all in one trip. */
const loadKeys = (view: StateView, slots: ReadonlyArray<Slot>): Effect.Effect<void, StorageError> =>
  slots.length === 0
    ? Effect.void
    : Effect.flatMap(view.getMany(slots.map(({ key }) => recordKey(key))), (values) => {
      for (let i = 0; i < slots.length; i++) {
        const value = values[i]
        if (value === undefined) continue
        const record = decodeRecord(value)
        if (record === undefined) return Effect.fail(corrupt("the record of a key is cut short"))
        ;(slots[i] as Slot).record = record
      }
      return Effect.void
    })

/** Hands every row of a range to `use`. */
const forEachRow = Effect.fnUntraced(function*(
  view: StateView,
  { gte, lt }: StoredRange,
  use: (row: StateRow) => boolean
) {
  let from = gte
  for (;;) {
    const rows = yield* view.scan({ gte: from, lt, limit: loadChunk })
    for (const row of rows) {
      if (!use(row)) return yield* corrupt(`the row ${Buffer.from(row.key).toString("hex")} is malformed`)
    }
    const last = rows[rows.length - 1]
    if (rows.length < loadChunk || last === undefined) return
    from = successor(last.key)
  }
})

/** What the machine keeps in memory, read from the store. */
const loadState = Effect.fnUntraced(function*(view: StateView) {
  const state = new State()
  state.figures = yield* loadFigures(view)
  yield* forEachRow(view, leaseRange, ({ key, value }) => {
    const lease = decodeLease(idOf(key), value)
    if (lease !== undefined) state.leases.set(lease)
    return lease !== undefined
  })
  yield* forEachRow(view, sessionRange, ({ key, value }) => {
    const record = decodeSession(value)
    if (record !== undefined) state.sessions.set(new Session(idOf(key), record))
    return record !== undefined
  })
  yield* forEachRow(view, replyRange, ({ key, value }) => {
    const session = state.sessions.get(idOf(key))
    session?.keep(sequenceOf(key), new Uint8Array(value))
    return session !== undefined
  })
  yield* forEachRow(
    view,
    replyBlockRange,
    ({ key, value }) => state.sessions.get(idOf(key))?.loadBlock(sequenceOf(key), value) ?? false
  )
  return state
})

const make = Effect.fnUntraced(function*(limits: HistoryLimits) {
  const store = yield* StateStore
  const load = store.withView((view) => Effect.andThen(checkIdentity(store, view, undefined), loadState(view)))
  let state = yield* load
  const source = yield* ChangeSource.make(store, state.figures)

  const apply = Effect.fnUntraced(function*(entries: ReadonlyArray<Entry>) {
    const last = entries[entries.length - 1]
    if (last === undefined) return []
    const commands = commandsOf(entries)
    const batch = new Batch(state)
    const keys: Array<Uint8Array> = []
    for (const stamped of commands) if (stamped !== undefined) keys.push(...keysOf(stamped.command))
    yield* loadKeys(store, batch.draft.expect(keys))
    const replies: Array<Uint8Array> = []
    for (let i = 0; i < entries.length; i++) {
      const stamped = commands[i]
      if (stamped === undefined) {
        replies.push(noReply)
        continue
      }
      const applied = applyCommand(batch, entries[i] as Entry, stamped)
      replies.push(applied instanceof Uint8Array ? applied : yield* runLoading(store, applied))
    }
    yield* store.commit(batch.changes(), { index: last.index, term: last.term })
    source.publish(batch.revisions, state.figures)
    return replies
  })

  const machine = StateMachine.of({
    recovered: store.recovered,
    logTimeMs: () => state.figures.logTimeMs,
    check: (command) => {
      const decoded = decodeCommand(command)
      return decoded._tag === "Problem" ? invalid(decoded) : undefined
    },
    apply,
    query: (queries) => answer(store, () => state, queries),
    reload: Effect.map(load, (loaded) => {
      state = loaded
      source.restart(loaded.figures)
    }),
    due: (logTimeMs) =>
      Effect.map(
        dueCommands(store, state, limits, logTimeMs),
        (commands) => commands.map((command) => encodeCommand(command))
      )
  })
  return Context.make(StateMachine, machine).pipe(Context.add(ChangeFeed, source.feed))
})

/** The key-value state machine over the state store, and the feed of its changes. */
export const layerWith = (
  limits: HistoryLimits
): Layer.Layer<StateMachine | ChangeFeed, StorageError, StateStore> => Layer.effectContext(make(limits))

/** {@link layerWith} the default limits on history. */
export const layer: Layer.Layer<StateMachine | ChangeFeed, StorageError, StateStore> = layerWith(defaultHistoryLimits)
