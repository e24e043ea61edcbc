/**
 * A process of the load, seen from outside: lines come out of it, one line makes it begin, and it ends with its input.
 */
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { launcher } from "../Launcher.ts"
import type { LoadShare } from "./Plan.ts"

export class LoadProcess {
  private readonly child: ChildProcess
  private readonly lines: AsyncIterator<string>

  constructor(share: LoadShare) {
    this.child = spawn(process.execPath, [launcher, "bench-load", JSON.stringify(share)], {
      stdio: ["pipe", "pipe", "inherit"]
    })
    // It may have ended before it could begin.
    this.child.stdin?.on("error", () => undefined)
    this.lines = createInterface({ input: this.child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]()
  }

  /** Its id; `undefined` when it could not be started. */
  get pid(): number | undefined {
    return this.child.pid
  }

  /** The next line it says. */
  async line(): Promise<string> {
    const { done, value } = await this.lines.next()
    if (done === true) throw new Error("a process of the load ended early; what it said is above")
    return value
  }

  begin(): void {
    this.child.stdin?.write("\n")
  }

  /** Ends it, and waits until it is gone. */
  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const exit = once(this.child, "exit")
    this.child.stdin?.end()
    const timer = setTimeout(() => this.child.kill("SIGKILL"), 2_000)
    await exit
    clearTimeout(timer)
  }
}
