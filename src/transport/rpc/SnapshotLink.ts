/**
 * The stream of one snapshot to one peer: a connection that carries nothing else, so that its megabytes delay no
 * heartbeat and its receiver's pace holds up nothing but its sender. It lives as long as its scope; a snapshot that
 * failed is sent again from the beginning on a new one.
 */
import { Effect } from "effect"
import type { Cause, Scope } from "effect"
import { describeFailure } from "../../net/CallFailure.ts"
import { within } from "../../net/Deadline.ts"
import { connect } from "../../net/TcpClient.ts"
import type { DialTls } from "../../net/tls/Credentials.ts"
import { peerProtocol } from "../../net/tls/TlsProtocol.ts"
import type { LearnedIdentity } from "./LearnedIdentity.ts"
import type { OwnBuild } from "./OwnBuild.ts"
import type { PeerAddress } from "./PeerLink.ts"
import { PeerRpcs } from "../../protocol/PeerRpcs.ts"
import type { SnapshotRequest, SnapshotStream } from "../PeerTransport.ts"
import { SnapshotLost } from "../PeerTransport.ts"
import { SnapshotRefused } from "../../protocol/SnapshotRefused.ts"

export interface SnapshotLinkOptions {
  readonly clusterId: string
  readonly identity: LearnedIdentity
  readonly build: OwnBuild
  /** The name of this process. */
  readonly instance: string
  readonly peer: PeerAddress
  readonly tls: DialTls | undefined
  /** Milliseconds without an answer after which the transfer is given up. */
  readonly timeoutMs: number
}

type Failure = SnapshotRefused | SnapshotLost

/** What a call may fail with, made one of the two that the sender tells apart. */
const failure = (cause: Cause.Cause<unknown>): Failure => {
  for (const reason of cause.reasons) {
    if (reason._tag === "Fail" && (reason.error instanceof SnapshotRefused || reason.error instanceof SnapshotLost)) {
      return reason.error
    }
  }
  return new SnapshotLost({ reason: describeFailure(cause) })
}

/** Connects to the peer and asks it to take the snapshot. */
export const open = Effect.fnUntraced(function*(
  request: SnapshotRequest,
  options: SnapshotLinkOptions
): Effect.fn.Return<SnapshotStream<Failure>, Failure, Scope.Scope> {
  const { build, clusterId, identity, instance, peer, timeoutMs, tls } = options
  const address = { host: peer.host, port: peer.port, openTimeoutMs: 1_000, tls, protocol: peerProtocol }
  const call = <A, E>(work: Effect.Effect<A, E>): Effect.Effect<A, Failure> =>
    work.pipe(
      within(timeoutMs, () => new SnapshotLost({ reason: `no answer within ${timeoutMs} ms` })),
      Effect.catchCause((cause) => Effect.fail(failure(cause)))
    )
  const client = yield* connect(PeerRpcs, address).pipe(
    Effect.catchCause((cause) => Effect.fail(failure(cause)))
  )
  const { estimatedBytes, from, point, term, to } = request
  yield* call(client["peer.Hello"]({ clusterId, identity: identity.wire, instance, from, to, ...build.wire }))
  yield* call(client["peer.OfferSnapshot"]({ term, point, estimatedBytes }))
  return { write: (chunk) => call(Effect.suspend(() => client["peer.SnapshotChunk"]({ chunk }))) }
})
