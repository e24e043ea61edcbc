/**
 * The connections of one port and the limits on what they may hold: how many there are, how long one may take to say
 * something, and how long, and in how many bytes, unfinished calls may be. A client that goes beyond is disconnected
 * and told of in the log.
 *
 * It costs a connection that behaves nothing but looking at its bytes' lengths: no timer, and no clock, unless a read
 * ends inside a frame.
 */
import type { Limits } from "../config/Limits.ts"
import { defaultLimits } from "../config/Limits.ts"
import { FrameReader } from "./FrameReader.ts"
import { formatAddress } from "./Listening.ts"
import { countedAddress, SilentConnections } from "./SilentConnections.ts"
import type { ProtocolViolations, ViolationKind } from "./ProtocolViolations.ts"

export interface ConnectionLimits extends Pick<Limits, "maxFrameMs" | "maxHandshakeMs" | "maxUnfinishedBytes"> {
  /** At the limit, a connection that has been silent since it was made gives way to a new one. */
  readonly maxConnections: number
}

export const defaultConnectionLimits: ConnectionLimits = {
  maxConnections: defaultLimits.maxClientConnections,
  maxHandshakeMs: defaultLimits.maxHandshakeMs,
  maxFrameMs: defaultLimits.maxFrameMs,
  maxUnfinishedBytes: defaultLimits.maxUnfinishedBytes
}

/** How often the times are looked at, in milliseconds: as often as a tenth of the shortest, between these. */
const shortestSweepMs = 250
const longestSweepMs = 1_000

export const sweepMsOf = ({ maxFrameMs, maxHandshakeMs }: ConnectionLimits): number =>
  Math.min(longestSweepMs, Math.max(shortestSweepMs, Math.min(maxFrameMs, maxHandshakeMs) / 10))

/** What is needed of Node's socket. */
interface Destroyable {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
  readonly destroy: () => void
}

/** One of a port's connections. */
export class Guarded {
  readonly remote: string
  /** What it is counted by among those that are silent. */
  readonly address: string
  readonly sinceMs: number
  readonly reader: FrameReader
  /** When the frame began that has not ended. */
  frameSinceMs = 0
  /** As it was counted into the port's. */
  unfinishedBytes = 0
  /** It was refused and told of; it may read why, and is closed without another line. */
  isRefused = false
  private readonly connection: Destroyable

  constructor(connection: Destroyable, maxFrameBytes: number, sinceMs: number) {
    this.connection = connection
    this.sinceMs = sinceMs
    this.address = countedAddress(connection.remoteAddress)
    this.remote = formatAddress(connection.remoteAddress ?? "unknown", connection.remotePort ?? 0)
    this.reader = new FrameReader(maxFrameBytes)
  }

  destroy(): void {
    this.connection.destroy()
  }
}

export class Connections {
  readonly violations: ProtocolViolations
  private readonly limits: ConnectionLimits
  private readonly maxFrameBytes: number
  private readonly open = new Set<Guarded>()
  /** Those that were not admitted yet, in the order in which they came. */
  private readonly silent = new SilentConnections<Guarded>()
  /** Those inside a frame, in the order in which these began. */
  private readonly unfinished = new Set<Guarded>()
  private unfinishedBytes = 0
  /** Those that do not take what is sent to them, and since when. */
  private readonly stuck = new Map<Guarded, number>()

  constructor(violations: ProtocolViolations, limits: ConnectionLimits, maxFrameBytes: number) {
    this.violations = violations
    this.limits = limits
    this.maxFrameBytes = maxFrameBytes
  }

  /** How many there are. */
  get size(): number {
    return this.open.size
  }

  /** Bytes of calls that are not whole. */
  get pendingBytes(): number {
    return this.unfinishedBytes
  }

  /** The connection said a `Hello` that was accepted: it gives way to no other any more. */
  admit(guarded: Guarded): void {
    this.silent.admit(guarded)
  }

  /** What is sent waits for the other side, or no longer does. */
  waits(guarded: Guarded, is: boolean): void {
    if (!is) this.stuck.delete(guarded)
    else if (this.open.has(guarded) && !this.stuck.has(guarded)) this.stuck.set(guarded, this.violations.nowMs())
  }

  /** A new connection; `undefined` when there is no room for it, and it is closed. */
  accept(connection: Destroyable): Guarded | undefined {
    const guarded = new Guarded(connection, this.maxFrameBytes, this.violations.nowMs())
    const { maxConnections } = this.limits
    if (this.open.size >= maxConnections) {
      const { victim } = this.silent
      if (victim === undefined) {
        this.violations.report(
          "too-many-connections",
          guarded.remote,
          `refused a connection: all ${maxConnections} are in use`
        )
        guarded.destroy()
        return undefined
      }
      this.closeFor(
        victim,
        "too-many-connections",
        `closed a silent connection for a new one: all ${maxConnections} are in use`
      )
    }
    this.open.add(guarded)
    this.silent.add(guarded)
    return guarded
  }

  /** The connection has ended. */
  forget(guarded: Guarded): void {
    this.open.delete(guarded)
    this.silent.delete(guarded)
    this.unfinished.delete(guarded)
    this.stuck.delete(guarded)
    this.unfinishedBytes -= guarded.unfinishedBytes
    guarded.unfinishedBytes = 0
  }

  /** Disconnects a client that did something wrong, and says what. */
  closeFor(guarded: Guarded, violation: ViolationKind, problem: string): void {
    if (!this.open.has(guarded)) return
    this.forget(guarded)
    if (!guarded.isRefused) this.violations.report(violation, guarded.remote, problem)
    guarded.destroy()
  }

  /**
   * Refuses a connection that may still read why, and says so in the log. It counts until it ends, and is closed when
   * it does not within the time for a `Hello`.
   */
  refuse(guarded: Guarded, violation: ViolationKind, problem: string): void {
    if (guarded.isRefused || !this.open.has(guarded)) return
    guarded.isRefused = true
    this.violations.report(violation, guarded.remote, problem)
  }

  /** Bytes have come. `false` when the connection is closed because of them. */
  took(guarded: Guarded, bytes: Uint8Array): boolean {
    const { reader } = guarded
    const { begun } = reader
    const problem = reader.take(bytes)
    if (problem !== undefined) {
      this.closeFor(guarded, "oversized-frame", `closed a connection: ${problem}`)
      return false
    }
    if (reader.unfinishedBytes !== guarded.unfinishedBytes) this.count(guarded, reader.begun !== begun)
    return true
  }

  private count(guarded: Guarded, newFrame: boolean): void {
    const { reader } = guarded
    this.unfinishedBytes += reader.unfinishedBytes - guarded.unfinishedBytes
    guarded.unfinishedBytes = reader.unfinishedBytes
    if (reader.unfinishedBytes === 0) {
      this.unfinished.delete(guarded)
      return
    }
    if (newFrame) {
      guarded.frameSinceMs = this.violations.nowMs()
      this.unfinished.delete(guarded)
      this.unfinished.add(guarded)
    }
    while (this.unfinishedBytes > this.limits.maxUnfinishedBytes) {
      const [oldest] = this.unfinished
      if (oldest === undefined) return
      this.closeFor(
        oldest,
        "unfinished-frames",
        `closed a connection: unfinished calls are over maxUnfinishedBytes (${this.limits.maxUnfinishedBytes}), and ` +
          "its call is the oldest"
      )
    }
  }

  /** Disconnects those whose time is over. */
  sweep(): void {
    const nowMs = this.violations.nowMs()
    const { maxFrameMs, maxHandshakeMs } = this.limits
    for (const guarded of this.silent.inOrder) {
      if (nowMs - guarded.sinceMs < maxHandshakeMs) break
      this.closeFor(guarded, "no-handshake", `closed a connection: no Hello within maxHandshakeMs (${maxHandshakeMs})`)
    }
    for (const guarded of this.unfinished) {
      if (nowMs - guarded.frameSinceMs < maxFrameMs) break
      this.closeFor(
        guarded,
        "slow-frame",
        `closed a connection: a call was not whole within maxFrameMs (${maxFrameMs})`
      )
    }
    for (const [guarded, sinceMs] of this.stuck) {
      if (nowMs - sinceMs < maxFrameMs) break
      this.closeFor(
        guarded,
        "unread-answers",
        `closed a connection: it did not take what was sent to it within maxFrameMs (${maxFrameMs})`
      )
    }
    this.violations.rotate()
  }

  destroyAll(): void {
    for (const guarded of this.open) guarded.destroy()
  }
}
