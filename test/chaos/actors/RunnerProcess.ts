/** A runner as a process of its own, whose ways to the nodes can be cut without those of others. */
import { fileURLToPath } from "node:url"
import { Child } from "../Child.ts"
import type { Fault } from "../Proxy.ts"
import { Proxy } from "../Proxy.ts"

const program = fileURLToPath(new URL("./Runner.ts", import.meta.url))

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
    certificates: string | undefined
  ) {
    const by = Object.fromEntries(doors.map((door, i) => [door, ways[i]?.port]))
    super({
      name,
      program: ["--expose-gc", program, name, String(port), JSON.stringify(by)],
      env: certificates === undefined ? {} : { FLAREDB_CERTS_DIR: certificates }
    })
    this.port = port
    this.ways = ways
  }

  /** A runner that will listen at `port` and reaches the nodes at `doors`, with a folder of certificates if it has one. */
  static async make(
    name: string,
    port: number,
    doors: ReadonlyArray<number>,
    certificates?: string
  ): Promise<RunnerProcess> {
    const ways = doors.map((door) => new Proxy(door))
    await Promise.all(ways.map((way) => way.listen()))
    return new RunnerProcess(name, port, doors, ways, certificates)
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
