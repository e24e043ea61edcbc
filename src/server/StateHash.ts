/** The hash of a whole state, and what its rows say about it. */
import { Effect } from "effect"
import type { HashStep } from "../protocol/StateRpcs.ts"
import { maxChunkBytes, SnapshotEncoder } from "../protocol/SnapshotChunk.ts"
import { factsOf } from "../machine/StateFacts.ts"
import type { NodeExport } from "../node/RaftNode.ts"

/** Rows hashed between two reports of how far it is, in bytes. */
const reportBytes = 8 * 1024 * 1024

/** What the state says about itself, with the rows that were read to know it. */
export const beginExport = Effect.fnUntraced(function*(exported: NodeExport) {
  const rows = yield* exported.next(maxChunkBytes)
  return { rows, facts: factsOf(rows) }
})

/** Goes through a state, a part at a time, so that everything else goes on beside it. */
export const hashState = Effect.fnUntraced(function*(
  nodeId: number,
  exported: NodeExport,
  report: (step: HashStep) => void
) {
  const { estimatedBytes, point } = exported
  const encoder = new SnapshotEncoder()
  const { facts, rows: first } = yield* beginExport(exported)
  let rows = first
  let reported = 0
  while (rows.length > 0) {
    for (const row of rows) encoder.add(row)
    if (encoder.encodedBytes - reported >= reportBytes) {
      reported = encoder.encodedBytes
      report({ _tag: "Hashing", bytes: reported, estimatedBytes })
    }
    rows = yield* exported.next(maxChunkBytes)
  }
  const { bytes, digest, rows: count } = encoder.end().totals
  return {
    _tag: "Hashed",
    nodeId,
    index: point.index,
    term: point.term,
    revision: facts.revision,
    rows: count,
    bytes,
    digest
  } satisfies HashStep
})
