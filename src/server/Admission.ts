/**
 * Admits the connections of clients: what a `Hello` is answered, who its caller is, and which connections are refused.
 */
import type { Redacted } from "effect"
import { Effect } from "effect"
import type { Authentication, KnownCaller, UnknownCaller } from "../callers/Authentication.ts"
import { needsProof } from "../callers/Authentication.ts"
import type { Unauthenticated, Unavailable } from "../FlareDbError.ts"
import { Overloaded } from "../FlareDbError.ts"
import type { Gate } from "../net/Gate.ts"
import type { ProtocolViolations } from "../net/ProtocolViolations.ts"
import type { Remote } from "../net/tls/Remote.ts"
import type { RaftNode } from "../node/RaftNode.ts"
import type { Welcome } from "../protocol/ClientRpcs.ts"
import { clientProtocols, WrongProtocol } from "../protocol/ClientRpcs.ts"
import type { ProtocolRange } from "../protocol/ProtocolRange.ts"
import { commonVersion, rangeOfHello, rangeText } from "../protocol/ProtocolRange.ts"
import { version } from "../Version.ts"
import type { Callers } from "./Callers.ts"
import { upToDate } from "../node/UpToDate.ts"

/** How callers are found out, and where they are kept. */
export interface CallerAdmission {
  readonly authentication: Authentication
  readonly callers: Callers
  readonly remoteOf: (clientId: number) => Remote
}

export interface AdmissionOptions {
  readonly clusterId: string
  readonly nodeId: number
  readonly node: Pick<RaftNode["Service"], "readBarrier" | "identity">
  readonly gate: Pick<Gate<never>, "admit" | "admits" | "dismiss" | "size">
  readonly violations: ProtocolViolations
  readonly maxClientConnections: number
  /** What the port speaks. Default: what this release speaks. */
  readonly protocols?: ProtocolRange
  /** Absent where callers are not asked who they are, and nothing is written down of them. */
  readonly callers?: CallerAdmission | undefined
}

/** What a `Hello` says. */
export interface HelloRequest {
  readonly protocolVersion: number
  readonly newest?: number
  readonly token?: Redacted.Redacted
}

type HelloError = WrongProtocol | Overloaded | Unauthenticated | Unavailable

/** Where no caller is asked who it is. */
const anybody: KnownCaller = { _tag: "KnownCaller", caller: undefined, bootstrap: false }

export class Admission {
  private readonly options: AdmissionOptions
  private readonly protocols: ProtocolRange

  constructor(options: AdmissionOptions) {
    this.options = options
    this.protocols = options.protocols ?? clientProtocols
  }

  /** Answers the `Hello` of a connection, and admits it. A connection that is admitted already stays so. */
  hello(clientId: number, request: HelloRequest): Effect.Effect<typeof Welcome.Type, HelloError> {
    const { gate } = this.options
    const spoken = rangeOfHello(request)
    const protocol = commonVersion(this.protocols, spoken)
    if (protocol === undefined) return Effect.fail(this.wrongProtocol(clientId, spoken))
    const { callers } = this.options
    if (callers === undefined) return this.admit(clientId, anybody, protocol)
    return Effect.flatMap(this.identify(callers, clientId, request.token), (found): ReturnType<Admission["hello"]> => {
      if (found._tag === "KnownCaller") return this.admit(clientId, found, protocol)
      gate.dismiss(clientId)
      return Effect.fail(callers.callers.unknown(clientId, found))
    })
  }

  private wrongProtocol(clientId: number, spoken: ProtocolRange): WrongProtocol {
    const { gate, violations } = this.options
    const { newest, oldest } = this.protocols
    gate.dismiss(clientId)
    violations.reportCaller(
      "refused-hello",
      clientId,
      `refused a client with protocol ${rangeText(spoken)}; this node speaks ${rangeText(this.protocols)}`
    )
    return new WrongProtocol({
      server: newest,
      client: spoken.oldest,
      release: version,
      ...oldest === newest ? {} : { serverOldest: oldest },
      ...spoken.newest === spoken.oldest ? {} : { clientNewest: spoken.newest }
    })
  }

  private identify(
    { authentication, remoteOf }: CallerAdmission,
    clientId: number,
    token: Redacted.Redacted | undefined
  ): Effect.Effect<KnownCaller | UnknownCaller, Unavailable> {
    const identify = () => authentication.identify({ remote: remoteOf(clientId), token })
    const found = identify()
    if (!needsProof(found)) return Effect.succeed(found)
    // Callers that come meanwhile share one proof.
    return Effect.map(upToDate(this.options.node, "whether the token is valid"), identify)
  }

  private admit(
    clientId: number,
    known: KnownCaller,
    protocol: number
  ): Effect.Effect<typeof Welcome.Type, Overloaded> {
    const { callers, clusterId, gate, maxClientConnections, node, nodeId, violations } = this.options
    if (gate.size >= maxClientConnections && !gate.admits(clientId)) {
      violations.reportCaller(
        "too-many-connections",
        clientId,
        `refused a client: maxClientConnections is at ${gate.size} of ${maxClientConnections}`
      )
      return Effect.fail(
        new Overloaded({ limit: "maxClientConnections", current: gate.size, maximum: maxClientConnections })
      )
    }
    callers?.callers.add(clientId, known)
    gate.admit(clientId)
    return Effect.map(node.identity, (identity) => ({
      clusterId,
      identity: identity ?? null,
      nodeId,
      version,
      name: known.caller?.name ?? null,
      protocol
    }))
  }
}
