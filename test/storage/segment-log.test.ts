/** A log in segments: their files, what it reads, and what it misses. */
import { assert, describe } from "@effect/vitest"
import { cpSync, existsSync, renameSync, statSync, truncateSync } from "node:fs"
import { CodecError } from "../../src/bytes/CodecError.ts"
import { LogIndex, origin } from "../../src/raft/Types.ts"
import { segmentFile } from "../../src/storage/segments/SegmentFormat.ts"
import { sampleEntries, sampleEntry } from "../../src/testing/LogStoreSuite.ts"
import { segmentsIn } from "./LogFormats.ts"
import {
  changeSegment,
  findEntries,
  inFolder,
  openSegments,
  pointAt,
  readSegments,
  segmentBytes,
  segmentPath,
  textsOf
} from "./Segments.ts"

describe("a log in segments", () => {
  inFolder("gives back the length that it did not use, and the file that it did not need", async (folder) => {
    const log = await openSegments(folder)
    await log.append(sampleEntries(1, 3, 1))
    assert.strictEqual(statSync(segmentPath(folder, 1)).size, 65_536)
    await log.close()
    assert.deepStrictEqual(segmentsIn(folder), [segmentFile(1)])
    const { byteLength } = segmentBytes(1, origin, sampleEntries(1, 3, 1))
    assert.strictEqual(statSync(segmentPath(folder, 1)).size, byteLength)
  })

  inFolder("makes no file while nothing is written, however often it starts", async (folder) => {
    for (let start = 0; start < 3; start++) await (await openSegments(folder)).close()
    assert.deepStrictEqual(segmentsIn(folder), [])
    const log = await openSegments(folder)
    await log.append(sampleEntries(1, 3, 1))
    await log.close()
    for (let start = 0; start < 3; start++) await (await openSegments(folder)).close()
    assert.deepStrictEqual(segmentsIn(folder), [segmentFile(1)])
  })

  inFolder("has an entry that is larger than a segment in one of its own", async (folder) => {
    const large = sampleEntry(3, 1, "x".repeat(5_000))
    const entries = [...sampleEntries(1, 2, 1), large, ...sampleEntries(4, 5, 1)]
    const log = await openSegments(folder, { segmentBytes: 300 })
    await log.append(entries)
    assert.deepStrictEqual(textsOf(await readSegments(log, 1, 9)), textsOf(entries))
    await log.close()
    assert.deepStrictEqual(textsOf((await findEntries(folder)).entries), textsOf(entries))
    assert.isAbove(statSync(segmentPath(folder, 2)).size, 5_000)
    assert.isAtMost(statSync(segmentPath(folder, 1)).size, 300)
    assert.isAtMost(statSync(segmentPath(folder, 3)).size, 300)
  })

  inFolder("says what is wrong with an entry that is read", async (folder) => {
    const log = await openSegments(folder)
    await log.append(sampleEntries(1, 5, 1))
    const { byteLength } = segmentBytes(1, origin, sampleEntries(1, 4, 1))
    changeSegment(folder, 1, (bytes) => void (bytes[byteLength - 1] = 7))
    const error = await log.read(LogIndex(1), LogIndex(5), 1e9)
    assert.match(error instanceof CodecError ? error.message : "none", /entry 4: checksum/)
    assert.lengthOf(await readSegments(log, 1, 3), 3)
    truncateSync(segmentPath(folder, 1), 200)
    const cutOff = await log.read(LogIndex(1), LogIndex(5), 1e9)
    assert.match(cutOff instanceof CodecError ? cutOff.message : "none", /entry 3: checksum/)
    await log.close()
  })

  inFolder("removes files only for a compaction that leaves nothing in them", async (folder) => {
    const log = await openSegments(folder, { segmentBytes: 200 })
    for (let index = 1; index <= 12; index++) await log.append([sampleEntry(index, 1)])
    for (let index = 1; index <= 12; index++) {
      await log.removeThrough(LogIndex(index))
      assert.deepStrictEqual(textsOf(await readSegments(log, index + 1, 20)), textsOf(sampleEntries(index + 1, 12, 1)))
      const { entries } = await findEntries(folder, pointAt(index, 1))
      assert.deepStrictEqual(textsOf(entries), textsOf(sampleEntries(index + 1, 12, 1)))
    }
    assert.isFalse(existsSync(segmentPath(folder, 1)))
    assert.isAtMost(segmentsIn(folder).length, 2)
    await log.close()
  })

  inFolder(
    "misses a segment that is gone, and one in whose place is a copy, however many there are",
    async (folder) => {
      const log = await openSegments(folder, { segmentBytes: 100 })
      for (let index = 1; index <= 200; index++) await log.append([sampleEntry(index, 1)])
      const names = segmentsIn(folder)
      assert.isAbove(names.length, 130)
      /** Within four looks, each of which takes one second in a node. */
      const missing = () => [1, 2, 3, 4].map(() => log.missing()).find((name) => name !== undefined)
      assert.isUndefined(missing())
      for (const sequence of [1, 70, 140]) {
        const path = segmentPath(folder, sequence)
        const [copy, away] = [`${path}.copy`, `${path}.away`]
        cpSync(path, copy)
        renameSync(path, away)
        assert.strictEqual(log.missing(), segmentFile(sequence))
        renameSync(copy, path)
        assert.strictEqual(missing(), segmentFile(sequence))
        renameSync(away, path)
        assert.isUndefined(missing())
      }
      await log.close()
      // What a start has found is compared, too.
      const again = await openSegments(folder, { segmentBytes: 100 })
      cpSync(segmentPath(folder, 3), `${segmentPath(folder, 3)}.copy`)
      renameSync(`${segmentPath(folder, 3)}.copy`, segmentPath(folder, 3))
      assert.strictEqual(again.missing(), segmentFile(3))
      await again.close()
    }
  )
})
