/** `flaredb lock NAME -- CMD…`: runs a command while it holds a lock. */
import { Clock, Effect, Option } from "effect"
import type { Scope } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { hostname } from "node:os"
import { KeyValue } from "../../client/KeyValue.ts"
import type { HeldLock, LockFailure, LockHolder } from "../../client/Lock.ts"
import { Locks } from "../../client/Lock.ts"
import { Op } from "../../client/Txn.ts"
import { monotonicMs, monotonicMsOf } from "../../Monotonic.ts"
import { clientFlags, defaultTimeoutMs, withClient } from "../input/ClientFlags.ts"
import { durationFlag } from "../input/Duration.ts"
import { formatDuration } from "../../DurationText.ts"
import type { Failure } from "../output/Failure.ts"
import { exitWith, failed, failureOf, wrongUsage } from "../output/Failure.ts"
import { run } from "../lock/LockedCommand.ts"
import * as Output from "../output/Output.ts"
import { makeSwitch } from "../input/Switch.ts"
import { checkTtl, ttlFlag } from "../input/TtlFlag.ts"
import { utf8Text } from "../../bytes/Utf8.ts"

/** Milliseconds that it may take to look up who has the lock, for a message. */
const lookUpMs = 1_000

/** The longest that one may wait for a lock, in milliseconds: a day. */
const maxWaitMs = 86_400_000

/** Whose lock it is, for people who wait for it. */
const owner = Effect.map(
  Clock.currentTimeMillis,
  (nowMs) => `process ${process.pid} on ${hostname()} since ${new Date(nowMs).toISOString()}`
)

const holderText = (holder: Option.Option<LockHolder>): string =>
  Option.match(holder, {
    onNone: () => "somebody who has just given it back",
    onSome: ({ lease, owner, revision }) => {
      const text = utf8Text(owner)
      return text === "" ? `somebody without a name (lease ${lease}, revision ${revision})` : text
    }
  })

interface Wanted {
  readonly name: string
  readonly ttlMs: number
  readonly wait: boolean
  /** Milliseconds for which to wait; as long as it takes when absent. */
  readonly timeoutMs: number | undefined
}

/** The lock, for as long as the scope lives. Waiting is not silent. */
const take = (
  { name, timeoutMs, ttlMs, wait }: Wanted
): Effect.Effect<HeldLock, Failure | LockFailure, Locks | KeyValue | Scope.Scope> =>
  Effect.gen(function*() {
    const locks = yield* Locks
    const shown = JSON.stringify(name)
    let waited = false
    let holder = Option.none<LockHolder>()
    const startedMs = yield* monotonicMs
    /** Who has it now, or had it when waiting began. */
    const current = locks.holder(name, { timeoutMs: lookUpMs }).pipe(
      Effect.catch(() => Effect.succeed(holder)),
      Effect.map((now) => holderText(Option.orElse(now, () => holder)))
    )
    if (!wait) {
      const tried = yield* locks.tryAcquire(name, { ttlMs, owner: yield* owner })
      if (Option.isSome(tried)) return tried.value
      return yield* failed(`the lock ${shown} is held by ${yield* current}`)
    }
    const waiting = locks.acquire(name, {
      ttlMs,
      owner: yield* owner,
      onWait: (found) => {
        waited = true
        holder = found
        return Output.problem(`flaredb: waiting for the lock ${shown}; it is held by ${holderText(found)}`)
      }
    })
    const lock = yield* timeoutMs === undefined ? waiting : Effect.timeoutOrElse(waiting, {
      duration: timeoutMs,
      orElse: () =>
        Effect.flatMap(waited ? Effect.asSome(current) : Effect.succeed(Option.none<string>()), (who) =>
          Effect.fail(
            failed(
              Option.isNone(who)
                ? `the lock ${shown} could not be taken within ${
                  formatDuration(timeoutMs)
                }: the cluster did not answer in time`
                : `the lock ${shown} was not free within ${formatDuration(timeoutMs)}; it is held by ${who.value}`
            )
          ))
    })
    if (waited) {
      const waitedMs = (yield* monotonicMs) - startedMs
      yield* Output.problem(`flaredb: holds the lock ${shown} after ${formatDuration(waitedMs)}`)
      // Those who wait now see since when it is held, and not since when it was waited for.
      const value = yield* owner
      const kv = yield* KeyValue
      yield* Effect.ignore(
        kv.transact({ if: [lock.held], do: [Op.put(lock.key, value, { lease: lock.lease })] }, { timeoutMs: lookUpMs })
      )
    }
    return lock
  })

/** Runs the command. Signals end it, and not this process: the lock is given back once it is gone. */
const runLocked = (lock: HeldLock, ttlMs: number, program: string, args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const nowMs = () => monotonicMsOf(clock)
    const remainingMs = () => Effect.runSync(Effect.provideService(lock.remainingMs, Clock.Clock, clock))
    const env = { FLAREDB_LOCK_REVISION: String(lock.revision), FLAREDB_LOCK_LEASE: String(lock.lease) }
    const startedMs = nowMs()
    const ended = yield* Effect.promise(() => run({ program, args, env, ttlMs, remainingMs }))
    switch (ended._tag) {
      case "Exited":
        // A signal may have ended it, and then interrupts this process as well, which is to end with the same code.
        process.exitCode = ended.exitCode
        return ended.exitCode === 0 ? undefined : exitWith(ended.exitCode)
      case "NotStarted":
        return exitWith(ended.exitCode, ended.problem)
      case "Stopped":
        return failed(
          `${ended.problem}; ${program} was stopped ${formatDuration(nowMs() - startedMs)} after it had begun`
        )
    }
  }).pipe(
    Effect.uninterruptible,
    Effect.flatMap((failure) => failure === undefined ? Effect.void : Effect.fail(failure))
  )

export const lock = Command.make("lock", {
  ...clientFlags,
  timeout: durationFlag("timeout").pipe(
    Flag.withDescription("how long to wait for the lock, at most 1d; default as long as it takes"),
    Flag.optional
  ),
  wait: makeSwitch("wait").pipe(
    Flag.withDescription("wait for the lock (default); --no-wait fails at once when somebody has it"),
    Flag.withDefault(true)
  ),
  ttl: ttlFlag("lock"),
  name: Argument.String("name").pipe(Argument.withDescription("the lock")),
  command: Argument.String("command").pipe(
    Argument.withDescription("what to run, behind --"),
    Argument.variadic({ min: 1 })
  )
}, (flags) =>
  Effect.gen(function*() {
    const [program, ...args] = flags.command
    if (program === undefined || program === "") return yield* wrongUsage("the command to run is empty")
    const timeoutMs = Option.getOrUndefined(flags.timeout)
    if (timeoutMs !== undefined && (timeoutMs < 1 || timeoutMs > maxWaitMs)) {
      return yield* wrongUsage(`--timeout ${formatDuration(timeoutMs)} is not from 1ms to ${formatDuration(maxWaitMs)}`)
    }
    yield* checkTtl("--ttl", flags.ttl)
    const wanted: Wanted = { name: flags.name, ttlMs: flags.ttl, wait: flags.wait, timeoutMs }
    yield* withClient(
      { ...flags, timeout: Math.min(timeoutMs ?? defaultTimeoutMs, defaultTimeoutMs) },
      Effect.scoped(Effect.flatMap(take(wanted), (lock) => runLocked(lock, flags.ttl, program, args)))
    )
  }).pipe(Effect.mapError(failureOf))).pipe(
    Command.withDescription(
      "Run a command while holding a lock, and end with its exit code: 128 + n when signal n ended it, 127 when " +
        "there is no such command, 126 when it cannot be run, 1 when the lock cannot be had or was lost. " +
        "FLAREDB_LOCK_REVISION tells the command the fencing revision. It is stopped before the lock can be somebody " +
        "else's."
    ),
    Command.withExamples([
      { command: "flaredb lock nightly -- ./report.sh", description: "Run a job on one machine at a time" },
      {
        command: "flaredb lock nightly --no-wait -- ./report.sh",
        description: "Leave it to the host that runs it already"
      }
    ])
  )
