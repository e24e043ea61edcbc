/**
 * The key-value store as a {@link StateMachine}: `kv/` decides, the {@link StateStore} keeps.
 *
 * A batch of commands costs one read of the keys they touch and one write of what became of them.
 */
import { Effect, Layer } from "effect"
import { InvalidArgument } from "../FlareDbError.ts"
import { Reader, Writer } from "../kv/Binary.ts"
import type { Command } from "../kv/Command.ts"
import { decodeCommand } from "../kv/Command.ts"
import { Draft, keyText } from "../kv/Draft.ts"
import { decodeRecord, encodeRecord, recordHeaderBytes } from "../kv/KeyRecord.ts"
import { prefixRange, recordKey, revisionKey, successor, userKey } from "../kv/Keyspace.ts"
import type { Problem } from "../kv/Limits.ts"
import { maxPageBytes } from "../kv/Limits.ts"
import type { Get, Query, Scan } from "../kv/Query.ts"
import { decodeQuery } from "../kv/Query.ts"
import { encodeGetReply, encodeScanReply } from "../kv/Reply.ts"
import type { Entry } from "../raft/Types.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { StorageCorruption } from "../storage/StorageError.ts"
import type { StateChange, StateRow, StateView } from "../storage/StateStore.ts"
import { StateStore } from "../storage/StateStore.ts"
import type { QueryReply } from "./StateMachine.ts"
import { StateMachine } from "./StateMachine.ts"

/** Rows read at once while a page is filled; more would read far past a page of large values. */
const scanChunk = 64

const noReply = new Uint8Array(0)

const corrupt = (detail: string): StorageCorruption =>
  new StorageCorruption({ path: "the state family", detail, safe: "the log, and the state of the other nodes" })

const invalid = ({ field, problem }: Problem): InvalidArgument => new InvalidArgument({ field, problem })

const isProblem = (value: { readonly _tag: string }): value is Problem => value._tag === "Problem"

const readRevision = (bytes: Uint8Array | undefined): number => bytes === undefined ? 0 : new Reader(bytes).u64()

/** The commands of a batch, `undefined` for entries without one. They were checked before they reached the log. */
const commandsOf = (entries: ReadonlyArray<Entry>): ReadonlyArray<Command | undefined> =>
  entries.map((entry) => {
    if (entry.kind === "noop") return undefined
    const command = decodeCommand(entry.payload)
    if (isProblem(command)) {
      throw new Error(
        `entry ${entry.index} holds a command that cannot be applied (${command.field} ${command.problem}); ` +
          "it was written by another version of FlareDB: run the same version on every node"
      )
    }
    return command
  })

const make = Effect.gen(function*() {
  const store = yield* StateStore
  let revision = readRevision((yield* store.getMany([revisionKey]))[0])

  const loadDraft = Effect.fnUntraced(function*(commands: ReadonlyArray<Command | undefined>) {
    const keys = new Map<string, Uint8Array>()
    for (const command of commands) {
      if (command !== undefined) keys.set(keyText(command.key), command.key)
    }
    const draft = new Draft(revision)
    if (keys.size === 0) return draft
    const touched = [...keys.values()]
    const records = yield* store.getMany(touched.map(recordKey))
    for (let i = 0; i < touched.length; i++) {
      const bytes = records[i]
      const record = bytes === undefined ? undefined : decodeRecord(bytes)
      if (bytes !== undefined && record === undefined) return yield* corrupt("the record of a key is cut short")
      draft.load(touched[i] as Uint8Array, record)
    }
    return draft
  })

  const apply = Effect.fnUntraced(function*(entries: ReadonlyArray<Entry>) {
    const last = entries[entries.length - 1]
    if (last === undefined) return []
    const commands = commandsOf(entries)
    const draft = yield* loadDraft(commands)
    const replies = commands.map((command) => command === undefined ? noReply : draft.apply(command))
    const changes: Array<StateChange> = draft.changes().map(({ key, record }) =>
      record === undefined
        ? { _tag: "Delete", key: recordKey(key) }
        : { _tag: "Put", key: recordKey(key), value: encodeRecord(record) }
    )
    if (draft.revision !== revision) {
      changes.push({ _tag: "Put", key: revisionKey, value: new Writer(8).u64(draft.revision).bytes })
    }
    yield* store.commit(changes, { index: last.index, term: last.term })
    revision = draft.revision
    return replies
  })

  return StateMachine.of({
    recovered: store.recovered,
    check: (command) => {
      const decoded = decodeCommand(command)
      return isProblem(decoded) ? invalid(decoded) : undefined
    },
    apply,
    query: (queries) => answer(store, queries),
    reload: Effect.map(store.getMany([revisionKey]), ([stored]) => {
      revision = readRevision(stored)
    }),
    due: () => Effect.succeed([])
  })
})

/** Answers gets with one read and scans one after the other, each from one moment. */
const answer = Effect.fnUntraced(function*(
  store: StateStore["Service"],
  queries: ReadonlyArray<Uint8Array>
): Effect.fn.Return<ReadonlyArray<QueryReply>, StorageError> {
  const decoded = queries.map((query) => decodeQuery(query))
  const gets = decoded.filter((query): query is Get => query._tag === "Get")
  const found = gets.length === 0
    ? []
    : yield* store.getMany([revisionKey, ...gets.map((get) => recordKey(get.key))])
  const revision = readRevision(found[0])
  let get = 0
  const replies: Array<QueryReply> = []
  for (const query of decoded) replies.push(yield* reply(query))
  return replies

  function reply(query: Query | Problem): Effect.Effect<QueryReply, StorageError> {
    switch (query._tag) {
      case "Problem":
        return Effect.succeed(invalid(query))
      case "Get":
        get += 1
        return Effect.succeed(encodeGetReply(revision, found[get]))
      case "Scan":
        return store.withView((view) => scan(view, query))
    }
  }
})

/** One page: ends at its limit of rows, at its limit of bytes, or with the range. */
const scan = Effect.fnUntraced(function*(view: StateView, query: Scan) {
  const { keysOnly, limit, reverse } = query
  let { gte, lt } = prefixRange(query.prefix)
  const continueBehind = (stored: Uint8Array) => {
    if (reverse) lt = stored
    else gte = successor(stored)
  }
  if (query.cursor !== undefined) continueBehind(recordKey(query.cursor))
  const revision = readRevision((yield* view.getMany([revisionKey]))[0])
  const rows: Array<{ readonly key: Uint8Array; readonly record: Uint8Array }> = []
  let bytes = 0
  let more = true
  while (more && Buffer.compare(gte, lt) < 0) {
    const wanted = Math.min(scanChunk, limit - rows.length)
    // One row beyond the page tells whether there is more.
    const chunk: ReadonlyArray<StateRow> = yield* view.scan({ gte, lt, limit: wanted + 1, reverse })
    more = chunk.length > wanted
    for (const row of chunk.slice(0, wanted)) {
      const record = keysOnly ? row.value.subarray(0, recordHeaderBytes) : row.value
      rows.push({ key: userKey(row.key), record })
      continueBehind(row.key)
      bytes += row.key.byteLength + record.byteLength
      if (rows.length === limit || bytes >= maxPageBytes) {
        more ||= row !== chunk[Math.min(wanted, chunk.length) - 1]
        return encodeScanReply(revision, rows, more)
      }
    }
  }
  return encodeScanReply(revision, rows, false)
})

/** The key-value state machine over the state store. */
export const layer: Layer.Layer<StateMachine, StorageError, StateStore> = Layer.effect(StateMachine, make)
