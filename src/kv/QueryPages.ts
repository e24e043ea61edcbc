/** Answers one query that is no get: a page of a range, a count, a transaction that only reads, leases or sessions. */
import { Effect, Semaphore } from "effect"
import type { UserRow } from "./model/access/AccessReply.ts"
import { transact } from "./model/ApplyTransaction.ts"
import { Batch } from "./model/Batch.ts"
import type { KeyRange } from "../bytes/KeyRange.ts"
import { successor } from "../bytes/KeyRange.ts"
import { recordHeaderBytes } from "./model/KeyRecord.ts"
import { attachedKey, leaseKeysRange, recordRange, userKey } from "./model/Keyspace.ts"
import type { Lease } from "./model/Lease.ts"
import { maxLeaseKeys, maxPageBytes } from "./model/Limits.ts"
import type { Count, Get, ListRoles, ListSessions, ListUsers, Query, Scan } from "./model/Query.ts"
import type { LeaseRow, SessionRow } from "./model/Reply.ts"
import { encodeReply, encodeScanReply } from "./model/ReplyCodec.ts"
import { State } from "./model/State.ts"
import type { Transaction } from "./model/Transaction.ts"
import type { StateRow, StateStore, StateView } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { runLoading } from "../machine/KvLoader.ts"
import type { QueryReply } from "../machine/StateMachine.ts"
import { loadMetadata } from "./StoredMetadata.ts"

/**
 * Bytes of values that a page may leave out before it ends: what is read for it is bounded, not only what it answers.
 */
const maxReadBytes = 4 * maxPageBytes

/** Keys counted at once. */
const countChunk = 4_096

/**
 * Answers a query from one view, with one of `permits`: what is read for it is in memory until it is answered. A
 * count takes a permit for each page. `state` is asked for what is in memory: it has all leases and sessions.
 */
export const answerOne = (
  store: StateStore["Service"],
  state: () => State,
  query: Exclude<Query, Get>,
  permits: Semaphore.Semaphore
): Effect.Effect<QueryReply, StorageError> =>
  query._tag === "Count"
    ? store.withView((view) => count(view, query.range, permits))
    : Semaphore.withPermit(permits, page(store, state, query))

const page = (
  store: StateStore["Service"],
  state: () => State,
  query: Exclude<Query, Get | Count>
): Effect.Effect<QueryReply, StorageError> => {
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
    case "Roles":
      return Effect.sync(() => listRoles(state(), query))
    case "Users":
      return Effect.sync(() => listUsers(state(), query))
  }
}

/**
 * One page: ends at its limit of rows, at its limit of bytes, or with the range. Without values it ends once it has
 * read, and left out, a few pages' worth of them; the caller goes on behind its last row.
 */
const scan = Effect.fnUntraced(function*(view: StateView, query: Scan) {
  const { keysOnly, limit, reverse } = query
  let { gte, lt } = recordRange(query.range)
  const { revision } = yield* loadMetadata(view)
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

/** Takes a permit for each page, so that a long count has others go between. */
const count = Effect.fnUntraced(function*(view: StateView, range: KeyRange, permits: Semaphore.Semaphore) {
  const { revision } = yield* loadMetadata(view)
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
  state.metadata = yield* loadMetadata(view)
  return encodeReply(yield* runLoading(view, transact(new Batch(state), transaction)))
})

const leaseRow = ({ caller, deadlineMs, id, keys, ttlMs }: Lease, logTimeMs: number): LeaseRow => ({
  lease: id,
  ttlMs,
  remainingMs: Math.max(0, deadlineMs - logTimeMs),
  keys,
  caller
})

const listLeases = ({ metadata, leases }: State): Uint8Array =>
  encodeReply({
    _tag: "LeasesReply",
    revision: metadata.revision,
    leases: [...leases.all].map((lease) => leaseRow(lease, metadata.logTimeMs))
  })

/** One page of sessions. Their secrets stay where they are. */
const listSessions = ({ metadata, sessions }: State, { after, limit }: ListSessions): Uint8Array => {
  const { logTimeMs, revision } = metadata
  const rows: Array<SessionRow> = []
  let more = false
  for (const session of sessions.all) {
    if (session.id <= after) continue
    more = rows.length >= limit
    if (more) break
    const { caller, heardMs, id, keptBytes, lastSequence, openedMs, owner, size, ttlMs } = session
    rows.push({
      session: id,
      owner,
      caller,
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

const listRoles = ({ access, metadata }: State, { after, limit }: ListRoles): Uint8Array => {
  const { more, rows } = access.rolesAfter(after, limit)
  return encodeReply({ _tag: "RolesReply", revision: metadata.revision, roles: rows, more })
}

/** One page of users. The hashes of their tokens stay where they are. */
const listUsers = ({ access, metadata, leases, sessions }: State, { after, limit }: ListUsers): Uint8Array => {
  const { more, rows } = access.usersAfter(after, limit)
  const users = rows.map(({ maxLeases, maxSessions, name, roles, tokens }): UserRow => ({
    name,
    roles,
    maxLeases,
    maxSessions,
    tokens: tokens.map(({ createdMs, expiresMs, id }) => ({ token: id, createdMs, expiresMs })),
    leases: leases.countOf(name),
    sessions: sessions.countOf(name)
  }))
  return encodeReply({ _tag: "UsersReply", revision: metadata.revision, users, more })
}

const leaseKeys = Effect.fnUntraced(function*(view: StateView, { metadata, leases }: State, id: number) {
  const lease = leases.get(id)
  if (lease === undefined) {
    return encodeReply({
      _tag: "RefusedReply",
      revision: metadata.revision,
      reason: "lease-not-found",
      field: "lease",
      text: `${id} has ended, or never was`,
      current: id,
      maximum: 0
    })
  }
  const rows = yield* view.scan({ ...leaseKeysRange(id), limit: maxLeaseKeys, keysOnly: true })
  const { remainingMs, ttlMs } = leaseRow(lease, metadata.logTimeMs)
  return encodeReply({
    _tag: "LeaseKeysReply",
    revision: metadata.revision,
    lease: id,
    ttlMs,
    remainingMs,
    keys: rows.map(({ key }) => attachedKey(key))
  })
})
