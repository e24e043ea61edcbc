/** Which node is at the other end of each inbound connection. */
import type { NodeId } from "../../raft/Types.ts"
import { describeName } from "../../net/tls/CertificateCheck.ts"
import type { Remote } from "../../net/tls/Remote.ts"
import type { IdentitySlot } from "./IdentitySlot.ts"
import type { PeerInstances } from "./PeerInstances.ts"
import type { PeerAddress } from "./PeerLink.ts"
import { PeerRefused, protocolVersion } from "../../protocol/PeerRpcs.ts"

export interface PeerHandshakeOptions {
  readonly clusterId: string
  readonly nodeId: NodeId
  readonly peers: ReadonlyArray<PeerAddress>
}

/** What a node says of itself first on a connection. */
export interface PeerHello {
  readonly clusterId: string
  readonly identity: string | null
  readonly instance?: string
  readonly from: number
  readonly to: number
  readonly protocolVersion: number
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

/** Which node is at the other end of a connection, from its `Hello` until it disconnects. */
export class PeerHandshakes {
  private readonly options: PeerHandshakeOptions
  private readonly own: IdentitySlot
  private readonly instances: PeerInstances
  private readonly known = new Map<number, { readonly peer: NodeId; readonly identity: string | null }>()

  constructor(options: PeerHandshakeOptions, own: IdentitySlot, instances: PeerInstances) {
    this.options = options
    this.own = own
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
    if (hello.protocolVersion !== protocolVersion) {
      return refuse("protocol-version", protocolVersion, hello.protocolVersion)
    }
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
    this.known.set(clientId, { peer: peer.id, identity: hello.identity })
    if (hello.instance !== undefined) this.instances.hello(clientId, peer.id, { name: hello.instance, remote: address })
    return undefined
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
