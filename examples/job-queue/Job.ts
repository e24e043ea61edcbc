/** What a job is, and where it stands. */
import { Schema } from "effect"

/** Waiting jobs of one queue; enqueuing one more is answered with `Full`. */
export const maxWaiting = 100_000

/** How long a job that is done or dead is remembered, and its key with it, in milliseconds. */
export const keepMs = 3_600_000

export const QueueName = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9._-]{1,64}$/))

/** Names a job for its queue, printable and without blanks: the same key again is the same job. */
export const JobKey = Schema.String.check(Schema.isPattern(/^[\x21-\x7e]{1,200}$/))

export const Payload = Schema.String.check(Schema.isMaxLength(64 * 1024))

/** Who took a job: chosen anew for every take. */
export const Receipt = Schema.String.check(Schema.isPattern(/^[\x21-\x7e]{1,64}$/))

export const JobState = Schema.Literals(["waiting", "taken", "done", "dead"])
export type JobState = typeof JobState.Type

/** One job, as a row holds it. */
export const Job = Schema.Struct({
  id: Schema.Natural,
  queue: QueueName,
  key: JobKey,
  payload: Payload,
  state: JobState,
  /** When a waiting job may be taken, a taken one is free again, a done or dead one is forgotten; the cluster's clock. */
  atMs: Schema.Natural,
  /** Times it was taken. */
  attempts: Schema.Natural,
  maxAttempts: Schema.Natural,
  /** Of the last take, unless its time ran out. */
  receipt: Schema.NullOr(Receipt),
  /** Why its last attempt failed. */
  failure: Schema.NullOr(Schema.String)
})
export type Job = typeof Job.Type

/** How many jobs of a queue are in each state, and how many there were in all. */
export const Stats = Schema.Struct({
  waiting: Schema.Natural,
  taken: Schema.Natural,
  done: Schema.Natural,
  dead: Schema.Natural,
  enqueued: Schema.Natural,
  duplicates: Schema.Natural,
  completed: Schema.Natural
})
export type Stats = typeof Stats.Type

export const noStats: Stats = { waiting: 0, taken: 0, done: 0, dead: 0, enqueued: 0, duplicates: 0, completed: 0 }
