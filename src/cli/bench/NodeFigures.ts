/** What a node says about itself at `/metrics`, as far as a measurement needs it. */
import { Effect } from "effect"

export interface NodeFigures {
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

export const parseFigures = (page: string): NodeFigures => ({
  syncs: valueOf(page, "flaredb_storage_syncs_total"),
  applied: valueOf(page, "flaredb_raft_applied_index"),
  readRounds: valueOf(page, "flaredb_node_read_rounds_total"),
  leads: valueOf(page, "flaredb_raft_is_leader") === 1
})

/** `fetch` says only that it failed; what it was is in the cause. */
const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message : error.message
}

/** Asks the node with this HTTP address. */
export const figuresOf = (address: string): Effect.Effect<NodeFigures, Error> =>
  Effect.tryPromise({
    try: async () => parseFigures(await (await fetch(`http://${address}/metrics`)).text()),
    catch: (cause) => new Error(`the HTTP port ${address} does not answer: ${reasonOf(cause)}`)
  })
