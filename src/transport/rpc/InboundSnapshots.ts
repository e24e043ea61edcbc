/** The snapshots that peers send to this node, by the connections that carry them. */
import { Effect, Exit, Scope } from "effect"
import { PeerRefused } from "../../protocol/PeerRpcs.ts"
import type { PeerTransport, SnapshotRequest, SnapshotStream } from "../PeerTransport.ts"
import { SnapshotRefused } from "../../protocol/SnapshotRefused.ts"

type Acceptor = Parameters<PeerTransport["Service"]["takeSnapshots"]>[0]

/** The inbound snapshots, one for each connection that carries one. */
export class InboundSnapshots {
  private acceptor: Acceptor | undefined
  private readonly arriving = new Map<
    number,
    { readonly scope: Scope.Closeable; readonly stream: SnapshotStream<SnapshotRefused> }
  >()

  readonly takeSnapshots = (acceptor: Acceptor): Effect.Effect<void, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.sync(() => {
        this.acceptor = acceptor
      }),
      () =>
        Effect.suspend(() => {
          this.acceptor = undefined
          return Effect.forEach([...this.arriving.keys()], (clientId) => this.end(clientId), { discard: true })
        })
    )

  open(clientId: number, request: SnapshotRequest): Effect.Effect<void, SnapshotRefused> {
    const { acceptor } = this
    if (acceptor === undefined) {
      return Effect.fail(
        new SnapshotRefused({ reason: `node ${request.to} is not ready for snapshots`, upToDate: false })
      )
    }
    return Effect.gen({ self: this }, function*() {
      yield* this.end(clientId)
      const scope = yield* Scope.make()
      const stream = yield* Scope.provide(acceptor(request), scope).pipe(
        Effect.onError(() => Scope.close(scope, Exit.void))
      )
      this.arriving.set(clientId, { scope, stream })
    })
  }

  chunk(clientId: number, chunk: Uint8Array): Effect.Effect<void, SnapshotRefused | PeerRefused> {
    const arriving = this.arriving.get(clientId)
    return arriving === undefined
      ? Effect.fail(new PeerRefused({ reason: "malformed", expected: "OfferSnapshot first", found: "SnapshotChunk" }))
      // What arrives is a view of everything that came with it.
      : arriving.stream.write(new Uint8Array(chunk))
  }

  end(clientId: number): Effect.Effect<void> {
    const arriving = this.arriving.get(clientId)
    this.arriving.delete(clientId)
    return arriving === undefined ? Effect.void : Scope.close(arriving.scope, Exit.void)
  }
}
