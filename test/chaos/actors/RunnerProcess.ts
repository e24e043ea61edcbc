/** A runner as a process of its own, whose ways to the nodes can be cut without those of others. */
import { Redacted } from "effect"
import { fileURLToPath } from "node:url"
import { Child } from "../Child.ts"
import type { Fault } from "../Proxy.ts"
import { Proxy } from "../Proxy.ts"

const program = fileURLToPath(new URL("./Runner.ts", import.meta.url))

/** What a runner trusts and shows. */
export interface RunnerIdentity {
  /** A file with the authority of the cluster. */
  readonly authorities: string
  readonly token: Redacted.Redacted
}

export class RunnerProcess extends Child {
  /** Where other runners and clients reach it. */
  readonly port: number
  /** What its heap held after its last collection, in bytes. */
  heapBytes: number | undefined
  private readonly ways: ReadonlyArray<Proxy>

  private constructor(
    name: string,
    port: number,
    doors: ReadonlyArray<number>,
    ways: ReadonlyArray<Proxy>,
    identity: RunnerIdentity | undefined
  ) {
    const by = Object.fromEntries(doors.map((door, i) => [door, ways[i]?.port]))
    super({
      name,
      program: ["--expose-gc", program, name, String(port), JSON.stringify(by)],
      env: identity === undefined ? {} : {
        FLAREDB_TRUSTED_CA_FILE: identity.authorities,
        FLAREDB_TOKEN: Redacted.value(identity.token)
      }
    })
    this.port = port
    this.ways = ways
  }

  /** A runner that will listen at `port` and reaches the nodes at `doors`, and what it shows them. */
  static async make(
    name: string,
    port: number,
    doors: ReadonlyArray<number>,
    identity?: RunnerIdentity
  ): Promise<RunnerProcess> {
    const ways = doors.map((door) => new Proxy(door))
    await Promise.all(ways.map((way) => way.listen()))
    return new RunnerProcess(name, port, doors, ways, identity)
  }

  /** Whether an effect or a mark is of this process as it runs now. */
  wrote(by: string): boolean {
    return by === `${this.name}-${this.pid()}`
  }

  /** A fault on every way to the store. */
  cut(fault: Partial<Fault>): void {
    for (const way of this.ways) way.set(fault)
  }

  heal(): void {
    this.cut({})
  }

  /** Lets the messages go on that wait for it. */
  openGate(): void {
    const pid = this.pid()
    if (pid !== undefined) process.kill(pid, "SIGUSR2")
  }

  /** Ends the process, if it runs, and its ways. */
  async close(): Promise<void> {
    if (this.running) await this.end("SIGKILL")
    await Promise.all(this.ways.map((way) => way.close()))
  }

  protected override heard(line: string): void {
    const heap = /^HEAP (\d+)$/.exec(line)
    if (heap !== null) this.heapBytes = Number(heap[1])
  }
}
