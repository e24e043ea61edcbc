/**
 * Writes with an id that their caller chose (`Idempotency-Key`): each is carried out once, whichever node it is sent
 * to, and however often. The session of this node's client cannot see to that, because a caller goes on to another
 * node when this one is gone. So the write and a record of its id are one transaction, which does nothing when there is
 * a record. What was refused, or met a condition that did not hold, changed nothing and leaves no record.
 *
 * A record is a key `flaredb/requests/CALLER/ID`, on a lease that ends it (`RecordLeases.ts`). It is written once, so
 * its revision is that of the write.
 */
import { Clock, Data, Effect, Random } from "effect"
import { createHash } from "node:crypto"
import type { AccessError, Conflict, Unavailable } from "../../FlareDbError.ts"
import { Conflict as ConflictError, InvalidArgument } from "../../FlareDbError.ts"
import { monotonicMs, monotonicMsOf } from "../../Monotonic.ts"
import type { Answer, RequestPort, WriteFailure } from "../../client/session/Requests.ts"
import { unexpected } from "../../client/session/Requests.ts"
import { timeLeft } from "../../client/session/Timeout.ts"
import { byteText } from "../../bytes/Bytes.ts"
import type { Command } from "../../kv/model/Command.ts"
import { encodeCommand } from "../../kv/model/Command.ts"
import type { KeyRecord } from "../../kv/model/KeyRecord.ts"
import type { OperationResult } from "../../kv/model/Reply.ts"
import type { Compare, Operation, Transaction } from "../../kv/model/Transaction.ts"
import { holds, writes } from "../../kv/model/Transaction.ts"
import type { RecordLeases } from "./RecordLeases.ts"
import { utf8Text } from "../../bytes/Utf8.ts"

/** The id was used for another request, which was carried out. */
export class RequestIdReused extends Data.TaggedError("RequestIdReused")<{
  readonly id: string
  /** The revision of that request. */
  readonly revision: number
}> {
  override get message() {
    return `the Idempotency-Key ${this.id} was used for another request, which was carried out at revision ` +
      `${this.revision}; each write needs an id of its own`
  }
}

/** What became of a transaction. */
export interface Carried {
  /** Whether something was carried out and recorded, now or before. */
  readonly done: boolean
  readonly succeeded: boolean
  readonly revision: number
  /** Absent when it was carried out before: then only the record says what it did. */
  readonly results: ReadonlyArray<OperationResult> | undefined
}

export type IdFailure = WriteFailure | RequestIdReused | Conflict

/** A write and its id. */
export interface IdentifiedRequest {
  readonly id: string
  /** Whose id it is: two callers may choose the same. */
  readonly caller: string | undefined
  /** Says what is asked for, to tell it from another request. */
  readonly command: Command
  readonly timeoutMs: number
  /** Whether the caller still may have it carried out: asked before each attempt but the first. */
  readonly stillAllowed: Effect.Effect<void, AccessError | Unavailable>
}

/** What a record holds. */
interface RequestRecord {
  /** A hash of the request. */
  readonly request: string
  readonly succeeded: boolean
  /** The lease that was granted, when that is what was asked for. */
  readonly granted?: { readonly id: number; readonly ttlMs: number }
}

/** Leases that end between being taken and being used, before the call gives up. */
const maxLostLeases = 3

const maxPauseMs = 64

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** No caller has a name with a star. */
const anybody = "*"

export const recordKey = ({ caller = anybody, id }: Pick<IdentifiedRequest, "caller" | "id">): Uint8Array =>
  bytes(`flaredb/requests/${encodeURIComponent(caller)}/${id}`)

const hashOf = (command: Command): string => createHash("sha256").update(encodeCommand(command)).digest("base64url")

/** What is wrong with an id, if anything. */
export const idProblem = (id: string): InvalidArgument | undefined =>
  /^[\x21-\x7e]{1,128}$/.test(id)
    ? undefined
    : new InvalidArgument({
      field: "Idempotency-Key",
      problem: "is not 1 to 128 characters of ASCII without blanks; a UUID does well"
    })

const missing = (key: Uint8Array): Compare => ({ _tag: "CompareExists", key, exists: false })

export class RequestIds {
  private readonly requests: RequestPort
  private readonly leases: RecordLeases

  /** `requests` are those of the node, because records are its own. */
  constructor(requests: RequestPort, leases: RecordLeases) {
    this.requests = requests
    this.leases = leases
  }

  /** Carries a transaction out, once. */
  readonly transact = Effect.fnUntraced(
    { self: this },
    function*(
      this: RequestIds,
      request: IdentifiedRequest,
      transaction: Transaction
    ): Effect.fn.Return<Carried, IdFailure> {
      // Of what is not done, nothing is recorded: only writes have to be done once.
      return transaction.failure.some(writes)
        ? yield* this.eitherWay(request, transaction)
        : yield* this.once(request, transaction, true)
    }
  )

  /** The lease that a request was granted before, if it was. */
  readonly grantedBefore = Effect.fnUntraced(
    { self: this },
    function*(this: RequestIds, request: IdentifiedRequest) {
      const found = yield* this.look(request, [])
      return found.record === undefined ? undefined : (yield* replayed(request, found.record)).record.granted
    }
  )

  /**
   * Records that a lease was granted; gives the one that was granted first, when the request was sent twice. A lease
   * that is certainly not in a record is revoked, because no caller will ever know it.
   */
  readonly granted = Effect.fnUntraced(
    { self: this },
    function*(this: RequestIds, request: IdentifiedRequest, lease: { readonly id: number; readonly ttlMs: number }) {
      const nothing = { compares: [], success: [], failure: [] }
      const revoke = Effect.ignore(this.requests.write({ _tag: "RevokeLease", lease: lease.id }, {
        timeoutMs: request.timeoutMs
      }))
      const { results } = yield* Effect.tapError(
        this.once(request, nothing, true, lease),
        (error) => mayBeDone(error) ? Effect.void : revoke
      )
      if (results !== undefined) return lease
      const first = (yield* this.grantedBefore(request)) ?? lease
      if (first.id !== lease.id) yield* revoke
      return first
    }
  )

  /**
   * One transaction: `success` and the record, unless there is a record already; `failure`, which only reads, when a
   * condition does not hold.
   */
  private readonly once = Effect.fnUntraced(
    { self: this },
    function*(
      this: RequestIds,
      request: IdentifiedRequest,
      { compares, failure, success }: Transaction,
      succeeded: boolean,
      granted?: RequestRecord["granted"]
    ): Effect.fn.Return<Carried, IdFailure> {
      const clock = yield* Clock.Clock
      const deadlineMs = monotonicMsOf(clock) + request.timeoutMs
      const key = recordKey(request)
      const record: RequestRecord = {
        request: hashOf(request.command),
        succeeded,
        ...granted === undefined ? {} : { granted }
      }
      for (let lost = 0;; lost++) {
        const options = { timeoutMs: timeLeft(deadlineMs, monotonicMsOf(clock)) }
        const lease = yield* this.leases.take(options)
        const note: Operation = { _tag: "Put", key, value: bytes(JSON.stringify(record)), lease }
        const answered = yield* Effect.result(this.requests.write({
          _tag: "Transact",
          transaction: {
            compares: [missing(key), ...compares],
            success: [...success, note],
            failure: [{ _tag: "Get", key }, ...failure]
          }
        }, options))
        if (answered._tag === "Success") {
          const reply = answered.success
          if (reply._tag === "TransactionReply" && reply.succeeded) {
            return { done: true, succeeded, revision: reply.revision, results: reply.results.slice(0, success.length) }
          }
          if (reply._tag === "DigestReply" && reply.succeeded) {
            return { done: true, succeeded, revision: reply.revision, results: undefined }
          }
          this.leases.release(lease)
          return yield* this.notDone(request, reply)
        }
        const error = answered.failure
        // A write that may yet be carried out has its record in it.
        if (!mayBeDone(error)) this.leases.release(lease)
        if (error._tag !== "LeaseNotFound" || error.lease !== lease || lost >= maxLostLeases) return yield* error
        this.leases.lost(lease)
        yield* request.stillAllowed
      }
    }
  )

  /** What an answer means that says that nothing was done: there is a record, or a condition does not hold. */
  private readonly notDone = Effect.fnUntraced(
    { self: this },
    function*(
      this: RequestIds,
      request: IdentifiedRequest,
      reply: Answer
    ): Effect.fn.Return<Carried, IdFailure> {
      if (reply._tag !== "TransactionReply") throw unexpected(reply)
      const { results, revision } = reply
      const [first, ...others] = results
      if (first?._tag !== "Get") throw unexpected(reply)
      return first.record === undefined
        ? { done: false, succeeded: false, revision, results: others }
        : (yield* replayed(request, first.record)).carried
    }
  )

  /**
   * A transaction that writes whether its conditions hold or not. Which of the two it is to be is found first, and done
   * if none of the keys in the conditions has changed meanwhile.
   */
  private readonly eitherWay = Effect.fnUntraced(
    { self: this },
    function*(
      this: RequestIds,
      request: IdentifiedRequest,
      { compares, failure, success }: Transaction
    ): Effect.fn.Return<Carried, IdFailure> {
      const clock = yield* Clock.Clock
      const deadlineMs = (yield* monotonicMs) + request.timeoutMs
      const keys = [...new Map(compares.map(({ key }) => [byteText(key), key])).values()]
      for (let attempt = 1;; attempt++) {
        const timeoutMs = timeLeft(deadlineMs, monotonicMsOf(clock))
        const { record, records } = yield* this.look({ ...request, timeoutMs }, keys)
        if (record !== undefined) return (yield* replayed(request, record)).carried
        const found = new Map(keys.map((key, i) => [byteText(key), records[i]]))
        const succeeded = compares.every((compare) => holds(compare, found.get(byteText(compare.key))))
        const unchanged = keys.map((key): Compare => ({
          _tag: "CompareNumber",
          key,
          figure: "modRevision",
          operator: "=",
          value: found.get(byteText(key))?.modRevision ?? 0
        }))
        const chosen = { compares: unchanged, success: succeeded ? success : failure, failure: [] }
        const carried = yield* this.once({ ...request, timeoutMs }, chosen, succeeded)
        if (carried.done) return carried
        if (monotonicMsOf(clock) >= deadlineMs) {
          return yield* new ConflictError({ key: utf8Text(keys[0] ?? bytes("")), attempts: attempt })
        }
        yield* Effect.sleep(yield* Random.nextIntBetween(0, Math.min(2 ** attempt, maxPauseMs)))
        yield* request.stillAllowed
      }
    }
  )

  /** The record of an id, and those of other keys, in one read. */
  private readonly look = Effect.fnUntraced(
    { self: this },
    function*(this: RequestIds, request: IdentifiedRequest, keys: ReadonlyArray<Uint8Array>) {
      const success = [recordKey(request), ...keys].map((key): Operation => ({ _tag: "Get", key }))
      const reply = yield* this.requests.read(
        { _tag: "Transact", transaction: { compares: [], success, failure: [] } },
        { timeoutMs: request.timeoutMs, consistency: "linearizable" }
      ).pipe(Effect.catchTag("LeaseNotFound", (error) => Effect.die(error)))
      if (reply._tag !== "TransactionReply") throw unexpected(reply)
      const [record, ...records] = reply.results.map((result) => result._tag === "Get" ? result.record : undefined)
      return { record, records }
    }
  )
}

/** Whether a write that failed may have been carried out, or may be yet. */
const mayBeDone = ({ _tag }: IdFailure): boolean => _tag === "Indeterminate" || _tag === "SessionExpired"

/** What was carried out before under an id, or that it was something else. */
const replayed = (
  { command, id }: IdentifiedRequest,
  { createRevision: revision, value }: KeyRecord
): Effect.Effect<{ readonly record: RequestRecord; readonly carried: Carried }, RequestIdReused> => {
  const record = recordOf(value)
  return record?.request === hashOf(command)
    ? Effect.succeed({ record, carried: { done: true, succeeded: record.succeeded, revision, results: undefined } })
    : Effect.fail(new RequestIdReused({ id, revision }))
}

/** The record in a value; `undefined` when another program wrote it. */
const recordOf = (value: Uint8Array): RequestRecord | undefined => {
  try {
    const found = JSON.parse(utf8Text(value)) as Partial<RequestRecord> | null
    return typeof found?.request === "string" && typeof found.succeeded === "boolean"
      ? found as RequestRecord
      : undefined
  } catch {
    return undefined
  }
}
