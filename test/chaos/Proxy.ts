/** A TCP proxy in front of one port, which can lose, hold, delay and refuse what passes through it. */
import type { Server, Socket } from "node:net"
import { connect, createServer } from "node:net"

export interface Fault {
  /** Ends every connection, and each new one at once. */
  readonly refuse: boolean
  /** Keeps what the one who connected sends. Nothing is lost: TCP would send it again once the way is free. */
  readonly holdForward: boolean
  /** Keeps what comes back. */
  readonly holdBackward: boolean
  /** Delays everything, in milliseconds. */
  readonly delayMs: number
}

export const healthy: Fault = { refuse: false, holdForward: false, holdBackward: false, delayMs: 0 }

/** Bytes kept in one direction of one connection before the sender is not read any more. */
const maxKeptBytes = 1024 * 1024

/** One direction of one connection. */
class Way {
  private readonly from: Socket
  private readonly to: Socket
  private readonly held: () => boolean
  private readonly fault: () => Fault
  private readonly kept: Array<{ readonly chunk: Buffer; readonly dueMs: number }> = []
  private keptBytes = 0
  private ended = false

  constructor(from: Socket, to: Socket, held: () => boolean, fault: () => Fault) {
    this.from = from
    this.to = to
    this.held = held
    this.fault = fault
    from.on("data", (chunk: Buffer) => {
      const { delayMs } = this.fault()
      this.kept.push({ chunk, dueMs: performance.now() + delayMs })
      this.keptBytes += chunk.byteLength
      if (this.keptBytes > maxKeptBytes) from.pause()
      if (delayMs > 0) setTimeout(() => this.pump(), delayMs + 1)
      else this.pump()
    })
    from.once("close", () => {
      this.ended = true
      this.pump()
    })
  }

  pump(): void {
    if (this.held()) return
    const nowMs = performance.now()
    while (this.kept.length > 0 && (this.kept[0]?.dueMs as number) <= nowMs) {
      const { chunk } = this.kept.shift() as { readonly chunk: Buffer }
      this.keptBytes -= chunk.byteLength
      if (!this.to.destroyed) this.to.write(chunk)
    }
    if (this.keptBytes <= maxKeptBytes) this.from.resume()
    if (this.ended && this.kept.length === 0) this.to.end()
    else if (this.kept.length > 0) setTimeout(() => this.pump(), 5)
  }
}

export class Proxy {
  private readonly target: number
  private readonly server: Server
  private readonly open = new Map<Socket, ReadonlyArray<Way>>()
  private current: Fault = healthy
  port = 0

  constructor(target: number) {
    this.target = target
    this.server = createServer((socket) => this.accept(socket))
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve))
    const address = this.server.address()
    if (address === null || typeof address === "string") throw new Error("a proxy listens nowhere")
    this.port = address.port
  }

  get fault(): Fault {
    return this.current
  }

  set(fault: Partial<Fault>): void {
    this.current = { ...healthy, ...fault }
    if (this.current.refuse) { for (const socket of this.open.keys()) socket.destroy() }
    else for (const ways of this.open.values()) for (const way of ways) way.pump()
  }

  async close(): Promise<void> {
    this.set({ refuse: true })
    await new Promise<void>((resolve) => this.server.close(() => resolve()))
  }

  private accept(near: Socket): void {
    if (this.current.refuse) {
      near.destroy()
      return
    }
    const far = connect({ host: "127.0.0.1", port: this.target, noDelay: true })
    near.setNoDelay(true)
    const fault = () => this.current
    const ways = [
      new Way(near, far, () => this.current.holdForward, fault),
      new Way(far, near, () => this.current.holdBackward, fault)
    ]
    this.open.set(near, ways)
    near.once("close", () => {
      this.open.delete(near)
      if (this.current.refuse) far.destroy()
    })
    // A reset is an end like any other here.
    near.on("error", () => near.destroy())
    far.on("error", () => {
      far.destroy()
      near.destroy()
    })
  }
}
