/** What takes that which arrives at a node of a network in memory: messages and snapshots, each one at a time. */
import { Effect } from "effect"
import type { PeerTransport } from "../PeerTransport.ts"

type Service = PeerTransport["Service"]

export interface Receivers {
  /** Takes batches of messages, once the node is ready for them. */
  receiver: Parameters<Service["receive"]>[0] | undefined
  /** Takes snapshots, once the node is ready for them. */
  acceptor: Parameters<Service["takeSnapshots"]>[0] | undefined
}

/** The calls of a transport that set both, until their scope closes. `end` follows the last snapshot. */
export const registration = (
  receivers: Receivers,
  end: Effect.Effect<unknown> = Effect.void
): Pick<Service, "receive" | "takeSnapshots"> => ({
  receive: (receiver) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        receivers.receiver = receiver
      }),
      () =>
        Effect.sync(() => {
          receivers.receiver = undefined
        })
    ),
  takeSnapshots: (acceptor) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        receivers.acceptor = acceptor
      }),
      () =>
        Effect.suspend(() => {
          receivers.acceptor = undefined
          return end
        })
    )
})
