/** What a node says about itself at `/metrics`, as far as a measurement needs it. */
import { Effect, Redacted } from "effect"
import { getText } from "../../http/GetText.ts"
import type { IdentityFiles } from "../input/IdentityFlags.ts"
import { identityOptions } from "../input/IdentityFlags.ts"
import type { Usage } from "./Resources.ts"

export interface NodeCounters {
  /** Syncs of its log to the disk. */
  readonly syncs: number
  /** Its applied index: how many commands were committed. */
  readonly applied: number
  /** Rounds that its linearizable reads waited for. */
  readonly readRounds: number
  readonly leads: boolean
  /** What its process says that it has used: nodes of other machines have no process to look at. */
  readonly usage: Usage
}

/** The value of a metric, of all its series together; 0 while it was never set. */
const valueOf = (page: string, name: string): number =>
  [...page.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, "gm"))].reduce(
    (sum, [, value]) => sum + Number(value),
    0
  )

export const parseCounters = (page: string): NodeCounters => ({
  syncs: valueOf(page, "flaredb_storage_syncs_total"),
  applied: valueOf(page, "flaredb_raft_applied_index"),
  readRounds: valueOf(page, "flaredb_node_read_rounds_total"),
  leads: valueOf(page, "flaredb_raft_is_leader") === 1,
  usage: {
    cpuMs: valueOf(page, "flaredb_process_cpu_seconds_total") * 1000,
    rssMiB: valueOf(page, "flaredb_process_resident_memory_bytes") / 2 ** 20
  }
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
