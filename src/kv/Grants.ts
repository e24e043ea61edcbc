/**
 * What clients of the key-value store get that outlives their connections: sessions and leases. The client port counts
 * them by it.
 */
import { Context } from "effect"

export type GrantKind = "session" | "lease"

export class Grants extends Context.Service<Grants, {
  /** Whether there is a session or a lease of this id, as far as this node has applied its log. */
  readonly isAlive: (kind: GrantKind, id: number) => boolean
  /** A number that changes whenever one of them ends. */
  readonly ended: (kind: GrantKind) => number
}>()("flaredb/kv/Grants") {}
