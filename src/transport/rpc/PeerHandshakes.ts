/** Which node is at the other end of each inbound connection. */
import type { NodeId } from "../../raft/Types.ts"
import { describeName } from "../../net/tls/CertificateCheck.ts"
import type { Remote } from "../../net/tls/Remote.ts"
import { baselineLevel, isLevel, neededRelease } from "../../protocol/FeatureLevel.ts"
import { commonVersion, rangeOfHello, rangeText } from "../../protocol/ProtocolRange.ts"
import type { PeerProcess } from "../PeerTransport.ts"
import type { LearnedIdentity } from "./LearnedIdentity.ts"
import type { BuildHello, OwnBuild } from "./OwnBuild.ts"
import type { PeerInstances } from "./PeerInstances.ts"
import type { PeerAddress } from "./PeerLink.ts"
import { PeerRefused } from "../../protocol/PeerRpcs.ts"

export interface PeerHandshakeOptions {
  readonly clusterId: string
  readonly nodeId: NodeId
  readonly peers: ReadonlyArray<PeerAddress>
}

/** What a node says of itself first on a connection. */
export interface PeerHello extends BuildHello {
  readonly clusterId: string
  readonly identity: string | null
  readonly instance?: string
  readonly from: number
  readonly to: number
}

/** Where a `Hello` comes from. */
export interface PeerCaller {
  /** `host:port`. */
  readonly address: string
  readonly remote: Remote
}

/** What a certificate says against a `Hello`, in words; `undefined` when it says nothing against it. */
const certificateProblem = (remote: Remote, from: number): string | undefined => {
  if (remote._tag === "Plain") return undefined
  if (remote._tag === "Anonymous") return "no certificate"
  return remote.name.kind === "node" && remote.name.node === from
    ? undefined
    : `the certificate of ${describeName(remote.name)}`
}

/** One connection whose `Hello` was accepted. */
interface KnownPeer extends PeerProcess {
  readonly peer: NodeId
  readonly identity: string | null
}

/** The release of a process, and what it knows, in words. */
const processText = ({ release }: BuildHello, what: string): string =>
  `${what}${release === undefined ? "" : `, which is flaredb ${release}`}`

/** Which node is at the other end of a connection, from its `Hello` until it disconnects. */
export class PeerHandshakes {
  private readonly options: PeerHandshakeOptions
  private readonly own: LearnedIdentity
  private readonly instances: PeerInstances
  private readonly build: OwnBuild
  private readonly known = new Map<number, KnownPeer>()

  constructor(options: PeerHandshakeOptions, own: LearnedIdentity, build: OwnBuild, instances: PeerInstances) {
    this.options = options
    this.own = own
    this.build = build
    this.instances = instances
  }

  hello(
    clientId: number,
    { address, remote }: PeerCaller,
    hello: PeerHello
  ): PeerRefused | undefined {
    const { clusterId, nodeId, peers } = this.options
    const { identity } = this.own
    const refuse = (reason: PeerRefused["reason"], expected: unknown, found: unknown) =>
      new PeerRefused({ reason, expected: String(expected), found: String(found) })
    const protocol = commonVersion(this.build.protocols, rangeOfHello(hello))
    if (protocol === undefined) {
      return refuse(
        "protocol-version",
        rangeText(this.build.protocols),
        processText(hello, rangeText(rangeOfHello(hello)))
      )
    }
    const tooOld = this.levelProblem(hello)
    if (tooOld !== undefined) return refuse("protocol-version", ...tooOld)
    if (hello.clusterId !== clusterId) return refuse("cluster-id", clusterId, hello.clusterId)
    if (identity !== undefined && hello.identity !== null && hello.identity !== identity) {
      this.forget(clientId)
      return refuse("cluster-identity", `cluster identity ${identity}`, hello.identity)
    }
    if (hello.to !== nodeId) return refuse("node-id", `node ${nodeId}`, `node ${hello.to}`)
    const peer = peers.find(({ id }) => id === hello.from)
    if (peer === undefined) {
      return refuse("unknown-peer", `one of nodes ${peers.map(({ id }) => id).join(", ")}`, `node ${hello.from}`)
    }
    const shown = certificateProblem(remote, peer.id)
    if (shown !== undefined) return refuse("certificate", `the certificate of node ${peer.id}`, shown)
    if (this.sender(clientId) !== peer.id) this.forget(clientId)
    const { level = baselineLevel, release } = hello
    this.known.set(clientId, { peer: peer.id, identity: hello.identity, release, level, protocol })
    if (hello.instance !== undefined) this.instances.hello(clientId, peer.id, { name: hello.instance, remote: address })
    return undefined
  }

  /** Which of the two sides does not know the feature level of the other's cluster: expected and found. */
  private levelProblem(hello: PeerHello): readonly [expected: string, found: string] | undefined {
    const { known, required } = this.build
    const { level = baselineLevel } = hello
    if (!isLevel(level)) return ["a feature level", String(level)]
    if (required !== undefined && level < required.level) {
      return [neededRelease(required), processText(hello, `feature level ${level}`)]
    }
    return hello.required === undefined || hello.required.level <= known.level
      ? undefined
      : [
        `feature level ${known.level} or less, which this node knows: it is flaredb ${this.build.release}`,
        `a node of a cluster with ${neededRelease(hello.required)}`
      ]
  }

  /** The processes that are connected. Of several that speak for one node, the one that knows least counts. */
  processes(): ReadonlyMap<NodeId, PeerProcess> {
    const found = new Map<NodeId, PeerProcess>()
    for (const { level, peer, protocol, release } of this.known.values()) {
      const other = found.get(peer)
      if (other === undefined || level < other.level) found.set(peer, { release, level, protocol })
    }
    return found
  }

  sender(clientId: number): NodeId | undefined {
    return this.known.get(clientId)?.peer
  }

  /**
   * Forgets the nodes of other clusters, and names their connections. They have to say `Hello` again, which is refused.
   */
  identified(identity: string): ReadonlyArray<number> {
    const others = [...this.known].filter(([, hello]) => hello.identity !== null && hello.identity !== identity)
    for (const [clientId] of others) this.forget(clientId)
    return others.map(([clientId]) => clientId)
  }

  forget(clientId: number): void {
    const hello = this.known.get(clientId)
    if (hello === undefined) return
    this.known.delete(clientId)
    this.instances.forget(clientId, hello.peer)
  }
}
