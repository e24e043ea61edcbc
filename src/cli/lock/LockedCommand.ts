/**
 * The command of `flaredb lock` and all that comes of it. It stays in the group of this process: in the foreground of a
 * terminal it can read from it, and Ctrl-C and Ctrl-Z reach it as without a lock. A group of its own would make it a
 * background job. So its processes are found by descent and by a mark, and not by their group.
 */
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { constants } from "node:os"
import { formatDuration } from "../../DurationText.ts"
import { errorText } from "../../ErrorText.ts"
import { isFolder } from "../../FileKind.ts"
import { exitCodes } from "../output/Failure.ts"
import { Guard } from "./Guard.ts"
import { machineMs } from "./GuardLines.ts"
import { endAll, inForeground, rootOf, signalAll } from "./ProcessTree.ts"
import type { LockTimes } from "./Times.ts"
import { killAtMs, lockTimes, lookMs, tellAtMs } from "./Times.ts"

/** Names the run in the environment of the command and of whatever it starts. Runs within runs are joined by colons. */
const markVariable = "FLAREDB_LOCK_RUN"

export interface LockedCommandOptions {
  readonly program: string
  readonly args: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
  readonly ttlMs: number
  /** Milliseconds for which the lock is certainly held. */
  readonly remainingMs: () => number
  /** Other times than those that users have. */
  readonly times?: LockTimes | undefined
}

/** How a command ended. */
export type Ended =
  /** It was not started. */
  | { readonly _tag: "NotStarted"; readonly exitCode: number; readonly problem: string }
  /** By itself, or by a signal that was passed on to it. */
  | { readonly _tag: "Exited"; readonly exitCode: number }
  /** It was stopped because the lock could not be held any longer, or not be guarded. */
  | { readonly _tag: "Stopped"; readonly problem: string }

/** What a shell answers when there is no such program, and when it cannot be run. */
const notFoundCode = 127
const notExecutableCode = 126

const signals = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"] as const

let running = 0

/** Whether signals belong to a command that runs now, and not to this process. */
export const supervises = (): boolean => running > 0

/** 128 and the number of the signal, as shells have it. */
const exitCodeOf = (code: number | null, signal: NodeJS.Signals | null): number =>
  code ?? 128 + (signal === null ? 0 : constants.signals[signal])

/** The system says `EACCES` of a folder, and of a file that is no program. */
const notRunText = (program: string, error: NodeJS.ErrnoException): string => {
  if (error.code !== "EACCES") return errorText(error)
  return isFolder(program)
    ? "it is a folder; name a program in it"
    : "this process may not run it (EACCES); name a program, or make it one with chmod +x"
}

const notStarted = (program: string, error: NodeJS.ErrnoException): Ended =>
  error.code === "ENOENT"
    ? { _tag: "NotStarted", exitCode: notFoundCode, problem: `${program}: command not found` }
    : {
      _tag: "NotStarted",
      exitCode: notExecutableCode,
      problem: `${program} cannot be run: ${notRunText(program, error)}`
    }

const withoutGuard = (program: string, why: string): Ended => ({
  _tag: "NotStarted",
  exitCode: exitCodes.failed,
  problem: `${program} was not started: its guard process ${why}`
})

/** Why a command that has begun has to end: what becomes of its guard, or of the lock. */
const silent = (ms: number): string => `its guard process said nothing for ${formatDuration(ms)}`
const notHeld = (leftMs: number, ttlMs: number): string =>
  leftMs > 0 ? `no keep-alive of the lock was answered for ${formatDuration(ttlMs - leftMs)}` : "the lock was lost"

/** Starts a program, or says why it cannot be started. */
const start = (program: string, args: ReadonlyArray<string>, env: NodeJS.ProcessEnv): Promise<ChildProcess | Ended> =>
  new Promise((resolve) => {
    try {
      const child = spawn(program, args, { env, stdio: "inherit" })
      child.once("spawn", () => resolve(child))
      child.once("error", (error) => resolve(notStarted(program, error)))
    } catch (error) {
      resolve(notStarted(program, error as NodeJS.ErrnoException))
    }
  })

/** Runs the command to its end. */
export const run = async (
  { args, env, program, remainingMs, times: { readyMs, silentMs, stopMs } = lockTimes, ttlMs }: LockedCommandOptions
): Promise<Ended> => {
  const run = randomUUID()
  const mark = process.env[markVariable] === undefined ? run : `${process.env[markVariable]}:${run}`
  const guard = new Guard(run, readyMs)
  /** Tells the guard until when the command may run, and says how long the lock is held. */
  const holdUntil = () => {
    const leftMs = remainingMs()
    const untilKillMs = leftMs - killAtMs(ttlMs)
    const unanswered = guard.tell({ killAt: machineMs() + untilKillMs })
    return { leftMs, untilKillMs, isGuarded: unanswered * lookMs(ttlMs) < silentMs }
  }
  running += 1
  /** A signal that came before the command could get it. */
  let early: NodeJS.Signals | undefined
  let passOn: (signal: NodeJS.Signals) => void = () => undefined
  const interrupted = new Promise<undefined>((resolve) => {
    passOn = (signal) => {
      early ??= signal
      resolve(undefined)
    }
  })
  const handlers = signals.map((signal) => [signal, () => passOn(signal)] as const)
  for (const [signal, handler] of handlers) process.on(signal, handler)
  try {
    const unguarded = await Promise.race([guard.ready, interrupted])
    if (unguarded !== undefined) return withoutGuard(program, unguarded)
    if (early !== undefined) return { _tag: "Exited", exitCode: exitCodeOf(null, early) }
    // The command may be there before this process goes on, which may be stopped just then.
    holdUntil()
    const child = await start(program, args, { ...process.env, ...env, [markVariable]: mark })
    return "_tag" in child ? child : await supervise(child)
  } finally {
    guard.end()
    running -= 1
    for (const [signal, handler] of handlers) process.off(signal, handler)
  }

  async function supervise(child: ChildProcess): Promise<Ended> {
    const root = rootOf(child.pid as number)
    if (root !== undefined) guard.tell({ root: { pid: root.pid, started: root.started } })
    let stopped: string | undefined
    let killAt = Number.POSITIVE_INFINITY
    const exited = new Promise<number>((resolve) =>
      child.once("exit", (code, signal) => resolve(exitCodeOf(code, signal)))
    )
    let gone: Promise<void> | undefined
    const end = (signal: NodeJS.Signals, withinMs: number): void => {
      killAt = Math.min(killAt, performance.now() + withinMs)
      signalAll(root, run, signal)
      gone ??= endAll(root, run, () => killAt)
    }
    const stop = (problem: string, withinMs: number): void => {
      // The lock may be lost while a command that is not guarded any more has time to end.
      if (stopped !== undefined) killAt = Math.min(killAt, performance.now() + withinMs)
      else end("SIGTERM", withinMs)
      stopped ??= problem
    }
    passOn = (signal) => {
      // The terminal has sent it to the command too, which may well go on: an editor, a shell.
      if ((signal === "SIGINT" || signal === "SIGQUIT") && inForeground()) return
      end(signal, stopMs)
    }
    if (early !== undefined) end(early, stopMs)
    void guard.gone.then((how) => stop(`its guard process ${how}`, stopMs))
    const look = (): void => {
      const { isGuarded, leftMs, untilKillMs } = holdUntil()
      if (!isGuarded) stop(silent(silentMs), stopMs)
      if (leftMs <= tellAtMs(ttlMs)) stop(notHeld(leftMs, ttlMs), untilKillMs)
    }
    look()
    const timer = setInterval(look, lookMs(ttlMs))
    const exitCode = await exited
    // What is left behind by a command that ended by itself may go on. What was to end has to be gone.
    await gone
    clearInterval(timer)
    return stopped === undefined ? { _tag: "Exited", exitCode } : { _tag: "Stopped", problem: stopped }
  }
}
