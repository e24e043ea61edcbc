/** What a node says about itself at `/metrics`, as far as a measurement needs it. */
import { Effect, Redacted } from "effect"
import { getText } from "../../http/GetText.ts"
import type { IdentityFiles } from "../input/IdentityFlags.ts"
import { identityOptions } from "../input/IdentityFlags.ts"

export interface NodeCounters {
  /** Syncs of its log to the disk. */
  readonly syncs: number
  /** Its applied index: how many commands were committed. */
  readonly applied: number
  /** Rounds that its linearizable reads waited for. */
  readonly readRounds: number
  readonly leads: boolean
}

/** The value of a metric, 0 while it was never set. */
const valueOf = (page: string, name: string): number => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(page)?.[1] ?? 0)

export const parseCounters = (page: string): NodeCounters => ({
  syncs: valueOf(page, "flaredb_storage_syncs_total"),
  applied: valueOf(page, "flaredb_raft_applied_index"),
  readRounds: valueOf(page, "flaredb_node_read_rounds_total"),
  leads: valueOf(page, "flaredb_raft_is_leader") === 1
})

/** Asks the node with this HTTP address. */
export const countersOf = (address: string, files: IdentityFiles): Effect.Effect<NodeCounters, Error> =>
  Effect.gen(function*() {
    const { tls, token } = yield* identityOptions(files)
    const shown = token === undefined || Redacted.isRedacted(token) ? token : yield* token
    return parseCounters(yield* getText({ address, path: "/metrics", tls, token: shown }))
  }).pipe(
    Effect.scoped,
    Effect.mapError(({ message }) => new Error(`the HTTP port ${address} does not answer: ${message}`))
  )
