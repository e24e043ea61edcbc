/**
 * Ends the command of `flaredb lock` when no other process can: when the process that supervises it was killed, or is
 * stopped or stuck while the lock's lease runs out. It is a process of its own with a pipe from the supervisor, in a
 * session of its own, so that neither a terminal nor a signal to the group of processes ends it.
 */
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { formatDuration } from "../../DurationText.ts"
import { LastWords } from "../output/LastWords.ts"
import type { Told } from "./GuardLines.ts"

/** The guard's program: beside the bundle, or among the sources. */
const program = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./GuardProcess.ts" : "./lock-guard.js", import.meta.url)
)

/** The guard of one command, seen from its supervisor. */
export class Guard {
  private readonly child: ChildProcess
  /** `undefined` once it watches; why it does not, when it ended before, or said nothing in time. */
  readonly ready: Promise<string | undefined>
  /** Says how it ended, when it has without being told to. */
  readonly gone: Promise<string>
  private readonly words = new LastWords()
  private ending = false
  /** Lines to it since it last said anything. */
  private unanswered = 0

  constructor(mark: string, readyMs: number) {
    this.child = spawn(process.execPath, [program, mark], {
      cwd: "/",
      detached: true,
      stdio: ["pipe", "pipe", "pipe"]
    })
    this.child.stdin?.on("error", () => undefined)
    this.child.stderr?.on("data", (chunk: Uint8Array) => this.words.take(chunk))
    this.gone = new Promise((resolve) => {
      const end = (how: string) => {
        const text = this.words.text()
        if (!this.ending) resolve(text === "" ? how : `${how}; it said: ${text}`)
      }
      this.child.once("error", ({ message }) => end(message))
      // `close`: what it said last may still be in the pipe when it exits.
      this.child.once(
        "close",
        (code, signal) => end(code === null ? `ended with ${signal}` : `ended with exit code ${code}`)
      )
    })
    this.child.stdout?.on("data", () => this.unanswered = 0)
    this.ready = this.firstWord(readyMs)
  }

  /**
   * Tells it something, and answers how many lines before have no answer: lines and not time, since the time that
   * passes while this process itself is stopped, or has no processor, is no silence of the guard.
   */
  tell(told: Told): number {
    this.child.stdin?.write(`${JSON.stringify(told)}\n`)
    return this.unanswered++
  }

  /** The command and all that came of it have ended, may go on, or was never started. */
  end(): void {
    this.ending = true
    // Before the end of the pipe, by which it would know that its supervisor is gone. It may be stopped or stuck.
    this.child.kill("SIGKILL")
    this.child.stdin?.destroy()
    this.child.stdout?.destroy()
    this.child.stderr?.destroy()
    this.child.unref()
  }

  private firstWord(readyMs: number): Promise<string | undefined> {
    return new Promise((resolve) => {
      const late = setTimeout(() => resolve(`said nothing for ${formatDuration(readyMs)}`), readyMs)
      const end = (problem: string | undefined) => {
        clearTimeout(late)
        resolve(problem)
      }
      this.child.stdout?.once("data", () => end(undefined))
      void this.gone.then(end)
    })
  }
}
