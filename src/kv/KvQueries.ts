/** Answers the queries of the key-value store from its applied state. */
import { Effect, Semaphore } from "effect"
import { InvalidArgument, Overloaded } from "../FlareDbError.ts"
import { transact } from "./model/ApplyTransaction.ts"
import { Batch } from "./model/Batch.ts"
import type { Figures } from "./model/Figures.ts"
import { decodeFigures } from "./model/Figures.ts"
import type { KeyRange } from "../bytes/KeyRange.ts"
import { successor } from "../bytes/KeyRange.ts"
import { recordHeaderBytes } from "./model/KeyRecord.ts"
import { attachedKey, figuresKey, leaseKeysRange, recordKey, recordRange, userKey } from "./model/Keyspace.ts"
import type { Lease } from "./model/Lease.ts"
import {
  maxLeaseKeys,
  maxOwnerLength,
  maxPageBytes,
  maxPageBytesOf,
  maxScanLimit,
  maxTransactionReadBytes
} from "./model/Limits.ts"
import type { Problem } from "./model/Limits.ts"
import type { Count, Get, ListSessions, Query, Scan } from "./model/Query.ts"
import { decodeQuery } from "./model/Query.ts"
import type { LeaseRow, SessionRow } from "./model/Reply.ts"
import { encodeGetReply, encodeReply, encodeScanReply } from "./model/ReplyCodec.ts"
import { State } from "./model/State.ts"
import type { Transaction } from "./model/Transaction.ts"
import type { StateRow, StateStore, StateView } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { AnswerRoom } from "../machine/AnswerRoom.ts"
import { corrupt, runLoading } from "../machine/KvLoader.ts"
import type { QueryReply } from "../machine/StateMachine.ts"

/**
 * Bytes of values that a page may leave out before it ends: what is read for it is bounded, not only what it answers.
 */
const maxReadBytes = 4 * maxPageBytes

/** Keys counted at once. */
const countChunk = 4_096

/** Bytes after which a call is given no more answers; what is left of it is asked for again. */
const maxAnswerBytes = maxPageBytes

/** Gets that are read at once when what they find is small. */
const getChunk = 64

/** Gets of the first read of a call with more than that: little is known of what it asks for. */
const firstChunk = 16

/** Bytes that the gets of one read find, as far as can be known before. */
const getChunkBytes = 1024 * 1024

/** What is left of an expectation that was too high, with each smaller answer. */
const decline = 0.8

/** Most bytes of the answer to a scan. */
const maxScanBytes = maxPageBytesOf(maxScanLimit, false)

/** Least bytes that are reserved for what one get or range finds. */
const getBytes = 256 * 1024

/** What was found lately. What is reserved is decided by it, and how many gets are read at once. */
export interface FoundLately {
  bytesPerGet: number
  /** Bytes of the answers to what reads ranges. It falls with each smaller one. */
  readonly bytesPerPage: { Scan: number; Transact: number }
}

/** Before anything is known gets count as small, and pages as large as they can be. */
export const nothingFound = (): FoundLately => ({
  bytesPerGet: 1,
  bytesPerPage: { Scan: maxScanBytes, Transact: maxTransactionReadBytes }
})

/** Bytes and queries answered in one go; then heartbeats have their turn. */
const stretchBytes = 1024 * 1024
const stretchQueries = 512

/** Bytes of a lease in the list of all. */
const leaseRowBytes = 32

const atOnce = ({ bytesPerGet }: FoundLately): number => Math.min(getChunk, Math.ceil(getChunkBytes / bytesPerGet))

/** The figures, and what the gets find, until that is as much as one call is answered. Mostly one read. */
const getSome = Effect.fnUntraced(function*(
  view: StateView,
  gets: ReadonlyArray<Get>,
  lately: FoundLately,
  room: AnswerRoom | undefined
) {
  const found: Array<Uint8Array | undefined> = []
  let bytes = 0
  let refusal: Overloaded | undefined
  for (let from = 0; from < gets.length && bytes < maxAnswerBytes;) {
    const fitting = from === 0 && gets.length > getChunk ? Math.min(firstChunk, atOnce(lately)) : atOnce(lately)
    const keys = gets.slice(from, from + fitting).map((get) => recordKey(get.key))
    const count = keys.length
    if (room !== undefined) {
      refusal = yield* room.reserve(bytes + count * Math.max(getBytes, lately.bytesPerGet))
      if (refusal !== undefined) break
    }
    if (from === 0) keys.unshift(figuresKey)
    let chunkBytes = 0
    for (const value of yield* view.getMany(keys)) {
      chunkBytes += value?.byteLength ?? 0
      found.push(value)
    }
    bytes += chunkBytes
    from += count
    // Up at once, down by and by: somebody else's small values say little about the next large ones.
    lately.bytesPerGet = Math.max(1, chunkBytes / count, lately.bytesPerGet * 0.95)
    room?.trim(bytes)
  }
  return { found, bytes, refusal }
})

/**
 * Bytes that a query may be answered with, as far as they are known before it is carried out. What reads ranges is
 * mostly answered with far less than the most that it may be: it counts like those before it. `concurrentQueries` bounds
 * how much more can be found than was reserved.
 */
const reservedFor = (query: Exclude<Query, Get>, leases: number, { bytesPerPage }: FoundLately): number => {
  switch (query._tag) {
    case "Scan":
      return Math.min(maxPageBytesOf(query.limit, query.keysOnly), Math.max(getBytes, bytesPerPage.Scan))
    case "Count":
      return smallReplyBytes
    case "Transact":
      return Math.max(getBytes, bytesPerPage.Transact)
    case "Leases":
      return smallReplyBytes + leases * leaseRowBytes
    case "LeaseKeys":
      return maxPageBytes
    case "Sessions":
      return smallReplyBytes + query.limit * sessionRowBytes
  }
}

const smallReplyBytes = 64

/** Six numbers, and the name of an owner. */
const sessionRowBytes = 56 + maxOwnerLength

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
  permits: Semaphore.Semaphore,
  lately: FoundLately,
  room?: AnswerRoom
): Effect.fn.Return<ReadonlyArray<QueryReply>, StorageError> {
  const decoded: Array<Query | Problem> = []
  for (const query of queries) {
    decoded.push(decodeQuery(query))
    if (decoded.length % stretchQueries === 0) yield* Effect.yieldNow
  }
  const gets = decoded.filter((query): query is Get => query._tag === "Get")
  // Several reads are of one moment only in a view.
  const read = yield* gets.length <= atOnce(lately)
    ? getSome(store, gets, lately, room)
    : store.withView((view) => getSome(view, gets, lately, room))
  const { found } = read
  let { refusal } = read
  const revision = found.length === 0 ? 0 : (yield* readFigures(found[0])).revision
  /** Bytes that were read for gets and are not answered yet. */
  let unanswered = read.bytes
  let get = 0
  let bytes = 0
  let stretch = 0
  /** One for all, because there may be thousands. */
  let refused: Overloaded | undefined
  const full = () =>
    refused ??= refusal ?? new Overloaded({ limit: "maxAnswerBytes", current: bytes, maximum: maxAnswerBytes })
  const replies: Array<QueryReply> = []
  for (const query of decoded) {
    if (stretch >= stretchBytes || replies.length % stretchQueries === stretchQueries - 1) {
      stretch = 0
      yield* Effect.yieldNow
    }
    let reply: QueryReply
    if (query._tag === "Get") {
      get += 1
      const record = found[get]
      unanswered -= record?.byteLength ?? 0
      reply = get >= found.length || bytes >= maxAnswerBytes ? full() : encodeGetReply(revision, record)
    } else if (query._tag === "Problem") {
      reply = invalid(query)
    } else if (bytes >= maxAnswerBytes || refusal !== undefined) {
      reply = full()
    } else {
      refusal = yield* room === undefined
        ? noRefusal
        : room.reserve(bytes + unanswered + reservedFor(query, state().leases.size, lately))
      reply = refusal ?? (yield* other(query))
    }
    const size = reply instanceof Uint8Array ? reply.byteLength : 0
    if (size > 0 && (query._tag === "Scan" || query._tag === "Transact")) {
      lately.bytesPerPage[query._tag] = Math.max(size, lately.bytesPerPage[query._tag] * decline)
    }
    bytes += size
    stretch += size
    // The answers so far, and the gets to come: less than was reserved.
    if (query._tag !== "Get" && size > 0) room?.trim(bytes + unanswered)
    replies.push(reply)
  }
  return replies

  function other(query: Exclude<Query, Get>): Effect.Effect<QueryReply, StorageError> {
    return query._tag === "Count"
      ? store.withView((view) => count(view, query.range, permits))
      : Semaphore.withPermit(permits, page(query))
  }

  function page(query: Exclude<Query, Get | Count>): Effect.Effect<QueryReply, StorageError> {
    switch (query._tag) {
      case "Scan":
        return store.withView((view) => scan(view, query))
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

const noRefusal: Effect.Effect<Overloaded | undefined> = Effect.succeed(undefined)

/** Takes a permit for each page, so that a long count has others go between. */
const count = Effect.fnUntraced(function*(view: StateView, range: KeyRange, permits: Semaphore.Semaphore) {
  const { revision } = yield* loadFigures(view)
  const { gte, lt } = recordRange(range)
  let from = gte
  let keys = 0
  while (Buffer.compare(from, lt) < 0) {
    const page = view.scan({ gte: from, lt, limit: countChunk, keysOnly: true })
    const chunk: ReadonlyArray<StateRow> = yield* Semaphore.withPermit(permits, page)
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
