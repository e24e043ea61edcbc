/**
 * One TCP connection with frames both ways, for a server and for a client alike.
 *
 * Frames are handled in their order, one after the other, and nothing more is read while a handler has not ended, or
 * while the other side does not take what is written: what waits would grow for ever. What is written in one go of the
 * program leaves in one packet: one commit often answers several calls, and a packet costs more than what is in it.
 */
import { Effect } from "effect"
import type { Fiber } from "effect"
import { Socket } from "effect/socket"
import type { Socket as NetSocket } from "node:net"

/** Frames up to this size are copied into one write. Larger ones cost more to copy than a call of the system. */
const joinedBytes = 64 * 1024

/** The fiber of what is not done when the handler returns. */
export type OnFrame = (frame: Uint8Array) => Fiber.Fiber<void> | undefined

/** Sockets with frames to write when this go of the program ends. */
let dirty: Array<FrameSocket> = []

/** Hands all that was written to the system now, for a caller that holds up the thread next. */
export const flushAll = (): void => {
  const sockets = dirty
  dirty = []
  for (const socket of sockets) socket.flush()
}

export class FrameSocket {
  readonly socket: NetSocket
  /** Told when what is written begins to wait for the other side, and when it no longer does. */
  onWaits: (is: boolean) => void = () => undefined
  private readonly onFrame: OnFrame
  /** Frames that were read and not handled, from `next` on. */
  private received: ReadonlyArray<Uint8Array> = []
  private next = 0
  private handling = false
  /** Frames to write. */
  private written: Array<Uint8Array> = []
  private writtenBytes = 0
  /** Told once what was written before is with the system, or cannot be any more. */
  private taken: Array<() => void> = []
  private waits = false
  private held = false

  constructor(socket: NetSocket, onFrame: OnFrame) {
    this.socket = socket
    this.onFrame = onFrame
    socket.on("drain", () => this.drained())
    socket.on("close", () => this.drained())
  }

  /** Whether what is written waits for the other side. */
  get isFull(): boolean {
    const { socket } = this
    return socket.writableNeedDrain || socket.writableLength + this.writtenBytes >= socket.writableHighWaterMark
  }

  /** Frames have come. */
  receive(frames: ReadonlyArray<Uint8Array>): void {
    const left = this.received.length - this.next
    this.received = left === 0 ? frames : [...this.received.slice(this.next), ...frames]
    this.next = 0
    this.proceed()
  }

  /** Writes a frame. `onTaken` is called once it is with the system, or cannot be any more. */
  write(frame: Uint8Array, onTaken?: () => void): void {
    if (this.socket.destroyed || this.socket.writableEnded) {
      onTaken?.()
      return
    }
    if (this.written.length === 0) {
      if (dirty.length === 0) process.nextTick(flushAll)
      dirty.push(this)
    }
    this.written.push(frame)
    this.writtenBytes += frame.byteLength
    if (onTaken !== undefined) this.taken.push(onTaken)
  }

  /** {@link write}; `false` while the other side does not take it. `onTaken` is called then once it does, or cannot. */
  offer(frame: Uint8Array, onTaken: () => void): boolean {
    if (this.socket.destroyed) return true
    this.write(frame)
    if (!this.isFull) return true
    this.taken.push(onTaken)
    return false
  }

  /** Keeps what is written until {@link release}: nothing may leave before the other side is known. */
  hold(): void {
    this.held = true
  }

  /** Writes what was kept, and from now on at once. */
  release(): void {
    this.held = false
    this.flush()
  }

  /** Hands what was written to the system. */
  flush(): void {
    if (this.held) return
    const { socket, written, writtenBytes } = this
    this.written = []
    this.writtenBytes = 0
    if (written.length > 0 && !socket.destroyed && !socket.writableEnded) {
      const [first] = written
      if (written.length === 1) socket.write(first as Uint8Array)
      else if (writtenBytes <= joinedBytes) socket.write(Buffer.concat(written, writtenBytes))
      else {
        socket.cork()
        for (const frame of written) socket.write(frame)
        socket.uncork()
      }
    }
    if (socket.writableNeedDrain && !socket.destroyed) this.wait()
    else this.tell()
  }

  /** {@link write}, done once the frame is with the system; fails when the connection ends before. */
  send(frame: Uint8Array): Effect.Effect<void, Socket.SocketError> {
    return Effect.suspend(() => {
      if (this.socket.destroyed) return gone
      this.write(frame)
      return this.isFull ? this.untilTaken : Effect.void
    })
  }

  private readonly untilTaken = Effect.callback<void, Socket.SocketError>((resume) => {
    this.taken.push(() => resume(this.socket.destroyed ? gone : Effect.void))
  })

  /** Writes what is to be written, and ends the connection. */
  end(): void {
    this.flush()
    this.socket.destroySoon()
  }

  private proceed(): void {
    while (!this.handling && this.next < this.received.length && !this.socket.destroyed) {
      const fiber = this.onFrame(this.received[this.next++] as Uint8Array)
      if (fiber === undefined || fiber.pollUnsafe() !== undefined) continue
      this.handling = true
      fiber.addObserver(() => {
        this.handling = false
        this.proceed()
      })
    }
    if (this.next === this.received.length) {
      this.received = []
      this.next = 0
    }
    this.adjust()
  }

  /** Reads on, or no further for now. */
  private adjust(): void {
    const { socket } = this
    const stop = this.handling || this.waits
    if (stop === socket.isPaused()) return
    if (stop) socket.pause()
    else socket.resume()
  }

  private wait(): void {
    if (this.waits) return
    this.waits = true
    this.onWaits(true)
    this.adjust()
  }

  private drained(): void {
    if (this.waits) {
      this.waits = false
      this.onWaits(false)
      if (!this.socket.destroyed) this.adjust()
    }
    this.tell()
  }

  private tell(): void {
    const { taken } = this
    if (taken.length === 0) return
    this.taken = []
    for (const told of taken) told()
  }
}

const gone = Effect.fail(
  new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause: new Error("the connection is gone") }) })
)
