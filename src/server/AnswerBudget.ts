/**
 * Bytes of answers to reads that a port has computed, or reserved, and that clients have not taken. One connection may
 * have a quarter of them: a client that does not read takes nothing from the others.
 *
 * At the bound the next call waits, and no more than {@link maxWaiting} do, for {@link maxWaitMs} at most. A call that
 * holds room never waits for more, so no two calls wait for each other.
 */
import { Deferred, Effect, Exit, Latch } from "effect"
import { Overloaded } from "../FlareDbError.ts"
import type { AnswerRoom } from "../machine/AnswerRoom.ts"
import { connectionShare } from "../net/CallsUnderWay.ts"
import type { DirectCall } from "../net/DirectCalls.ts"

/** Calls that may wait for room; one connection may have a quarter of them. */
export const maxWaiting = 1_024

/** Milliseconds that a call may wait for room. */
export const maxWaitMs = 2_000

interface Waiter {
  readonly call: CallRoom
  readonly bytes: number
  readonly sinceMs: number
  readonly ready: Deferred.Deferred<Overloaded | undefined>
}

/** What one connection has. */
interface Own {
  bytes: number
  waiting: number
}

export class AnswerBudget {
  /** Bytes that are held. */
  bytes = 0
  readonly maxBytes: number
  private readonly share: number
  private readonly nowMs: () => number
  private readonly connections = new Map<number, Own>()
  /** In the order in which they came. */
  private readonly waiters = new Set<Waiter>()
  /** Open while a call waits. */
  private readonly occupied = Latch.makeUnsafe(false)

  constructor(maxBytes: number, nowMs: () => number) {
    this.maxBytes = maxBytes
    this.share = connectionShare(maxBytes)
    this.nowMs = nowMs
  }

  /** Calls that wait for room. */
  get waiting(): number {
    return this.waiters.size
  }

  /** Room for the answers of one call. To be released when its client took them. */
  room(clientId: number): CallRoom {
    return new CallRoom(this, clientId)
  }

  /** {@link room} for a call, which releases it once its answer was taken. */
  roomOf(call: Pick<DirectCall, "clientId" | "onTaken">): CallRoom {
    const room = this.room(call.clientId)
    call.onTaken = () => room.release()
    return room
  }

  /** How far a connection is over its share, as an error; `undefined` when it is not. */
  excess(clientId: number): Overloaded | undefined {
    const bytes = this.connections.get(clientId)?.bytes ?? 0
    return bytes < this.share ? undefined : this.refusal(clientId)
  }

  /** Refuses those that have waited for too long. */
  sweep(): void {
    const nowMs = this.nowMs()
    for (const waiter of this.waiters) {
      if (nowMs - waiter.sinceMs < maxWaitMs) return
      this.settle(waiter, this.refusal(waiter.call.clientId))
    }
  }

  /** Sweeps every `everyMs` milliseconds while a call waits, for as long as it runs. Never ends. */
  sweeping(everyMs: number): Effect.Effect<never> {
    return Effect.forever(this.occupied.whenOpen(Effect.map(Effect.sleep(everyMs), () => this.sweep())))
  }

  /** For {@link CallRoom}. */
  reserve(call: CallRoom, bytes: number): Effect.Effect<Overloaded | undefined> {
    // What is larger than the share of a connection takes all of it.
    const wanted = Math.min(bytes, this.share)
    if (wanted <= call.bytes) return none
    const own = this.own(call.clientId)
    if (this.fits(own, wanted - call.bytes)) {
      this.hold(call, wanted)
      return none
    }
    if (!call.filled) this.hold(call, 0)
    const { size } = this.waiters
    if (call.filled || size >= maxWaiting || own.waiting >= connectionShare(maxWaiting)) {
      return Effect.succeed(this.refusal(call.clientId))
    }
    const waiter: Waiter = { call, bytes: wanted, sinceMs: this.nowMs(), ready: Deferred.makeUnsafe() }
    this.waiters.add(waiter)
    this.occupied.openUnsafe()
    own.waiting += 1
    // The connection is known by its waiter now, or was forgotten when it held nothing.
    this.connections.set(call.clientId, own)
    return Effect.onInterrupt(
      Deferred.await(waiter.ready),
      () => Effect.sync(() => this.settle(waiter, this.refusal(call.clientId)))
    )
  }

  /** For {@link CallRoom}: it now holds `bytes`. */
  hold(call: CallRoom, bytes: number): void {
    const own = this.own(call.clientId)
    const more = bytes - call.bytes
    call.bytes = bytes
    own.bytes += more
    this.bytes += more
    if (own.bytes === 0 && own.waiting === 0) this.connections.delete(call.clientId)
    if (more < 0 && this.waiters.size > 0) this.admit()
  }

  private admit(): void {
    for (const waiter of this.waiters) {
      if (this.bytes >= this.maxBytes) return
      const { bytes, call } = waiter
      if (!this.fits(this.own(call.clientId), bytes)) continue
      this.hold(call, bytes)
      this.settle(waiter, undefined)
    }
  }

  private settle(waiter: Waiter, refusal: Overloaded | undefined): void {
    if (!this.waiters.delete(waiter)) return
    if (this.waiters.size === 0) this.occupied.closeUnsafe()
    const own = this.own(waiter.call.clientId)
    own.waiting -= 1
    if (own.bytes === 0 && own.waiting === 0) this.connections.delete(waiter.call.clientId)
    Deferred.doneUnsafe(waiter.ready, Exit.succeed(refusal))
  }

  private own(clientId: number): Own {
    let own = this.connections.get(clientId)
    if (own === undefined) this.connections.set(clientId, own = { bytes: 0, waiting: 0 })
    return own
  }

  private fits(own: Own, bytes: number): boolean {
    return own.bytes + bytes <= this.share && this.bytes + bytes <= this.maxBytes
  }

  private refusal(clientId: number): Overloaded {
    const own = this.own(clientId).bytes
    const ofConnection = own > 0 && own >= this.share / 2
    return new Overloaded({
      limit: ofConnection ? "maxPendingAnswerBytes of one connection" : "maxPendingAnswerBytes",
      current: ofConnection ? own : this.bytes,
      maximum: ofConnection ? this.share : this.maxBytes
    })
  }
}

const none: Effect.Effect<undefined> = Effect.succeed(undefined)

/** What one call holds. */
export class CallRoom implements AnswerRoom {
  readonly clientId: number
  bytes = 0
  /** Whether it holds answers, not only room for them. */
  filled = false
  private readonly budget: AnswerBudget

  constructor(budget: AnswerBudget, clientId: number) {
    this.budget = budget
    this.clientId = clientId
  }

  reserve(bytes: number): Effect.Effect<Overloaded | undefined> {
    return this.budget.reserve(this, bytes)
  }

  trim(bytes: number): void {
    this.filled = bytes > 0
    if (bytes !== this.bytes) this.budget.hold(this, bytes)
  }

  /** Whatever it holds is free again. */
  release(): void {
    this.trim(0)
  }
}
