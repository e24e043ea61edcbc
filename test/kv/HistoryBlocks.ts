/** Blocks of history made and read as a whole. */
import { assert } from "@effect/vitest"
import type { Revision } from "../../src/kv/model/History.ts"
import { HistoryBlock, revisionBytes } from "../../src/kv/model/HistoryBlock.ts"
import { firstRevisionOf } from "../../src/kv/model/Keyspace.ts"
import type { StoredRow } from "../../src/kv/model/Loading.ts"

/** One block of revisions, whether it has room for all of them or not. */
export const blockOf = (revisions: ReadonlyArray<Revision>, bytesBefore = 0): HistoryBlock => {
  const [first] = revisions
  assert(first !== undefined)
  const block = HistoryBlock.begin(first.revision, bytesBefore, revisionBytes(first))
  for (const revision of revisions) block.append(revision, revisionBytes(revision))
  return block
}

/** The block of a row. */
export const decodeBlock = ({ key, value }: StoredRow): HistoryBlock =>
  HistoryBlock.decode(firstRevisionOf(key), value) ?? assert.fail("no block of history")

/** Every revision of a block. */
export const revisionsOf = (block: HistoryBlock): ReadonlyArray<Revision> =>
  Array.from(
    { length: block.last - block.first + 1 },
    (_, i) => block.revision(block.first + i) ?? assert.fail(`revision ${block.first + i} is malformed`)
  )
