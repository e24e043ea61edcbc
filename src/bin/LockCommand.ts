/** `flaredb lock NAME -- CMD…`: runs a command while it holds a lock. */
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { ChildProcess } from "effect/process"
import type { HeldLock } from "../client/Lock.ts"
import { defaultLockTtlMs, Locks } from "../client/Lock.ts"
import { clientFlags, withClient } from "./ClientFlags.ts"
import { failed, Failure, failureOf, wrongUsage } from "./Failure.ts"

/** Time for the command to end after a signal or the loss of the lock, before it is killed. */
const stopAfter = "5 seconds"

const runLocked = (lock: HeldLock, program: string, args: ReadonlyArray<string>) =>
  Effect.scoped(
    Effect.gen(function*() {
      const child = yield* ChildProcess.make(program, [...args], {
        env: { FLAREDB_LOCK_REVISION: String(lock.revision), FLAREDB_LOCK_LEASE: String(lock.lease) },
        extendEnv: true,
        stdin: "inherit",
        stdout: "inherit",
        stderr: "inherit",
        killSignal: "SIGTERM",
        forceKillAfter: stopAfter
      })
      return Number(yield* child.exitCode)
    })
  ).pipe(Effect.mapError((error) => failed(`${program}: ${error.message}`)))

export const lock = Command.make("lock", {
  ...clientFlags,
  ttl: Flag.Int("ttl").pipe(
    Flag.withMetavar("MS"),
    Flag.withDescription("milliseconds that the lock outlives this process when that is killed, at least 1000"),
    Flag.withDefault(defaultLockTtlMs)
  ),
  name: Argument.String("name").pipe(Argument.withDescription("the lock")),
  command: Argument.String("command").pipe(
    Argument.withDescription("what to run, behind --"),
    Argument.variadic({ min: 1 })
  )
}, (flags) =>
  Effect.gen(function*() {
    const [program, ...args] = flags.command
    if (program === undefined || program === "") return yield* wrongUsage("the command to run is empty")
    const owner = `process ${process.pid}`
    const code = yield* withClient(
      flags,
      Effect.flatMap(Locks, (locks) =>
        locks.withLock(flags.name, (held) => runLocked(held, program, args), { ttlMs: flags.ttl, owner }))
    )
    if (code !== 0) {
      return yield* new Failure({ exitCode: code, line: "" })
    }
  }).pipe(Effect.mapError(failureOf))).pipe(
    Command.withDescription(
      "Run a command while holding a lock, and end with its exit code. FLAREDB_LOCK_REVISION tells it the fencing revision. " +
        "It is stopped when the lock is lost."
    ),
    Command.withExamples([
      { command: "flaredb lock nightly -- ./report.sh", description: "Run a job on one machine at a time" }
    ])
  )
