/** How the loss of one connection to a node is reported to its user. */
import { Cause, Effect } from "effect"
import { describeFailure, isRefusedConnection, tlsRefusalOf } from "../../net/CallFailure.ts"
import { ConnectionLost } from "./Connection.ts"
import type { Endpoint } from "./Endpoint.ts"
import { formatEndpoint } from "./Endpoint.ts"

export class Losses {
  private readonly endpoint: string

  constructor(endpoint: Endpoint) {
    this.endpoint = formatEndpoint(endpoint)
  }

  /** `sent` says whether the node may have received the call; `refused`, whether the system refused the connection. */
  lost(reason: string, sent: boolean, refused = false): ConnectionLost {
    return new ConnectionLost({ endpoint: this.endpoint, reason, sent, refused })
  }

  /**
   * The loss behind a cause. An interruption comes from a node that stops or from another user of the connection, and
   * must not interrupt the caller.
   */
  of(cause: Cause.Cause<unknown>, sent: boolean, interrupted = "the connection was closed"): ConnectionLost {
    return Cause.hasInterruptsOnly(cause)
      ? this.lost(interrupted, sent)
      : new ConnectionLost({
        endpoint: this.endpoint,
        reason: describeFailure(cause),
        sent,
        refused: isRefusedConnection(cause),
        tls: tlsRefusalOf(cause)
      })
  }

  /** Fails with the loss behind a cause, and passes an interruption on. */
  failWith(sent: boolean): (cause: Cause.Cause<unknown>) => Effect.Effect<never, ConnectionLost> {
    return (cause) => Cause.hasInterruptsOnly(cause) ? Effect.interrupt : Effect.fail(this.of(cause, sent))
  }
}
