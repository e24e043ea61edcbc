/**
 * The queue as a service, for those who fill and empty it.
 *
 * Every command may be sent again when its answer was lost: enqueuing by the key, taking and finishing by the receipt.
 * So no call ends with an unknown outcome before its deadline.
 */
import { randomUUID } from "node:crypto"
import { Context, Data, Duration, Effect, Layer, Option } from "effect"
import type { CommandFailure, ReadFailure } from "flaredb/client"
import { Commands } from "flaredb/client"
import { InvalidArgument } from "flaredb/machine"
import type { Job, Stats } from "./Job.ts"
import type { Answer, Command, Query, Reply } from "./Protocol.ts"
import { answerBytes, commandBytes, queryBytes, replyBytes } from "./Protocol.ts"

/** The queue has too many waiting jobs. */
export class QueueFull extends Data.TaggedError("QueueFull")<{ readonly queue: string; readonly waiting: number }> {
  override get message() {
    return `the queue ${this.queue} has ${this.waiting} waiting jobs; take some first`
  }
}

/** The job is not held any more under this receipt: its time ran out, and somebody else may have it. */
export class NotHeld extends Data.TaggedError("NotHeld")<{ readonly job: number }> {
  override get message() {
    return `job ${this.job} is not held any more`
  }
}

export interface NewJob {
  /** The same key again, within an hour after the job was finished, is the same job. */
  readonly key: string
  readonly payload: string
  /** Not to be taken before. Default: at once. */
  readonly delay?: Duration.Input
  /** Attempts before it is dead. Default 5. */
  readonly maxAttempts?: number
}

/** A job that was taken, with the receipt to finish it under. */
export interface TakenJob extends Job {
  readonly receipt: string
}

export interface WorkOptions {
  /** How long a job is this worker's before others may have it. Extended while the handler runs. Default 30 s. */
  readonly lease?: Duration.Input
  /** Pause when there is nothing to do. Default 200 ms. */
  readonly idle?: Duration.Input
  /** Pause before the next attempt after a failure. Default 1 s. */
  readonly retryDelay?: Duration.Input
}

export class JobQueue extends Context.Service<JobQueue, {
  /** Adds a job, unless its key is known. */
  readonly enqueue: (
    queue: string,
    job: NewJob
  ) => Effect.Effect<{ readonly job: number; readonly duplicate: boolean }, CommandFailure | QueueFull>

  /** Takes the job that waits longest. Nobody else gets it before `lease` is over, by the cluster's clock. */
  readonly take: (queue: string, lease: Duration.Input) => Effect.Effect<Option.Option<TakenJob>, CommandFailure>

  readonly complete: (job: TakenJob) => Effect.Effect<void, CommandFailure | NotHeld>

  /** Gives a job back, for another attempt after `delay` or, if that was the last one, to the dead. */
  readonly fail: (
    job: TakenJob,
    reason: string,
    delay?: Duration.Input
  ) => Effect.Effect<"retrying" | "dead", CommandFailure | NotHeld>

  /** Holds a job for another `lease` from now on. */
  readonly extend: (job: TakenJob, lease: Duration.Input) => Effect.Effect<void, CommandFailure | NotHeld>

  /** Lets a dead job wait again, with all its attempts. `false` when it is not dead. */
  readonly revive: (job: number) => Effect.Effect<boolean, CommandFailure>

  readonly stats: (queue: string) => Effect.Effect<Stats, ReadFailure>

  /** Dead jobs, the oldest first. */
  readonly dead: (queue: string, limit?: number) => Effect.Effect<ReadonlyArray<Job>, ReadFailure>

  readonly find: (queue: string, key: string) => Effect.Effect<Option.Option<Job>, ReadFailure>

  /** Takes and handles jobs one after the other, for ever. A handler that fails gives its job back. */
  readonly work: <E, R>(
    queue: string,
    handler: (job: TakenJob) => Effect.Effect<void, E, R>,
    options?: WorkOptions
  ) => Effect.Effect<never, CommandFailure, R>
}>()("example/JobQueue") {
  static readonly layer: Layer.Layer<JobQueue, never, Commands> = Layer.effect(
    JobQueue,
    Effect.map(Commands, (commands) => make(commands))
  )
}

const make = (commands: Commands["Service"]): JobQueue["Service"] => {
  const tell = (command: Command): Effect.Effect<Reply, CommandFailure> => {
    const bytes = commandBytes.encodeChecked(command)
    if (bytes instanceof InvalidArgument) return Effect.fail(bytes)
    return Effect.map(commands.write(bytes, { repeatable: true }), (reply) => orThrow(replyBytes.decode(reply)))
  }
  const ask = (query: Query): Effect.Effect<Answer, ReadFailure> => {
    const bytes = queryBytes.encodeChecked(query)
    if (bytes instanceof InvalidArgument) return Effect.fail(bytes)
    return Effect.map(commands.read(bytes), (answer) => orThrow(answerBytes.decode(answer)))
  }
  const jobs = (query: Query) =>
    Effect.map(ask(query), (answer) => {
      if (answer._tag !== "Jobs") throw unexpected(answer)
      return answer.jobs
    })

  const take: JobQueue["Service"]["take"] = (queue, lease) =>
    Effect.suspend(() => {
      const receipt = randomUUID()
      return Effect.map(tell({ _tag: "Take", queue, receipt, leaseMs: Duration.toMillis(lease) }), (reply) => {
        if (reply._tag === "Taken") return Option.some({ ...reply.job, receipt })
        if (reply._tag === "Empty") return Option.none()
        throw unexpected(reply)
      })
    })

  const complete: JobQueue["Service"]["complete"] = ({ id, receipt }) =>
    Effect.flatMap(tell({ _tag: "Complete", job: id, receipt }), (reply) => {
      if (reply._tag === "Completed") return Effect.void
      if (reply._tag === "NotHeld") return Effect.fail(new NotHeld({ job: id }))
      throw unexpected(reply)
    })

  const fail: JobQueue["Service"]["fail"] = ({ id, receipt }, reason, delay = 0) =>
    Effect.flatMap(
      tell({ _tag: "Fail", job: id, receipt, reason: reason.slice(0, 1_000), delayMs: Duration.toMillis(delay) }),
      (reply) => {
        if (reply._tag === "Retrying") return Effect.succeed("retrying" as const)
        if (reply._tag === "Died") return Effect.succeed("dead" as const)
        if (reply._tag === "NotHeld") return Effect.fail(new NotHeld({ job: id }))
        throw unexpected(reply)
      }
    )

  const extend: JobQueue["Service"]["extend"] = ({ id, receipt }, lease) =>
    Effect.flatMap(tell({ _tag: "Extend", job: id, receipt, leaseMs: Duration.toMillis(lease) }), (reply) => {
      if (reply._tag === "Extended") return Effect.void
      if (reply._tag === "NotHeld") return Effect.fail(new NotHeld({ job: id }))
      throw unexpected(reply)
    })

  const handle = <E, R>(
    job: TakenJob,
    handler: (job: TakenJob) => Effect.Effect<void, E, R>,
    lease: Duration.Duration,
    retryDelay: Duration.Input
  ): Effect.Effect<void, CommandFailure, R> => {
    const holding = Effect.forever(
      Effect.andThen(Effect.sleep(Duration.toMillis(lease) / 3), extend(job, lease))
    )
    return Effect.raceFirst(Effect.exit(handler(job)), holding).pipe(
      Effect.flatMap((exit) =>
        exit._tag === "Success"
          ? complete(job)
          : Effect.asVoid(fail(job, String(exit.cause), retryDelay))
      ),
      // Somebody else has it, or will: what this attempt did is the handler's business.
      Effect.catchTag("NotHeld", (lost) => Effect.logWarning(lost.message))
    )
  }

  return JobQueue.of({
    enqueue: (queue, { delay = 0, key, maxAttempts = 5, payload }) =>
      Effect.flatMap(
        tell({ _tag: "Enqueue", queue, key, payload, delayMs: Duration.toMillis(delay), maxAttempts }),
        (reply) => {
          if (reply._tag === "Enqueued") return Effect.succeed({ job: reply.job, duplicate: reply.duplicate })
          if (reply._tag === "Full") return Effect.fail(new QueueFull({ queue, waiting: reply.waiting }))
          throw unexpected(reply)
        }
      ),
    take,
    complete,
    fail,
    extend,
    revive: (job) => Effect.map(tell({ _tag: "Revive", job }), (reply) => reply._tag === "Revived"),
    stats: (queue) =>
      Effect.map(ask({ _tag: "Stats", queue }), (answer) => {
        if (answer._tag !== "StatsOf") throw unexpected(answer)
        return answer.stats
      }),
    dead: (queue, limit = 100) => jobs({ _tag: "Dead", queue, limit }),
    find: (queue, key) => Effect.map(jobs({ _tag: "Find", queue, key }), ([job]) => Option.fromUndefinedOr(job)),
    work: (queue, handler, options) =>
      Effect.forever(
        Effect.flatMap(take(queue, options?.lease ?? "30 seconds"), (taken) =>
          Option.isNone(taken)
            ? Effect.sleep(options?.idle ?? 200)
            : handle(
              taken.value,
              handler,
              Duration.fromInputUnsafe(options?.lease ?? "30 seconds"),
              options?.retryDelay ?? "1 second"
            ))
      )
  })
}

const orThrow = <A>(value: A | InvalidArgument): A => {
  if (value instanceof InvalidArgument) throw value
  return value
}

const unexpected = ({ _tag }: { readonly _tag: string }): Error => new Error(`${_tag} answers another kind of question`)
