/**
 * What each command does. Nothing here fails: a command that cannot be carried out is answered `RefusedReply` and
 * changes nothing, on every node alike.
 */
import { applyAccess, quotaProblem } from "./access/ApplyAccess.ts"
import { transact } from "./ApplyTransaction.ts"
import type { Batch } from "./Batch.ts"
import type { Command, CommandId, Compact, DecodedCommand, Expire, RevokeLease, Transact } from "./Command.ts"
import type { WriteSetEntry } from "./WriteSet.ts"
import { expire, revoke } from "./Expiry.ts"
import { maxLeases, maxSessionReplies, maxSessionReplyBytes } from "./Limits.ts"
import type { Loading } from "./Loading.ts"
import { done, leaseProblem, noLease, overloaded, refused } from "./Refusal.ts"
import type { CommandReply } from "./Reply.ts"
import { encodeReply } from "./ReplyCodec.ts"
import type { Session } from "./Session.ts"
import type { Transaction } from "./Transaction.ts"
import { onlySingleKeys, touchedKeys } from "./Transaction.ts"

/** Where a command stands in the log. */
export interface Place {
  readonly index: number
  readonly timestampMs: number
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
export const apply = (
  batch: Batch,
  place: Place,
  { command, commandId }: DecodedCommand
): Uint8Array | Loading<Uint8Array> => {
  batch.advanceTime(place.timestampMs)
  const session = commandId.session === 0 ? undefined : admit(batch, command, commandId)
  if (session instanceof Uint8Array) return session
  if (isRanging(command)) return applyRanging(batch, place, command, commandId, session)
  return answer(batch, place, commandId, session, carryOut(batch, place, command, session))
}

function* applyRanging(
  batch: Batch,
  place: Place,
  command: Ranging,
  commandId: CommandId,
  session: Session | undefined
): Loading<Uint8Array> {
  return answer(batch, place, commandId, session, yield* carryOutRanging(batch, command))
}

/** The session a command may be carried out in, or the reply to one that was carried out before, or may not be. */
const admit = (batch: Batch, command: Command, commandId: CommandId): Session | Uint8Array => {
  const session = batch.state.sessions.get(commandId.session)
  if (session === undefined) {
    return encodeReply(refused(batch, "session-expired", "session", `${commandId.session} has ended, or never was`))
  }
  if (!session.hasSecret(commandId.secret)) {
    const text = `${commandId.session} was opened with another secret; only its own client can send commands in it`
    return encodeReply(refused(batch, "wrong-secret", "session", text))
  }
  batch.clientSeen(session, commandId.answered)
  const reply = withoutRepeating(batch, command, session, commandId)
  if (reply === undefined) return session
  batch.recordAnswered(session)
  return reply
}

/** The reply to a command that is not carried out, because it was before, or because too many replies are kept. */
const withoutRepeating = (
  batch: Batch,
  command: Command,
  session: Session,
  commandId: CommandId
): Uint8Array | undefined => {
  const kept = session.reply(commandId.sequence)
  if (kept !== undefined) return kept
  if (commandId.sequence <= session.answered) {
    return encodeReply(refused(batch, "already-answered", "sequence", `${commandId.sequence} was answered before`))
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
  { sequence }: CommandId,
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
      const { compacted, revision } = batch.metadata
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
      return deleteKey(batch, batch.writeSet.entry(command.key))
    case "Transact":
      return loaded(transact(batch, command.transaction))
    case "GrantLease": {
      if (leases.size >= maxLeases) return overloaded(batch, "maxLeases", leases.size, maxLeases)
      const { caller = "", ttlMs } = command
      const problem = quotaProblem(batch, caller, "maxLeases")
      if (problem !== undefined) return problem
      const lease = { id: place.index, ttlMs, deadlineMs: batch.metadata.logTimeMs + ttlMs, keys: 0, caller }
      batch.setLease(lease)
      return { _tag: "LeaseReply", revision: batch.revision, lease: lease.id, ttlMs, remainingMs: ttlMs }
    }
    case "KeepAlive": {
      const lease = leases.get(command.lease)
      if (lease === undefined) return noLease(batch, command.lease)
      const { id, ttlMs } = lease
      batch.setLease({ ...lease, deadlineMs: batch.metadata.logTimeMs + ttlMs })
      return { _tag: "LeaseReply", revision: batch.revision, lease: id, ttlMs, remainingMs: ttlMs }
    }
    case "OpenSession": {
      const { caller = "", owner, secret, ttlMs } = command
      const problem = quotaProblem(batch, caller, "maxSessions")
      if (problem !== undefined) return problem
      if (sessions.size >= maxSessions) {
        const idle = sessions.evictable(batch.metadata.logTimeMs)
        if (idle === undefined) return overloaded(batch, "maxSessions", sessions.size, maxSessions)
        batch.closeSession(idle)
      }
      const openedMs = batch.metadata.logTimeMs
      batch.openSession(place.index, { ttlMs, heardMs: openedMs, answered: 0, openedMs, secret, owner, caller })
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
    case "Checkpoint":
      return done(batch)
    default:
      return applyAccess(batch, place.index, command)
  }
}

/** The result of a computation all of whose keys are loaded. */
const loaded = <A>(loading: Loading<A>): A => {
  const step = loading.next([])
  if (step.done !== true) throw new Error("a command needed more of the store than was loaded for it")
  return step.value
}

const put = (batch: Batch, key: Uint8Array, value: Uint8Array, lease: number): CommandReply => {
  const entry = batch.writeSet.entry(key)
  const problem = lease === 0 ? undefined : leaseProblem(batch, entry, lease)
  if (problem !== undefined) return problem
  batch.beginRevision()
  const { createRevision, modRevision, version } = batch.putKey(entry, value, lease)
  batch.endRevision()
  return { _tag: "PutReply", revision: modRevision, createRevision, version }
}

const deleteKey = (batch: Batch, entry: WriteSetEntry): CommandReply => {
  const deleted = entry.record !== undefined
  if (deleted) {
    batch.beginRevision()
    batch.deleteKey(entry)
    batch.endRevision()
  }
  return { _tag: "DeleteReply", revision: batch.revision, deleted }
}
