/** A process under the control of a harness that means it no good: it says `READY` when it is, and its log is kept. */
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { processSettings } from "../../src/cli/launch/ProcessSettings.ts"
import { KeptLog } from "../KeptLog.ts"

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ChildOptions {
  /** In messages. */
  readonly name: string
  /** What Node runs. */
  readonly program: ReadonlyArray<string>
  /** What runs Node: `strace` and its arguments, for example. */
  readonly under?: ReadonlyArray<string> | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
}

/** Log lines kept. */
const keptLines = 2_000

export class Child {
  readonly name: string
  readonly kept = new KeptLog(keptLines)
  /** Ends that nobody asked for. */
  readonly surprises: Array<Ended> = []
  private readonly process: ChildOptions
  private child: ChildProcess | undefined
  private ended: Promise<Ended> = Promise.resolve({ code: 0, signal: null })
  private expected = true

  constructor(options: ChildOptions) {
    this.process = options
    this.name = options.name
  }

  /** The last lines of its log. */
  get log(): ReadonlyArray<string> {
    return this.kept.lines
  }

  get running(): boolean {
    return this.child !== undefined
  }

  /** Starts the process and waits until it is ready; tells how it ended if it does before. */
  async start(): Promise<Ended | undefined> {
    if (this.child !== undefined) throw new Error(`${this.name} runs already`)
    const { env, program, under = [] } = this.process
    const [command, ...args] = [...under, process.execPath, ...program]
    const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("FLAREDB_")))
    const child = spawn(command as string, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...clean, ...processSettings(process.env), NO_COLOR: "1", ...env }
    })
    this.child = child
    this.expected = false
    const keep = (line: string) => this.kept.add(line)
    keep(`--- started as ${child.pid}`)
    createInterface({ input: child.stderr }).on("line", keep)
    this.ended = new Promise((resolve) => {
      child.once("close", (code, signal) => {
        this.child = undefined
        keep(`--- ended: ${code ?? signal}`)
        if (!this.expected) this.surprises.push({ code, signal })
        resolve({ code, signal })
      })
    })
    const ready = new Promise<undefined>((resolve) => {
      createInterface({ input: child.stdout }).on("line", (line) => {
        if (/^READY\b/.test(line)) resolve(undefined)
        this.heard(line)
      })
    })
    return Promise.race([ready, this.ended])
  }

  /** Called with each line of its output. */
  protected heard(_line: string): void {}

  /** Sends a signal that is to end the process, and waits for its end. A process that was stopped goes on, to end. */
  async end(signal: "SIGKILL" | "SIGTERM"): Promise<Ended> {
    this.expected = true
    this.signal(signal)
    if (signal === "SIGTERM") this.signal("SIGCONT")
    return this.ended
  }

  /** The process is about to end by itself, and that is as it should be. */
  expectEnd(): Promise<Ended> {
    this.expected = true
    return this.ended
  }

  pause(): void {
    this.signal("SIGSTOP")
  }

  resume(): void {
    this.signal("SIGCONT")
  }

  /** The process that is meant: the child, or the child of what runs it. */
  pid: () => number | undefined = () => this.child?.pid

  private signal(signal: NodeJS.Signals): void {
    const pid = this.pid()
    if (pid !== undefined && this.child !== undefined) process.kill(pid, signal)
  }
}
