/**
 * Ends the command of `flaredb lock` when nobody else can: when the process that supervises it was killed, or is stopped
 * or stuck while the lock's lease runs out. It is a process of its own with a pipe from the supervisor, in a session of
 * its own, so that neither a terminal nor a signal to the group of processes ends it.
 */
import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { launcher } from "../Launcher.ts"
import type { Root } from "./ProcessTree.ts"
import { endAll, signalAll } from "./ProcessTree.ts"
import { stopMs } from "./Times.ts"

/** The clock that all processes of a machine share, in milliseconds. */
export const machineMs = (): number => Number(process.hrtime.bigint() / 1_000n) / 1_000

type Told =
  | { readonly root: Root }
  /** All processes have to be gone by this time of {@link machineMs}. */
  | { readonly killAt: number }
  | { readonly done: true }

/** The guard of one command, seen from its supervisor. */
export class Guard {
  private readonly child: ChildProcess
  /** Told when the guard has ended without being told to. */
  readonly gone: Promise<void>
  private ending = false

  constructor(mark: string) {
    this.child = spawn(process.execPath, [launcher, "lock-guard", mark], {
      cwd: "/",
      detached: true,
      stdio: ["pipe", "ignore", "ignore"]
    })
    this.child.stdin?.on("error", () => undefined)
    this.gone = new Promise((resolve) => {
      const end = () => {
        if (!this.ending) resolve()
      }
      this.child.once("error", end)
      this.child.once("exit", end)
    })
  }

  tell(told: Told): void {
    this.child.stdin?.write(`${JSON.stringify(told)}\n`)
  }

  /** The command and all that came of it have ended, or may go on. */
  end(): void {
    this.ending = true
    this.tell({ done: true })
    this.child.stdin?.end()
    this.child.unref()
  }
}

const watch = async (mark: string): Promise<void> => {
  let root: Root | undefined
  let killAtMs = Number.POSITIVE_INFINITY
  let done = false
  /** The time to kill, on the clock of this process. */
  const killAt = () => performance.now() + (killAtMs - machineMs())
  let timer: NodeJS.Timeout | undefined
  const armed = () => {
    clearTimeout(timer)
    timer = setTimeout(() => signalAll(root, mark, "SIGKILL"), Math.max(0, killAtMs - machineMs()))
  }
  for await (const line of createInterface({ input: process.stdin })) {
    const told = JSON.parse(line) as Told
    if ("root" in told) root = told.root
    else if ("done" in told) done = true
    else {
      killAtMs = told.killAt
      armed()
    }
  }
  clearTimeout(timer)
  if (done) return
  killAtMs = Math.min(killAtMs, machineMs() + stopMs)
  signalAll(root, mark, "SIGTERM")
  await endAll(root, mark, killAt)
}

export const lockGuard = Command.make(
  "lock-guard",
  { mark: Argument.String("mark") },
  ({ mark }) => Effect.promise(() => watch(mark))
).pipe(
  Command.withDescription("The guard of `flaredb lock`, which ends the command when its supervisor cannot."),
  Command.unlisted
)
