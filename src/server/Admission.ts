/** Admits the connections of clients: what a `Hello` is answered, and which connections are refused. */
import { Effect } from "effect"
import { Overloaded } from "../FlareDbError.ts"
import type { Gate } from "../net/Gate.ts"
import type { Offences } from "../net/Offences.ts"
import type { RaftNode } from "../node/RaftNode.ts"
import type { Welcome } from "../protocol/ClientRpcs.ts"
import { clientProtocolVersion, WrongProtocol } from "../protocol/ClientRpcs.ts"
import { version } from "../Version.ts"

export interface AdmissionOptions {
  readonly clusterId: string
  readonly nodeId: number
  readonly node: Pick<RaftNode["Service"], "identity">
  readonly gate: Pick<Gate<never>, "admit" | "admits" | "dismiss" | "size">
  readonly offences: Offences
  readonly maxClientConnections: number
}

export class Admission {
  private readonly options: AdmissionOptions

  constructor(options: AdmissionOptions) {
    this.options = options
  }

  /** Answers the `Hello` of a connection, and admits it. A connection that is admitted already stays so. */
  hello(clientId: number, protocolVersion: number): Effect.Effect<typeof Welcome.Type, WrongProtocol | Overloaded> {
    const { clusterId, gate, maxClientConnections, node, nodeId, offences } = this.options
    if (protocolVersion !== clientProtocolVersion) {
      gate.dismiss(clientId)
      offences.reportCaller(
        "refused-hello",
        clientId,
        `refused a client with protocol ${protocolVersion}; this node speaks ${clientProtocolVersion}`
      )
      return Effect.fail(new WrongProtocol({ server: clientProtocolVersion, client: protocolVersion }))
    }
    if (gate.size >= maxClientConnections && !gate.admits(clientId)) {
      offences.reportCaller(
        "too-many-connections",
        clientId,
        `refused a client: maxClientConnections is at ${gate.size} of ${maxClientConnections}`
      )
      return Effect.fail(
        new Overloaded({ limit: "maxClientConnections", current: gate.size, maximum: maxClientConnections })
      )
    }
    gate.admit(clientId)
    return Effect.map(node.identity, (identity) => ({ clusterId, identity: identity ?? null, nodeId, version }))
  }
}
