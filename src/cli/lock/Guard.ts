/**
 * Ends the command of `flaredb lock` when no other process can: when the process that supervises it was killed, or is
 * stopped or stuck while the lock's lease runs out. It is a process of its own with a pipe from the supervisor, in a
 * session of its own, so that neither a terminal nor a signal to the group of processes ends it.
 */
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Told } from "./GuardLines.ts"

/** The guard's program: beside the bundle, or among the sources. */
const program = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./GuardProcess.ts" : "./lock-guard.js", import.meta.url)
)

/** The guard of one command, seen from its supervisor. */
export class Guard {
  private readonly child: ChildProcess
  /** Whether it watches; `false` when it ended before it could. Nothing is started before. */
  readonly ready: Promise<boolean>
  /** Told when the guard has ended without being told to. */
  readonly gone: Promise<void>
  private ending = false

  constructor(mark: string) {
    this.child = spawn(process.execPath, [program, mark], {
      cwd: "/",
      detached: true,
      stdio: ["pipe", "pipe", "ignore"]
    })
    this.child.stdin?.on("error", () => undefined)
    this.gone = new Promise((resolve) => {
      const end = () => {
        if (!this.ending) resolve()
      }
      this.child.once("error", end)
      this.child.once("exit", end)
    })
    const first = new Promise<boolean>((resolve) => this.child.stdout?.once("data", () => resolve(true)))
    this.ready = Promise.race([first, this.gone.then(() => false)])
  }

  tell(told: Told): void {
    this.child.stdin?.write(`${JSON.stringify(told)}\n`)
  }

  /** The command and all that came of it have ended, or may go on. */
  end(): void {
    this.ending = true
    this.tell({ done: true })
    this.child.stdin?.end()
    this.child.stdout?.destroy()
    this.child.unref()
  }
}
