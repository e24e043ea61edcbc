/** The process of a command line, `flaredb VERB`: its signals, its output and its exit code. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Cause, Effect, Exit, Logger, Option } from "effect"
import { writeSync } from "node:fs"
import { hasBlockedThread } from "../BlockedThreads.ts"
import { carryOut } from "./CommandLine.ts"
import { exitCodes, failed, Failure } from "./output/Failure.ts"
import { supervises } from "./lock/LockedCommand.ts"
import * as Messages from "./output/Messages.ts"
import { root } from "./Root.ts"
import { endWithSuccess, hasEnded, watchStandardOutput } from "./output/StandardOutput.ts"

// Whatever a command creates, a data directory or a backup, holds values: no other user may read it.
process.umask(0o077)

const words = process.argv.slice(2)

/** The verb: the first word that is one. */
const verb = words.find((word) => root.subcommands.some(({ commands }) => commands.some(({ name }) => name === word)))

/** What runs until it is stopped stops cleanly on a signal; a watch with an end of its own was cut short by it. */
const runsUntilStopped = verb === "start" || verb === "cluster" || verb === "top" ||
  (verb === "backups" && words.includes("run") && !words.some((word) => word.startsWith("--once"))) ||
  ((verb === "watch" || verb === "elect") && !words.some((word) => word.startsWith("--limit")))

/** The exit code of what a signal ended. */
const interruptedCode = runsUntilStopped ? 0 : 130

/**
 * Milliseconds after a signal: for nodes to close their database and ports, less for commands that only read files.
 * What has nodes of its own kills one that does not stop, and ends after that.
 */
const stopMs = ["inspect", "backup", "restore", "doctor", "top"].includes(verb ?? "")
  ? 3_000
  : verb === "cluster" || verb === "bench"
  ? 20_000
  : 8_000

let stopping = false
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    // They are for the command that runs under a lock, and it has a limit of its own.
    if (stopping || supervises()) return
    if (hasEnded()) process.exit(interruptedCode)
    stopping = true
    setTimeout(() => {
      writeSync(2, `${Messages.errorText(failed(`not stopped ${stopMs} ms after ${signal}; ending now`))}\n`)
      // `process.exit` waits for the threads of the pool, and one that the disk blocks never ends.
      process.kill(process.pid, "SIGKILL")
    }, stopMs).unref()
  })
}

// They would end the process at once, and leave behind what it has begun: keys, files, processes.
for (const signal of ["SIGHUP", "SIGQUIT"] as const) {
  process.on(signal, () => {
    // A node that listens too reads its certificates again, and goes on.
    const isReload = signal === "SIGHUP" && process.listenerCount(signal) > 1
    if (!isReload && !supervises()) process.kill(process.pid, "SIGTERM")
  })
}

watchStandardOutput(verb === "start" || verb === "cluster")

carryOut(words, process.stdin.isTTY === true && process.stdout.isTTY === true).pipe(
  Effect.provideService(Logger.LogToStderr, true),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    teardown: (exit, onExit) => {
      // All is said by now. `process.exit` would wait for a write that a full disk holds back.
      if (hasBlockedThread()) return process.kill(process.pid, "SIGKILL")
      // A look-up of a host name may be in flight, and would keep the process for as long as it takes.
      if (Exit.isSuccess(exit)) return endWithSuccess()
      if (Cause.hasInterruptsOnly(exit.cause)) return onExit(Number(process.exitCode ?? interruptedCode))
      const failure = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
      onExit(failure instanceof Failure ? failure.exitCode : exitCodes.failed)
    }
  })
)
