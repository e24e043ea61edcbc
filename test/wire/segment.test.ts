/**
 * What a segment of the log holds is read by later versions. `npm run golden` rewrites the file; bytes that read otherwise
 * need another format of segments, and of the directories that have them.
 */
import { assert, it } from "@effect/vitest"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { encodeEntries } from "../../src/protocol/EntryRecord.ts"
import type { Entry } from "../../src/raft/Types.ts"
import { LogIndex, Term } from "../../src/raft/Types.ts"
import { decodeHeader, encodeHeader, segmentFile } from "../../src/storage/segments/SegmentFormat.ts"

const sequence = 258
const base = { index: LogIndex(2 ** 33 + 1), term: Term(3) }

const entry: Entry = {
  index: LogIndex(base.index + 1),
  term: Term(4),
  kind: "command",
  timestampMs: 1_700_000_000_123,
  payload: Uint8Array.of(0, 1, 2, 255)
}
const noop: Entry = { ...entry, kind: "noop", index: LogIndex(base.index + 2), payload: new Uint8Array() }

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

it("the bytes of a segment are those that are written down", () => {
  const parts = {
    file: segmentFile(sequence),
    header: hex(encodeHeader(sequence, base)),
    entry: hex(encodeEntries([entry])),
    noop: hex(encodeEntries([noop]))
  }
  const rendered = `${JSON.stringify(parts, undefined, 2)}\n`
  const golden = new URL("./segment.golden.json", import.meta.url)
  if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(golden, rendered)
  assert.isTrue(existsSync(golden), "npm run golden writes it")
  assert.strictEqual(rendered, readFileSync(golden, "utf8"))
  assert.deepStrictEqual(decodeHeader(Buffer.from(parts.header, "hex"), sequence), base)
})
