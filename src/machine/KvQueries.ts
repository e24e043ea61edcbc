/** Answers the queries of the key-value store from its applied state. */
import { Effect, Semaphore } from "effect"
import { InvalidArgument, Overloaded } from "../FlareDbError.ts"
import { transact } from "../kv/Apply.ts"
import { Batch } from "../kv/Batch.ts"
import type { Figures } from "../kv/Figures.ts"
import { decodeFigures } from "../kv/Figures.ts"
import type { KeyRange } from "../kv/KeyRange.ts"
import { successor } from "../kv/KeyRange.ts"
import { recordHeaderBytes } from "../kv/KeyRecord.ts"
import { attachedKey, figuresKey, leaseKeysRange, recordKey, recordRange, userKey } from "../kv/Keyspace.ts"
import type { Lease } from "../kv/Lease.ts"
import { maxLeaseKeys, maxPageBytes } from "../kv/Limits.ts"
import type { Problem } from "../kv/Limits.ts"
import type { Get, ListSessions, Query, Scan } from "../kv/Query.ts"
import { decodeQuery } from "../kv/Query.ts"
import type { LeaseRow, SessionRow } from "../kv/Reply.ts"
import { encodeGetReply, encodeReply, encodeScanReply } from "../kv/Reply.ts"
import { State } from "../kv/State.ts"
import type { Transaction } from "../kv/Transaction.ts"
import type { StateRow, StateStore, StateView } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { corrupt, runLoading } from "./KvLoader.ts"
import type { QueryReply } from "./StateMachine.ts"

/**
 * Bytes of values that a page may leave out before it ends: what is read for it is bounded, not only what it answers.
 */
const maxReadBytes = 4 * maxPageBytes

/** Keys counted at once. */
const countChunk = 4_096

/** Bytes after which a call is given no more answers; what is left of it is asked for again. */
const maxAnswerBytes = 4 * maxPageBytes

/** Gets that are read at once. */
const getChunk = 64

/** The figures, and what the gets find, until that is as much as one call is answered. Mostly one read. */
const getSome = Effect.fnUntraced(function*(view: StateView, gets: ReadonlyArray<Get>) {
  const found: Array<Uint8Array | undefined> = []
  if (gets.length === 0) return found
  let bytes = 0
  for (let from = 0; from < gets.length && bytes < maxAnswerBytes; from += getChunk) {
    const keys = gets.slice(from, from + getChunk).map((get) => recordKey(get.key))
    if (from === 0) keys.unshift(figuresKey)
    for (const value of yield* view.getMany(keys)) {
      bytes += value?.byteLength ?? 0
      found.push(value)
    }
  }
  return found
})

export const invalid = ({ field, problem }: Problem): InvalidArgument => new InvalidArgument({ field, problem })

const readFigures = (bytes: Uint8Array | undefined): Effect.Effect<Figures, StorageError> => {
  const figures = decodeFigures(bytes)
  return figures === undefined ? Effect.fail(corrupt("the figures are cut short")) : Effect.succeed(figures)
}

/** The figures as a view has them. */
export const loadFigures = (view: StateView): Effect.Effect<Figures, StorageError> =>
  Effect.flatMap(view.getMany([figuresKey]), ([bytes]) => readFigures(bytes))

/**
 * Answers gets with one read, everything else one after the other, each from one moment and with one of `permits`:
 * what is read for it is in memory until it is answered. `state` is asked for leases, of which it has all.
 */
export const answer = Effect.fnUntraced(function*(
  store: StateStore["Service"],
  state: () => State,
  queries: ReadonlyArray<Uint8Array>,
  permits: Semaphore.Semaphore
): Effect.fn.Return<ReadonlyArray<QueryReply>, StorageError> {
  const decoded = queries.map((query) => decodeQuery(query))
  const gets = decoded.filter((query): query is Get => query._tag === "Get")
  // Several reads are of one moment only in a view.
  const found = yield* gets.length <= getChunk ? getSome(store, gets) : store.withView((view) => getSome(view, gets))
  const { revision } = yield* readFigures(found[0])
  let get = 0
  let bytes = 0
  const replies: Array<QueryReply> = []
  for (const query of decoded) {
    if (query._tag === "Get") get += 1
    const reply = bytes >= maxAnswerBytes || query._tag === "Get" && get >= found.length
      ? new Overloaded({ limit: "maxAnswerBytes", current: bytes, maximum: maxAnswerBytes })
      : query._tag === "Get"
      ? encodeGetReply(revision, found[get])
      : yield* Semaphore.withPermit(permits, other(query))
    if (reply instanceof Uint8Array) bytes += reply.byteLength
    replies.push(reply)
  }
  return replies

  function other(query: Exclude<Query, Get> | Problem): Effect.Effect<QueryReply, StorageError> {
    switch (query._tag) {
      case "Problem":
        return Effect.succeed(invalid(query))
      case "Scan":
        return store.withView((view) => scan(view, query))
      case "Count":
        return store.withView((view) => count(view, query.range))
      case "Transact":
        return store.withView((view) => readTransaction(view, query.transaction))
      case "Leases":
        return Effect.sync(() => listLeases(state()))
      case "LeaseKeys":
        return store.withView((view) => leaseKeys(view, state(), query.lease))
      case "Sessions":
        return Effect.sync(() => listSessions(state(), query))
    }
  }
})

/**
 * One page: ends at its limit of rows, at its limit of bytes, or with the range. Without values it ends once it has
 * read, and left out, a few pages' worth of them; the caller goes on behind its last row.
 */
const scan = Effect.fnUntraced(function*(view: StateView, query: Scan) {
  const { keysOnly, limit, reverse } = query
  let { gte, lt } = recordRange(query.range)
  const { revision } = yield* loadFigures(view)
  const rows: Array<{ readonly key: Uint8Array; readonly record: Uint8Array }> = []
  let bytes = 0
  let readBytes = 0
  while (rows.length < limit && bytes < maxPageBytes && readBytes < maxReadBytes && Buffer.compare(gte, lt) < 0) {
    const wanted = limit - rows.length
    const maxBytes = maxPageBytes - bytes
    const chunk: ReadonlyArray<StateRow> = yield* view.scan({ gte, lt, limit: wanted, maxBytes, reverse })
    let chunkBytes = 0
    for (const row of chunk) {
      chunkBytes += row.key.byteLength + row.value.byteLength
      // A copy: a part of the value's bytes would keep all of them.
      const record = keysOnly ? Buffer.from(row.value.subarray(0, recordHeaderBytes)) : row.value
      rows.push({ key: userKey(row.key), record })
      bytes += row.key.byteLength + record.byteLength
    }
    readBytes += chunkBytes
    const last = chunk[chunk.length - 1]
    if (last === undefined || chunk.length < wanted && chunkBytes < maxBytes) {
      return encodeScanReply(revision, rows, false)
    }
    if (reverse) lt = last.key
    else gte = successor(last.key)
  }
  // One row beyond the page tells whether there is more, and its value is not needed for that.
  const more = Buffer.compare(gte, lt) < 0 && (yield* view.scan({ gte, lt, limit: 1, keysOnly: true })).length > 0
  return encodeScanReply(revision, rows, more)
})

const count = Effect.fnUntraced(function*(view: StateView, range: KeyRange) {
  const { revision } = yield* loadFigures(view)
  const { gte, lt } = recordRange(range)
  let from = gte
  let keys = 0
  while (Buffer.compare(from, lt) < 0) {
    const chunk = yield* view.scan({ gte: from, lt, limit: countChunk, keysOnly: true })
    keys += chunk.length
    const last = chunk[chunk.length - 1]
    if (chunk.length < countChunk || last === undefined) break
    from = successor(last.key)
  }
  return encodeReply({ _tag: "CountReply", revision, count: keys })
})

const readTransaction = Effect.fnUntraced(function*(view: StateView, transaction: Transaction) {
  const state = new State()
  state.figures = yield* loadFigures(view)
  return encodeReply(yield* runLoading(view, transact(new Batch(state), transaction)))
})

const leaseRow = ({ deadlineMs, id, keys, ttlMs }: Lease, logTimeMs: number): LeaseRow => ({
  lease: id,
  ttlMs,
  remainingMs: Math.max(0, deadlineMs - logTimeMs),
  keys
})

const listLeases = ({ figures, leases }: State): Uint8Array =>
  encodeReply({
    _tag: "LeasesReply",
    revision: figures.revision,
    leases: [...leases.all].map((lease) => leaseRow(lease, figures.logTimeMs))
  })

/** One page of sessions. Their secrets stay where they are. */
const listSessions = ({ figures, sessions }: State, { after, limit }: ListSessions): Uint8Array => {
  const { logTimeMs, revision } = figures
  const rows: Array<SessionRow> = []
  let more = false
  for (const session of sessions.all) {
    if (session.id <= after) continue
    more = rows.length >= limit
    if (more) break
    const { heardMs, id, keptBytes, lastSequence, openedMs, owner, size, ttlMs } = session
    rows.push({
      session: id,
      owner,
      ageMs: Math.max(0, logTimeMs - openedMs),
      ttlMs,
      remainingMs: Math.max(0, heardMs + ttlMs - logTimeMs),
      lastSequence,
      replies: size,
      keptBytes
    })
  }
  return encodeReply({ _tag: "SessionsReply", revision, sessions: rows, more })
}

const leaseKeys = Effect.fnUntraced(function*(view: StateView, { figures, leases }: State, id: number) {
  const lease = leases.get(id)
  if (lease === undefined) {
    return encodeReply({
      _tag: "RefusedReply",
      revision: figures.revision,
      reason: "lease-not-found",
      field: "lease",
      text: `${id} has ended, or never was`,
      current: id,
      maximum: 0
    })
  }
  const rows = yield* view.scan({ ...leaseKeysRange(id), limit: maxLeaseKeys, keysOnly: true })
  const { remainingMs, ttlMs } = leaseRow(lease, figures.logTimeMs)
  return encodeReply({
    _tag: "LeaseKeysReply",
    revision: figures.revision,
    lease: id,
    ttlMs,
    remainingMs,
    keys: rows.map(({ key }) => attachedKey(key))
  })
})
