/** What a queue can be told and asked, and what it answers: schemas, and their bytes as JSON. */
import { Result, Schema } from "effect"
import { InvalidArgument } from "flaredb/machine"
import { Job, JobKey, Payload, QueueName, Receipt, Stats } from "./Job.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** Thirty days: longer delays and leases are mistakes. */
const maxTimeMs = 30 * 24 * 3_600_000

const LeaseMs = between(100, maxTimeMs)
const DelayMs = between(0, maxTimeMs)
const Held = { job: Schema.Natural, receipt: Receipt }

/** `Expire` is proposed by the leader when something is due; everything else comes from clients. */
export const Command = Schema.TaggedUnion({
  Enqueue: { queue: QueueName, key: JobKey, payload: Payload, delayMs: DelayMs, maxAttempts: between(1, 1_000) },
  Take: { queue: QueueName, receipt: Receipt, leaseMs: LeaseMs },
  Complete: Held,
  Fail: { ...Held, reason: Schema.String.check(Schema.isMaxLength(1_000)), delayMs: DelayMs },
  Extend: { ...Held, leaseMs: LeaseMs },
  Revive: { job: Schema.Natural },
  Expire: {}
})
export type Command = typeof Command.Type

export const Reply = Schema.TaggedUnion({
  /** `duplicate`: the key was known already, and the job that it names is `job`. */
  Enqueued: { job: Schema.Natural, duplicate: Schema.Boolean },
  Full: { waiting: Schema.Natural },
  Taken: { job: Job },
  /** Nothing can be taken; `nextAtMs` says when something may, as far as is known. */
  Empty: { nextAtMs: Schema.NullOr(Schema.Natural) },
  Completed: {},
  Retrying: { atMs: Schema.Natural },
  Died: {},
  Extended: { untilMs: Schema.Natural },
  /** The job is not held under this receipt: its time ran out, or it was finished another way. */
  NotHeld: {},
  Revived: {},
  NotDead: {},
  Expired: { jobs: Schema.Natural }
})
export type Reply = typeof Reply.Type

export const Query = Schema.TaggedUnion({
  Stats: { queue: QueueName },
  /** Dead jobs, the oldest first. */
  Dead: { queue: QueueName, limit: between(1, 1_000) },
  Find: { queue: QueueName, key: JobKey }
})
export type Query = typeof Query.Type

export const Answer = Schema.TaggedUnion({
  StatsOf: { stats: Stats },
  Jobs: { jobs: Schema.Array(Job) }
})
export type Answer = typeof Answer.Type

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** A schema's values as the bytes of JSON, the same bytes for the same value. */
const json = <A>(field: string, schema: Schema.Codec<A, unknown>) => {
  const codec = Schema.fromJsonString(schema)
  const encode = Schema.encodeResult(codec)
  const decode = Schema.decodeUnknownResult(codec)
  const invalid = (error: { readonly message: string }) =>
    new InvalidArgument({ field, problem: error.message.replace(/\s+/g, " ").slice(0, 300) })
  return {
    /** For values that are known to be right. */
    encode: (value: A): Uint8Array => encoder.encode(Result.getOrThrow(encode(value))),
    /** For values that come from a caller. */
    encodeChecked: (value: A): Uint8Array | InvalidArgument =>
      Result.match(encode(value), { onSuccess: (text) => encoder.encode(text), onFailure: invalid }),
    decode: (bytes: Uint8Array): A | InvalidArgument =>
      Result.match(decode(decoder.decode(bytes)), { onSuccess: (value) => value, onFailure: invalid })
  }
}

export const commandBytes = json("command", Command)
export const replyBytes = json("reply", Reply)
export const queryBytes = json("query", Query)
export const answerBytes = json("answer", Answer)
export const jobBytes = json("job", Job)
export const statsBytes = json("stats", Stats)
