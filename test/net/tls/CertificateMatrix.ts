/**
 * Who gets in with which certificate, and what both sides read otherwise: one table for every kind of port. Each row is
 * something that connects to a port of node 2 of the cluster "orders", and something that answers where node 1 dials it.
 */
import type { ConnectionOptions } from "node:tls"
import type { KeyMaterial } from "../../../src/net/tls/Credentials.ts"
import type { TlsRefusalReason } from "../../../src/net/tls/TlsRefusal.ts"
import { clientOf, nodeOf, TestAuthority } from "./TestCertificates.ts"

/** The sentence says all of it. */
export interface Refused {
  readonly reason: TlsRefusalReason
  readonly says: ReadonlyArray<string>
}

/** Let in with a name, or without one, or refused. */
export type Verdict =
  | { readonly in: "node 1" | "node 3" | "client alice" | "anonymous" }
  | Refused

/** What a row shows. */
export interface MatrixRow {
  readonly name: string
  /** What connects with it shows, and holds against the node. */
  readonly material: KeyMaterial
  /** What it changes in the handshake of a connection that speaks no protocol of this version. */
  readonly raw?: ConnectionOptions
  /** At the peer port, where it says it is node 1. */
  readonly peer: Verdict
  /** At the client port, where a certificate is optional. */
  readonly client: Verdict
  /** At the HTTP port, where it is other than at the client port. */
  readonly http?: Verdict
  /** Where node 1 dials it as node 2; absent for what cannot answer. */
  readonly dialled?: { readonly material: KeyMaterial; readonly verdict: { readonly in: "node 2" } | Refused }
}

export const authority = new TestAuthority("orders authority")
export const otherAuthority = new TestAuthority("other authority")

/** What the node of the table shows. */
export const nodeMaterial = authority.material(nodeOf(2))

const refused = (reason: TlsRefusalReason, ...says: ReadonlyArray<string>): Refused => ({ reason, says })

/** Certificates with which nobody gets in anywhere, whatever else they say. */
const everywhere = (verdict: Refused): Pick<MatrixRow, "peer" | "client"> => ({ peer: verdict, client: verdict })

const expired = { fromDays: -30, toDays: -2 }
const early = { fromDays: 3, toDays: 30 }
const dateOf = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10)

/** A name that, printed without care, would read as two: this one, and that of node 1. */
const quoted = ["flaredb://orders/client/eve, URI:flaredb://orders/node/1"]

const noTls13 = refused("tls-version", "TLS 1.3")
const noName = refused("wrong-protocol", "does not speak flaredb-")

export const matrix: ReadonlyArray<MatrixRow> = [
  {
    name: "a node's",
    material: authority.material(nodeOf(1)),
    peer: { in: "node 1" },
    client: { in: "node 1" },
    dialled: { material: authority.material(nodeOf(2)), verdict: { in: "node 2" } }
  },
  {
    name: "a client's",
    material: authority.material(clientOf("alice")),
    peer: refused("wrong-kind", "client alice", "not a node's", "flaredb cert node"),
    client: { in: "client alice" },
    dialled: {
      material: authority.material({ ...clientOf("alice"), dns: ["localhost"], ips: ["127.0.0.1"] }),
      verdict: refused("wrong-kind", "client alice", "not a node's", "flaredb cert node")
    }
  },
  {
    name: "none",
    material: authority.material(undefined),
    peer: refused("no-certificate", "no certificate was shown", "flaredb cert"),
    client: { in: "anonymous" }
  },
  {
    name: "of another authority",
    material: otherAuthority.material(nodeOf(1), [authority]),
    ...everywhere(refused("unknown-authority", "node 1", "other authority", "ca.crt")),
    dialled: {
      material: otherAuthority.material(nodeOf(2), [authority]),
      verdict: refused("unknown-authority", "node 2", "other authority", "ca.crt")
    }
  },
  {
    name: "expired",
    material: authority.material({ ...nodeOf(1), ...expired }),
    ...everywhere(refused("expired", "node 1", `expired on ${dateOf(-2)}`, "renew it with flaredb cert node 1")),
    dialled: {
      material: authority.material({ ...nodeOf(2), ...expired }),
      verdict: refused("expired", "node 2", `expired on ${dateOf(-2)}`, "renew it with flaredb cert node 2")
    }
  },
  {
    name: "not yet valid",
    material: authority.material({ ...nodeOf(1), ...early }),
    ...everywhere(refused("not-yet-valid", "node 1", `not valid before ${dateOf(3)}`, "clocks")),
    dialled: {
      material: authority.material({ ...nodeOf(2), ...early }),
      verdict: refused("not-yet-valid", "node 2", `not valid before ${dateOf(3)}`, "clocks")
    }
  },
  {
    name: "of another node",
    material: authority.material(nodeOf(3)),
    peer: refused("wrong-node", "the certificate of node 1", "the certificate of node 3", "flaredb cert node"),
    client: { in: "node 3" },
    dialled: {
      material: authority.material(nodeOf(3)),
      verdict: refused("wrong-node", "node 3", "where node 2 is wanted")
    }
  },
  {
    name: "of another cluster",
    material: authority.material(nodeOf(1, "payments")),
    ...everywhere(refused("wrong-cluster", "node 1", "payments", "orders")),
    dialled: {
      material: authority.material(nodeOf(2, "payments")),
      verdict: refused("wrong-cluster", "node 2", "payments", "orders")
    }
  },
  {
    name: "with a quoted name",
    material: authority.material({ uris: quoted, subject: "eve" }),
    ...everywhere(refused("no-name", "CN=eve", "characters", "flaredb cert")),
    dialled: {
      material: authority.material({ ...nodeOf(2), uris: quoted, subject: "eve" }),
      verdict: refused("no-name", "CN=eve", "characters", "flaredb cert")
    }
  },
  {
    name: "with two names",
    material: authority.material({ uris: ["flaredb://orders/node/1", "flaredb://orders/client/eve"], subject: "eve" }),
    ...everywhere(refused("no-name", "CN=eve", "several", "flaredb cert")),
    dialled: {
      material: authority.material({
        ...nodeOf(2),
        uris: ["flaredb://orders/node/2", "flaredb://orders/node/1"],
        subject: "eve"
      }),
      verdict: refused("no-name", "CN=eve", "several", "flaredb cert")
    }
  },
  {
    name: "without a name",
    material: authority.material({ dns: ["flaredb://orders/node/1"], subject: "eve" }),
    ...everywhere(refused("no-name", "CN=eve", "no flaredb:// name", "flaredb cert")),
    dialled: {
      material: authority.material({ ...nodeOf(2), uris: [], subject: "eve" }),
      verdict: refused("no-name", "CN=eve", "no flaredb:// name", "flaredb cert")
    }
  },
  {
    name: "for another host",
    material: authority.material({ ...nodeOf(1), dns: ["elsewhere.example"], ips: [] }),
    // Where a caller comes from is nothing that its certificate could say.
    peer: { in: "node 1" },
    client: { in: "node 1" },
    dialled: {
      material: authority.material({ ...nodeOf(2), dns: ["elsewhere.example"], ips: [] }),
      verdict: refused("wrong-host", "node 2", "127.0.0.1", "elsewhere.example", "--host")
    }
  },
  {
    name: "a node's, over TLS 1.2",
    material: authority.material(nodeOf(1)),
    raw: { maxVersion: "TLSv1.2" },
    ...everywhere(noTls13)
  },
  {
    name: "a node's, without a name of the protocol (ALPN)",
    material: authority.material(nodeOf(1)),
    raw: {},
    ...everywhere(noName),
    // Many programs that speak HTTP leave it out.
    http: { in: "node 1" }
  }
]
