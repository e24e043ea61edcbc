/** Nodes that serve one history to watches, each as far as it has got, with every fault that a test asks for. */
import { Clock, Effect } from "effect"
import type { Connect, Connection, WatchPart, WatchRequest } from "../../src/client/connection/Connection.ts"
import { ConnectionLost } from "../../src/client/connection/Connection.ts"
import type { Endpoint } from "../../src/client/connection/Endpoint.ts"
import { formatEndpoint } from "../../src/client/connection/Endpoint.ts"
import type { WatchError } from "../../src/FlareDbError.ts"
import { Compacted, Overloaded, Unavailable, WatchCancelled } from "../../src/FlareDbError.ts"
import type { Revision } from "../../src/kv/model/History.ts"
import { someCluster } from "./Identities.ts"

export const faults = [
  /** The connection ends with the question on its way. */
  "lose",
  /** The connection turns out to have ended before. */
  "stale",
  /** The node has cancelled the watch. */
  "cancel",
  /** The node cannot prove that it is up to date. */
  "unavailable",
  /** The node has stopped in its tracks. */
  "silent",
  /** The node tells once more what it told before. */
  "repeat",
  /** The node tells less than it could. */
  "little",
  /** The node says how far it is, which is less far than another was. */
  "behind"
] as const
export type Fault = (typeof faults)[number]

const pollMs = 10

export class FakeWatchNode {
  readonly endpoint: Endpoint
  /** Nobody listens. */
  down = false
  /** The last revision it has. */
  applied = 0
  oldest = 1
  /** What goes wrong with the next questions. */
  readonly faults: Array<Fault> = []
  full = false
  /** Watches begun and not ended. */
  watches = 0
  questions = 0
  private readonly history: ReadonlyArray<Revision>

  constructor(port: number, history: ReadonlyArray<Revision>) {
    this.endpoint = { host: "node", port }
    this.history = history
  }

  get name(): string {
    return formatEndpoint(this.endpoint)
  }

  private lost(sent: boolean): ConnectionLost {
    return new ConnectionLost({ endpoint: this.name, reason: "gone", sent })
  }

  connect(): Connection {
    return {
      cluster: Effect.succeed({ name: "fake", identity: someCluster }),
      write: () => Effect.fail(this.lost(true)),
      read: () => Effect.fail(this.lost(true)),
      status: Effect.fail(this.lost(true)),
      vitals: Effect.fail(this.lost(true)),
      transferLeader: () => Effect.void,
      watch: (request) =>
        Effect.gen({ self: this }, function*() {
          if (this.down) return yield* this.lost(true)
          if (this.full) return yield* new Overloaded({ limit: "maxWatches", current: 1, maximum: 1 })
          const from = request.from ?? this.applied + 1
          if (from < this.oldest) return yield* new Compacted({ requested: from, oldest: this.oldest })
          this.watches += 1
          yield* Effect.addFinalizer(() =>
            Effect.sync(() => {
              this.watches -= 1
            })
          )
          return { from, next: (at, waitMs) => this.next(request, at, waitMs), progress: Effect.void }
        })
    }
  }

  private readonly next = Effect.fnUntraced(
    { self: this },
    function*(this: FakeWatchNode, request: WatchRequest, at: number, waitMs: number): Effect.fn.Return<
      WatchPart,
      WatchError | ConnectionLost
    > {
      this.questions += 1
      if (this.down) return yield* this.lost(true)
      let from = at
      let through = this.applied
      switch (this.faults.shift()) {
        case "lose":
          return yield* this.lost(true)
        case "stale":
          return yield* this.lost(false)
        case "cancel":
          return yield* new WatchCancelled({ reason: "too slow" })
        case "unavailable":
          return yield* new Unavailable({ reason: "cut off" })
        case "silent":
          return yield* Effect.never
        case "repeat":
          from = Math.max(1, at - 2)
          break
        case "little":
          through = Math.min(at, this.applied)
          break
        case "behind":
          return { revisions: [], through: Math.max(0, at - 3) }
        case undefined:
      }
      const deadline = (yield* Clock.currentTimeMillis) + waitMs
      while (this.applied < at) {
        if (this.down) return yield* this.lost(true)
        if ((yield* Clock.currentTimeMillis) >= deadline) return { revisions: [], through: this.applied }
        yield* Effect.sleep(pollMs)
        through = Math.max(through, this.applied)
      }
      if (this.down) return yield* this.lost(true)
      if (at < this.oldest) return yield* new Compacted({ requested: at, oldest: this.oldest })
      const revisions = this.history.slice(from - 1, through).filter(({ changes }) =>
        changes.some(({ key }) => request.ranges.contains(key))
      )
      return { revisions, through }
    }
  )
}

export const connectTo = (nodes: ReadonlyArray<FakeWatchNode>): Connect => (endpoint) =>
  Effect.suspend(() => {
    const node = nodes.find(({ name }) => name === formatEndpoint(endpoint))
    return node === undefined || node.down
      ? Effect.fail(
        new ConnectionLost({ endpoint: formatEndpoint(endpoint), reason: "no process listens there", sent: false })
      )
      : Effect.succeed(node.connect())
  })
