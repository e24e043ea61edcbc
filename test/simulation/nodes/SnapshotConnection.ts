/**
 * The connection of one snapshot between two processes of a simulation: its chunks arrive in order, it breaks when the
 * link is cut, when a chunk is lost, and when either process ends.
 */
import { Effect, Exit, Scope } from "effect"
import type { SnapshotRequest, SnapshotStream } from "../../../src/transport/PeerTransport.ts"
import { SnapshotLost } from "../../../src/transport/PeerTransport.ts"
import { SnapshotRefused } from "../../../src/protocol/SnapshotRefused.ts"
import type { Random } from "../Random.ts"
import { flipped } from "./Damage.ts"
import type { Endpoint, SimNetwork } from "./SimNetwork.ts"
import type { SimProcess } from "../engine/SimProcess.ts"
import type { Timeline } from "../engine/Timeline.ts"

/** How long a sender waits for an answer, in milliseconds. */
const patienceMs = 1_500

type Failure = SnapshotRefused | SnapshotLost

export interface SnapshotConnectionParts {
  readonly network: SimNetwork
  readonly random: Random
  readonly timeline: Timeline
  readonly process: SimProcess
  readonly request: SnapshotRequest
  /** Told of every chunk that arrives. */
  readonly arrived: (request: SnapshotRequest) => void
  /** Told of a chunk in which a bit had flipped, and whether the receiver took it. */
  readonly flipped: (request: SnapshotRequest, taken: boolean) => void
}

export class SnapshotConnection {
  private readonly parts: SnapshotConnectionParts
  private readonly scope = Scope.makeUnsafe()
  private receiver: Endpoint | undefined
  private broken = false
  private lastArrivalMs = 0

  constructor(parts: SnapshotConnectionParts) {
    this.parts = parts
  }

  /** Opens a connection that lasts as long as the scope. */
  static readonly open = (
    parts: SnapshotConnectionParts
  ): Effect.Effect<SnapshotStream<Failure>, Failure, Scope.Scope> =>
    Effect.gen(function*() {
      const connection = new SnapshotConnection(parts)
      const forget = parts.network.watchConnection({ from: parts.request.from, end: () => connection.end() })
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          forget()
          connection.end()
        })
      )
      const stream = yield* connection.ask((receiver) =>
        receiver.acceptor === undefined
          ? Effect.fail(new SnapshotRefused({ reason: "the node is not ready for snapshots", upToDate: false }))
          : Scope.provide(receiver.acceptor(parts.request), connection.scope)
      )
      return {
        write: (chunk: Uint8Array) =>
          connection.ask(() => {
            parts.arrived(parts.request)
            if (!parts.random.chance(parts.network.faults.flip)) return stream.write(new Uint8Array(chunk))
            return Effect.onExit(
              stream.write(flipped(chunk, parts.random)),
              (exit) => Effect.sync(() => parts.flipped(parts.request, Exit.isSuccess(exit)))
            )
          })
      }
    })

  private get lost(): SnapshotLost {
    return new SnapshotLost({ reason: `the way to node ${this.parts.request.to} broke` })
  }

  /** What a message takes in one direction; it overtakes none before it. */
  private delayMs(): number {
    const { network, random, timeline } = this.parts
    const [least, most] = network.faults.delayMs
    const arrivalMs = Math.max(this.lastArrivalMs, timeline.nowMs + least + random.next() * (most - least))
    this.lastArrivalMs = arrivalMs
    return arrivalMs - timeline.nowMs
  }

  /** Has something done at the receiver, and brings the answer back. */
  private ask<A>(work: (receiver: Endpoint) => Effect.Effect<A, SnapshotRefused>): Effect.Effect<A, Failure> {
    const { network, request, process, random, timeline } = this.parts
    return Effect.callback<A, Failure>((resume) => {
      let answered = false
      const answer = (result: Effect.Effect<A, Failure>) => {
        if (answered) return
        answered = true
        resume(result)
      }
      process.later(patienceMs, () => answer(Effect.fail(this.lost)))
      if (random.chance(network.faults.drop / 10)) this.broken = true
      timeline.after(this.delayMs(), () => {
        const receiver = network.endpoint(request.from, request.to)
        // A node that was started again knows nothing of a connection to the process before it.
        if (receiver === undefined || this.broken || (this.receiver !== undefined && this.receiver !== receiver)) {
          this.broken = true
          return process.later(1, () => answer(Effect.fail(this.lost)))
        }
        this.receiver = receiver
        receiver.process.enter(() =>
          receiver.run(work(receiver), (exit) => {
            const open = network.endpoint(request.from, request.to) === receiver
            process.later(this.delayMs(), () => answer(open ? exit : Effect.fail(this.lost)))
          })
        )
      })
    })
  }

  /** The receiver notices that its sender is gone. */
  private end(): void {
    this.broken = true
    const { receiver } = this
    this.receiver = undefined
    if (receiver === undefined) return
    this.parts.timeline.after(
      1,
      () => receiver.process.enter(() => receiver.run(Scope.close(this.scope, Exit.void), () => {}))
    )
  }
}
