/**
 * What each command does. Nothing here fails: a command that cannot be carried out is answered `RefusedReply` and
 * changes nothing, on every node alike.
 */
import type { Batch } from "./Batch.ts"
import type { Command, Compact, Expire, RevokeLease, SessionStamp, Stamped, Transact } from "./Command.ts"
import type { Slot } from "./Draft.ts"
import { recordOf } from "./Draft.ts"
import { successor } from "./KeyRange.ts"
import { attachedKey, leaseKeysRange, recordKey, userKey } from "./Keyspace.ts"
import {
  maxLeaseKeys,
  maxLeases,
  maxPageBytes,
  maxRangeDeletes,
  maxSessionReplies,
  maxSessionReplyBytes,
  maxTransactionReadBytes,
  maxTransactionReadRows
} from "./Limits.ts"
import type { Loading } from "./Loading.ts"
import type { CommandReply, OperationResult, Refusal, RefusedReply, Row, TransactionReply } from "./Reply.ts"
import { ReadBudget } from "./ReadBudget.ts"
import { encodeReply } from "./Reply.ts"
import type { Session } from "./Session.ts"
import type { Operation, RangeOperation, Transaction } from "./Transaction.ts"
import { holds, onlySingleKeys, touchedKeys, writes } from "./Transaction.ts"

/** Where a command stands in the log. */
export interface Place {
  readonly index: number
  readonly stampMs: number
}

/** A transaction of more parts reads the keys that it names by itself, and stops when they are too much. */
const maxReadAhead = 16

const isReadAhead = ({ compares, failure, success }: Transaction): boolean =>
  compares.length + failure.length + success.length <= maxReadAhead

/** The keys a command certainly looks at, for one read of all of a batch's. */
export const keysOf = (command: Command): ReadonlyArray<Uint8Array> => {
  switch (command._tag) {
    case "Put":
    case "Delete":
      return [command.key]
    case "Transact":
      return isReadAhead(command.transaction) ? touchedKeys(command.transaction) : []
    default:
      return []
  }
}

/** A command that needs more of the store than {@link keysOf}: ranges of keys, or a row of the history. */
type Ranging = Transact | RevokeLease | Expire | Compact

const isRanging = (command: Command): command is Ranging => {
  switch (command._tag) {
    case "Transact":
      return !onlySingleKeys(command.transaction) || !isReadAhead(command.transaction)
    case "RevokeLease":
    case "Expire":
    case "Compact":
      return true
    default:
      return false
  }
}

/**
 * Carries out one command at its place in the log and answers with the bytes of its reply: at once, or after it has
 * read what it asks for.
 */
export const apply = (batch: Batch, place: Place, { command, stamp }: Stamped): Uint8Array | Loading<Uint8Array> => {
  batch.advanceTime(place.stampMs)
  const session = stamp.session === 0 ? undefined : admit(batch, command, stamp)
  if (session instanceof Uint8Array) return session
  if (isRanging(command)) return applyRanging(batch, place, command, stamp, session)
  return answer(batch, place, stamp, session, carryOut(batch, place, command, session))
}

function* applyRanging(
  batch: Batch,
  place: Place,
  command: Ranging,
  stamp: SessionStamp,
  session: Session | undefined
): Loading<Uint8Array> {
  return answer(batch, place, stamp, session, yield* carryOutRanging(batch, command))
}

/** The session a command may be carried out in, or the reply to one that was carried out before, or may not be. */
const admit = (batch: Batch, command: Command, stamp: SessionStamp): Session | Uint8Array => {
  const session = batch.state.sessions.get(stamp.session)
  if (session === undefined) {
    return encodeReply(refused(batch, "session-expired", "session", `${stamp.session} has ended, or never was`))
  }
  if (!session.hasSecret(stamp.secret)) {
    const text = `${stamp.session} was opened with another secret; only its own client can send commands in it`
    return encodeReply(refused(batch, "wrong-secret", "session", text))
  }
  batch.hear(session, stamp.answered)
  const reply = withoutRepeating(batch, command, session, stamp)
  if (reply === undefined) return session
  batch.recordAnswered(session)
  return reply
}

/** The reply to a command that is not carried out, because it was before, or because too many replies are kept. */
const withoutRepeating = (
  batch: Batch,
  command: Command,
  session: Session,
  stamp: SessionStamp
): Uint8Array | undefined => {
  const kept = session.reply(stamp.sequence)
  if (kept !== undefined) return kept
  if (stamp.sequence <= session.answered) {
    return encodeReply(refused(batch, "already-answered", "sequence", `${stamp.sequence} was answered before`))
  }
  // It keeps no reply, and makes room for others.
  if (command._tag === "CloseSession") return undefined
  if (session.size >= maxSessionReplies) {
    return encodeReply(overloaded(batch, "maxSessionReplies", session.size, maxSessionReplies))
  }
  if (session.replyBytes >= maxSessionReplyBytes) {
    return encodeReply(overloaded(batch, "maxSessionReplyBytes", session.replyBytes, maxSessionReplyBytes))
  }
  if (!batch.makeReplyRoom(session)) {
    const { bytes, maximum } = batch.state.sessions.kept
    return encodeReply(overloaded(batch, "maxKeptReplyBytes", bytes, maximum))
  }
  return undefined
}

/** Encodes a reply and keeps it for the session, unless the command ended it. */
const answer = (
  batch: Batch,
  { index }: Place,
  { sequence }: SessionStamp,
  session: Session | undefined,
  reply: CommandReply
): Uint8Array => {
  const bytes = encodeReply(reply)
  if (session !== undefined && batch.state.sessions.get(session.id) === session) {
    batch.keepReply(session, sequence, bytes, index)
  }
  return bytes
}

function* carryOutRanging(batch: Batch, command: Ranging): Loading<CommandReply> {
  switch (command._tag) {
    case "Transact":
      return yield* transact(batch, command.transaction)
    case "RevokeLease": {
      if (batch.state.leases.get(command.lease) === undefined) return noLease(batch, command.lease)
      const deleted = yield* revoke(batch, command.lease)
      return { _tag: "RevokedReply", revision: batch.revision, deleted }
    }
    case "Compact": {
      const { compacted, revision } = batch.figures
      if (command.through > revision) {
        return refused(batch, "invalid", "revision", `${command.through} is ahead of the store's revision ${revision}`)
      }
      if (command.through > compacted) yield* batch.compact(command.through)
      return done(batch)
    }
    case "Expire":
      yield* expire(batch, command.leases, command.sessions)
      return done(batch)
  }
}

const carryOut = (
  batch: Batch,
  place: Place,
  command: Exclude<Command, RevokeLease | Expire | Compact>,
  session: Session | undefined
): CommandReply => {
  const { leases, maxSessions, sessions } = batch.state
  switch (command._tag) {
    case "Put":
      return put(batch, command.key, command.value, command.lease)
    case "Delete":
      return deleteKey(batch, batch.draft.slot(command.key))
    case "Transact":
      return loaded(transact(batch, command.transaction))
    case "GrantLease": {
      if (leases.size >= maxLeases) return overloaded(batch, "maxLeases", leases.size, maxLeases)
      const { ttlMs } = command
      const lease = { id: place.index, ttlMs, deadlineMs: batch.figures.logTimeMs + ttlMs, keys: 0 }
      batch.setLease(lease)
      return { _tag: "LeaseReply", revision: batch.revision, lease: lease.id, ttlMs, remainingMs: ttlMs }
    }
    case "KeepAlive": {
      const lease = leases.get(command.lease)
      if (lease === undefined) return noLease(batch, command.lease)
      const { id, ttlMs } = lease
      batch.setLease({ ...lease, deadlineMs: batch.figures.logTimeMs + ttlMs })
      return { _tag: "LeaseReply", revision: batch.revision, lease: id, ttlMs, remainingMs: ttlMs }
    }
    case "OpenSession": {
      if (sessions.size >= maxSessions) {
        const idle = sessions.evictable(batch.figures.logTimeMs)
        if (idle === undefined) return overloaded(batch, "maxSessions", sessions.size, maxSessions)
        batch.closeSession(idle)
      }
      const { owner, secret, ttlMs } = command
      const openedMs = batch.figures.logTimeMs
      batch.openSession(place.index, { ttlMs, heardMs: openedMs, answered: 0, openedMs, secret, owner })
      return { _tag: "SessionReply", revision: batch.revision, session: place.index, ttlMs }
    }
    case "CloseSession":
      if (session !== undefined) batch.closeSession(session)
      return done(batch)
    case "EndSession": {
      const ended = sessions.get(command.session)
      if (ended === undefined) {
        return refused(batch, "invalid", "session", `${command.session} has ended, or never was`)
      }
      batch.closeSession(ended)
      return done(batch)
    }
    case "KeepSession":
    case "Checkpoint":
      return done(batch)
  }
}

/** The result of a computation all of whose keys are loaded. */
const loaded = <A>(loading: Loading<A>): A => {
  const step = loading.next([])
  if (step.done !== true) throw new Error("a command needed more of the store than was loaded for it")
  return step.value
}

const put = (batch: Batch, key: Uint8Array, value: Uint8Array, lease: number): CommandReply => {
  const slot = batch.draft.slot(key)
  const problem = lease === 0 ? undefined : leaseProblem(batch, slot, lease)
  if (problem !== undefined) return problem
  batch.beginRevision()
  const { createRevision, modRevision, version } = batch.putKey(slot, value, lease)
  batch.endRevision()
  return { _tag: "PutReply", revision: modRevision, createRevision, version }
}

/** Why a key cannot be attached to a lease, if there is a reason. */
const leaseProblem = (batch: Batch, slot: Slot, id: number): RefusedReply | undefined => {
  const lease = batch.state.leases.get(id)
  if (lease === undefined) return noLease(batch, id)
  return slot.record?.lease !== id && lease.keys >= maxLeaseKeys
    ? overloaded(batch, "maxLeaseKeys", lease.keys, maxLeaseKeys)
    : undefined
}

const deleteKey = (batch: Batch, slot: Slot): CommandReply => {
  const deleted = slot.record !== undefined
  if (deleted) {
    batch.beginRevision()
    batch.deleteKey(slot)
    batch.endRevision()
  }
  return { _tag: "DeleteReply", revision: batch.revision, deleted }
}

/**
 * A transaction, also one that only reads. Whatever could refuse it is looked at before anything is changed, so that
 * nothing has to be taken back.
 */
export function* transact(batch: Batch, transaction: Transaction): Loading<TransactionReply | RefusedReply> {
  const budget = new ReadBudget()
  const reply = yield* transactWithin(batch, transaction, budget)
  batch.readBytes += budget.bytes
  return reply ?? refused(
    batch,
    "invalid",
    "transaction",
    `looks at more than maxTransactionReadBytes = ${maxTransactionReadBytes} bytes or maxTransactionReadRows = ` +
      `${maxTransactionReadRows} keys (all that it names, and the rows of its ranges); split it into smaller ones`
  )
}

/** The reply, or `undefined` when the transaction looks at more than it may. Nothing is changed then. */
function* transactWithin(
  batch: Batch,
  transaction: Transaction,
  budget: ReadBudget
): Loading<TransactionReply | RefusedReply | undefined> {
  const { draft } = batch
  yield* draft.loadAll(touchedKeys(transaction), budget)
  if (budget.exceeded) return undefined
  const succeeded = transaction.compares.every((compare) => holds(compare, draft.slot(compare.key).record))
  const list = succeeded ? "success" : "failure"
  const operations = transaction[list]
  const doomed = yield* prepare(batch, operations, list, budget)
  if (!Array.isArray(doomed)) return doomed
  const results: Array<OperationResult> = []
  let room = maxPageBytes
  // A range sees what the operations before it changed, so what it looks at is known only then.
  batch.beginRevision(operations.some(writes) && operations.some(({ _tag }) => _tag === "Range"))
  for (let i = 0; i < operations.length; i++) {
    const operation = operations[i] as Operation
    if (operation._tag !== "Range") {
      results.push(step(batch, operation, doomed[i] ?? []))
      continue
    }
    const { more, rows } = yield* draft.range(operation.range, operation.limit, operation.reverse, room, budget)
    if (budget.exceeded) {
      batch.abandonRevision()
      return undefined
    }
    room -= rows.reduce((sum, { key, record }) => sum + key.byteLength + record.value.byteLength, 0)
    results.push({ _tag: "Range", more, rows: operation.keysOnly ? rows.map(withoutValue) : rows })
  }
  batch.endRevision()
  return { _tag: "TransactionReply", revision: batch.revision, succeeded, results }
}

/** The keys that each delete-range will remove, in the places of the operations; or why the transaction is refused. */
function* prepare(
  batch: Batch,
  operations: ReadonlyArray<Operation>,
  list: string,
  budget: ReadBudget
): Loading<Array<ReadonlyArray<Uint8Array>> | RefusedReply | undefined> {
  const { draft } = batch
  const doomed = new Array<ReadonlyArray<Uint8Array>>(operations.length)
  let readBytes = 0
  for (let i = 0; i < operations.length; i++) {
    const operation = operations[i] as Operation
    if (operation._tag === "DeleteRange") {
      const { range } = operation
      const { more, rows } = yield* draft.range(range, maxRangeDeletes, false, maxTransactionReadBytes, budget)
      if (budget.exceeded) return undefined
      if (more) return tooLarge(batch, `${list}[${i}].range`)
      for (const { key, record } of rows) if (!draft.isLoaded(key)) draft.load(key, record)
      doomed[i] = rows.map(({ key }) => key)
    } else if (operation._tag === "Put" && operation.lease !== 0) {
      const problem = leaseProblem(batch, draft.slot(operation.key), operation.lease)
      if (problem !== undefined) return problem
    } else if (operation._tag === "Get") {
      readBytes += draft.slot(operation.key).record?.value.byteLength ?? 0
    }
  }
  return readBytes > maxPageBytes
    ? refused(batch, "invalid", list, `reads ${readBytes} bytes of values; at most ${maxPageBytes} are allowed`)
    : doomed
}

const tooLarge = (batch: Batch, field: string): RefusedReply =>
  refused(
    batch,
    "invalid",
    field,
    `holds more than maxRangeDeletes = ${maxRangeDeletes} keys; delete it in smaller ranges`
  )

const withoutValue = ({ key, record }: Row): Row => ({ key, record: { ...record, value: nothing } })

const nothing = new Uint8Array(0)

/** One operation on keys that are loaded. */
const step = (
  batch: Batch,
  operation: Exclude<Operation, RangeOperation>,
  doomed: ReadonlyArray<Uint8Array>
): OperationResult => {
  const { draft } = batch
  switch (operation._tag) {
    case "Put": {
      const { createRevision, version } = batch.putKey(draft.slot(operation.key), operation.value, operation.lease)
      return { _tag: "Put", createRevision, version }
    }
    case "Delete": {
      const slot = draft.slot(operation.key)
      const deleted = slot.record === undefined ? 0 : 1
      if (deleted === 1) batch.deleteKey(slot)
      return { _tag: "Delete", deleted }
    }
    case "DeleteRange":
      for (const key of doomed) batch.deleteKey(draft.slot(key))
      return { _tag: "Delete", deleted: doomed.length }
    case "Get":
      return { _tag: "Get", record: draft.slot(operation.key).record }
  }
}

/** Ends those of the leases and sessions whose time has passed: a keep-alive may have come first. */
function* expire(
  batch: Batch,
  leaseIds: ReadonlyArray<number>,
  sessionIds: ReadonlyArray<number>
): Loading<void> {
  const { leases, sessions } = batch.state
  const { logTimeMs } = batch.figures
  for (const id of leaseIds) {
    const lease = leases.get(id)
    if (lease !== undefined && lease.deadlineMs <= logTimeMs) yield* revoke(batch, id)
  }
  for (const id of sessionIds) {
    const session = sessions.get(id)
    if (session !== undefined && session.heardMs + session.ttlMs <= logTimeMs) batch.closeSession(session)
  }
}

/** Keys of a lease that are looked up at once; each may have a value of the largest size. */
const revokeKeys = 32

/** The values of a lease's keys that are kept for those who watch; those beyond are deleted without being told. */
const maxRevokedBytes = 32 * 1024 * 1024

/** Ends a lease and deletes what is attached to it, all in one revision. Answers with how many keys that were. */
function* revoke(batch: Batch, lease: number): Loading<number> {
  const { draft } = batch
  const { gte, lt } = leaseKeysRange(lease)
  let from = gte
  let bytes = 0
  for (;;) {
    const attached = yield {
      _tag: "LoadRange",
      range: { gte: from, lt },
      limit: revokeKeys,
      maxBytes: Number.MAX_SAFE_INTEGER,
      reverse: false
    }
    const keys = attached.map((row) => attachedKey(row.key)).filter((key) => !draft.isLoaded(key))
    if (keys.length > 0) {
      for (const row of yield { _tag: "LoadKeys", keys: keys.map(recordKey) }) {
        const key = userKey(row.key)
        const record = recordOf(row)
        bytes += record.value.byteLength
        // What a lease holds may be more than fits into memory; beyond a bound the values stay where they are.
        if (bytes > maxRevokedBytes) draft.loadDoomed(key, record)
        else draft.load(key, record)
      }
    }
    const last = attached[attached.length - 1]
    if (attached.length < revokeKeys || last === undefined) break
    from = successor(last.key)
  }
  // In the order of their keys, because the order of loading depends on how commands are grouped into batches.
  const slots = [...draft.all]
    .filter(({ record }) => record?.lease === lease)
    .sort((a, b) => Buffer.compare(a.key, b.key))
  batch.beginRevision()
  for (const slot of slots) batch.deleteKey(slot)
  batch.endRevision()
  batch.deleteLease(lease)
  return slots.length
}

const done = (batch: Batch): CommandReply => ({ _tag: "DoneReply", revision: batch.revision })

const refused = (batch: Batch, reason: Refusal, field: string, text: string): RefusedReply => ({
  _tag: "RefusedReply",
  revision: batch.revision,
  reason,
  field,
  text,
  current: 0,
  maximum: 0
})

/** The lease it is about stands in `current`. */
const noLease = (batch: Batch, lease: number): RefusedReply => ({
  ...refused(batch, "lease-not-found", "lease", `${lease} has ended, or never was`),
  current: lease
})

const overloaded = (batch: Batch, limit: string, current: number, maximum: number): RefusedReply => ({
  ...refused(batch, "overloaded", limit, "is reached"),
  current,
  maximum
})
