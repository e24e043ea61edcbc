/** The snapshots that peers send to this node, by the connections that carry them. */
import { Effect, Exit, Scope } from "effect"
import { PeerRefused } from "../../protocol/PeerRpcs.ts"
import type { PeerTransport, SnapshotOffer, SnapshotSink } from "../PeerTransport.ts"
import { SnapshotRefused } from "../../protocol/SnapshotRefused.ts"

type Taker = Parameters<PeerTransport["Service"]["takeSnapshots"]>[0]

/** The inbound snapshots, one for each connection that carries one. */
export class InboundSnapshots {
  private taker: Taker | undefined
  private readonly arriving = new Map<
    number,
    { readonly scope: Scope.Closeable; readonly sink: SnapshotSink<SnapshotRefused> }
  >()

  readonly takeSnapshots = (taker: Taker): Effect.Effect<void, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.sync(() => {
        this.taker = taker
      }),
      () =>
        Effect.suspend(() => {
          this.taker = undefined
          return Effect.forEach([...this.arriving.keys()], (clientId) => this.end(clientId), { discard: true })
        })
    )

  offer(clientId: number, offer: SnapshotOffer): Effect.Effect<void, SnapshotRefused> {
    const { taker } = this
    if (taker === undefined) {
      return Effect.fail(new SnapshotRefused({ reason: `node ${offer.to} is not ready for snapshots`, covered: false }))
    }
    return Effect.gen({ self: this }, function*() {
      yield* this.end(clientId)
      const scope = yield* Scope.make()
      const sink = yield* Scope.provide(taker(offer), scope).pipe(
        Effect.onError(() => Scope.close(scope, Exit.void))
      )
      this.arriving.set(clientId, { scope, sink })
    })
  }

  chunk(clientId: number, chunk: Uint8Array): Effect.Effect<void, SnapshotRefused | PeerRefused> {
    const arriving = this.arriving.get(clientId)
    return arriving === undefined
      ? Effect.fail(new PeerRefused({ reason: "malformed", expected: "OfferSnapshot first", found: "SnapshotChunk" }))
      // What arrives is a view of everything that came with it.
      : arriving.sink.write(new Uint8Array(chunk))
  }

  end(clientId: number): Effect.Effect<void> {
    const arriving = this.arriving.get(clientId)
    this.arriving.delete(clientId)
    return arriving === undefined ? Effect.void : Scope.close(arriving.scope, Exit.void)
  }
}
