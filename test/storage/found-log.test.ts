/** What a start makes of segments that are missing, cut, torn, changed, or back again. */
import { assert, describe } from "@effect/vitest"
import { rmSync } from "node:fs"
import { crc32 } from "node:zlib"
import type { Entry, LogPoint } from "../../src/raft/Types.ts"
import { origin } from "../../src/raft/Types.ts"
import { findLog } from "../../src/storage/segments/FoundLog.ts"
import { decodeHeader, headerBytes, segmentFile, sequenceOf } from "../../src/storage/segments/SegmentFormat.ts"
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
  textsOf,
  writeSegment
} from "./Segments.ts"

const found = (folder: string, compacted: LogPoint = origin, resetting = false) =>
  findLog(folder, { compacted, resetting }, 65_536)

const problemIn = async (folder: string, compacted: LogPoint = origin): Promise<string> =>
  (await found(folder, compacted)).check.problem ?? "none"

/** Every subset of some things. */
const subsets = <A>(things: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: 2 ** things.length }, (_, bits) => things.filter((_, i) => (bits >> i) % 2 === 1))

describe("a log without entries", () => {
  inFolder("has no file", async (folder) => {
    const { check, leftovers, nextSequence, segments, unfinishedBytes } = await found(folder)
    assert.deepStrictEqual([check.last, leftovers, nextSequence, segments, unfinishedBytes], [origin, [], 1, [], 0])
  })

  inFolder("may have a file that was made before it was needed", async (folder) => {
    for (const size of [0, 20, headerBytes, 4_096]) {
      writeSegment(folder, 3, Buffer.alloc(size))
      const { check, leftovers, nextSequence, segments } = await found(folder)
      assert.deepStrictEqual([check.problem, leftovers, nextSequence, segments], [undefined, [3], 4, []])
    }
  })

  inFolder("goes on behind its compaction point", async (folder) => {
    writeSegment(folder, 3, segmentBytes(3, pointAt(9, 2), []))
    assert.deepStrictEqual((await found(folder, pointAt(9, 2))).check.last, pointAt(9, 2))
    assert.match(await problemIn(folder, pointAt(8, 2)), /entry 9 is missing, flaredb-log-000000000003 begins behind 9/)
  })
})

describe("a header that is not whole", () => {
  const prepare = (folder: string): void => {
    writeSegment(folder, 1, segmentBytes(1, origin, sampleEntries(1, 3, 1)))
    writeSegment(folder, 2, segmentBytes(2, pointAt(3, 1), sampleEntries(4, 6, 1)))
  }

  inFolder("in the last file is of a write that was not finished, however far it came", async (folder) => {
    prepare(folder)
    const whole = Buffer.concat([segmentBytes(3, pointAt(5, 1), sampleEntries(6, 6, 2)), Buffer.alloc(999)])
    for (let length = 0; length < headerBytes - 8; length++) {
      // Of what was written first and last, any part may have reached the disk.
      for (
        const torn of [whole.subarray(0, length), Buffer.concat([Buffer.alloc(length + 1), whole.subarray(length + 1)])]
      ) {
        if (decodeHeader(torn, 3) !== undefined) continue
        writeSegment(folder, 3, torn)
        const { entries, found: { leftovers, nextSequence } } = await findEntries(folder)
        assert.deepStrictEqual(textsOf(entries), textsOf(sampleEntries(1, 6, 1)), `torn at ${length}`)
        assert.deepStrictEqual([leftovers, nextSequence], [[3], 4])
      }
    }
  })

  inFolder("in an earlier one is damage", async (folder) => {
    for (const sequence of [1, 2]) {
      prepare(folder)
      writeSegment(folder, 3, segmentBytes(3, pointAt(6, 1), sampleEntries(7, 7, 1)))
      changeSegment(folder, sequence, (bytes) => bytes.subarray(0, 20))
      const name = segmentFile(sequence)
      assert.strictEqual(await problemIn(folder), `${name} has no whole header`)
    }
  })

  inFolder("in an earlier one is no damage where the next one holds all that it held", async (folder) => {
    prepare(folder)
    const { entries } = await findEntries(folder)
    // As a start leaves it that was cut: the first sync of the second one had failed, and it was written once more.
    writeSegment(folder, 4, segmentBytes(4, pointAt(3, 1), sampleEntries(4, 6, 1)))
    for (const lost of [Buffer.alloc(headerBytes), Buffer.alloc(999), Buffer.alloc(0)]) {
      writeSegment(folder, 2, lost)
      const { entries: left, found: { leftovers, segments } } = await findEntries(folder)
      assert.deepStrictEqual(textsOf(left), textsOf(entries))
      assert.deepStrictEqual([leftovers, segments.map(({ sequence }) => sequence)], [[2], [1, 4]])
    }
    writeSegment(folder, 4, segmentBytes(4, pointAt(3, 2), sampleEntries(4, 6, 2)))
    assert.strictEqual(await problemIn(folder), `${segmentFile(2)} has no whole header`)
  })

  inFolder("in an earlier one is damage also when nothing was begun behind it", async (folder) => {
    prepare(folder)
    changeSegment(folder, 2, (bytes) => bytes.fill(0, 0, headerBytes))
    writeSegment(folder, 3, Buffer.alloc(999))
    assert.strictEqual(await problemIn(folder), `${segmentFile(2)} has no whole header`)
  })
})

describe("the last segment", () => {
  const before = segmentBytes(1, origin, sampleEntries(1, 4, 1))
  const whole = segmentBytes(1, origin, sampleEntries(1, 5, 1))

  inFolder("ends before a record that is torn, wherever it is torn", async (folder) => {
    const rests = [
      () => Buffer.alloc(0),
      () => Buffer.alloc(1_000),
      (length: number) => Buffer.alloc(1_000, length % 255 + 1)
    ]
    for (let length = before.byteLength; length < whole.byteLength; length++) {
      for (const [i, rest] of rests.entries()) {
        writeSegment(folder, 1, Buffer.concat([whole.subarray(0, length), rest(length)]))
        const { entries, found: { check, unfinishedBytes } } = await findEntries(folder)
        assert.isUndefined(check.problem)
        assert.deepStrictEqual(textsOf(entries), textsOf(sampleEntries(1, 4, 1)), `torn at ${length}, ${i}`)
        if (i < 2) assert.isAtMost(unfinishedBytes, length - before.byteLength)
        else assert.strictEqual(unfinishedBytes, length - before.byteLength + 1_000)
      }
    }
    writeSegment(folder, 1, Buffer.concat([whole, Buffer.alloc(1_000)]))
    assert.strictEqual((await found(folder)).check.last.index, 5)
  })

  inFolder("ends before a record of which a later part was written first", async (folder) => {
    // A length begins with zeros anyway.
    for (let hole = before.byteLength + 3; hole < whole.byteLength; hole++) {
      const torn = Buffer.from(whole).fill(0, before.byteLength, hole + 1)
      writeSegment(folder, 1, torn)
      assert.strictEqual((await found(folder)).check.last.index, 4, `zeros up to ${hole}`)
    }
  })

  inFolder("has nothing behind a torn record come back once the log has gone on", async (folder) => {
    const torn = segmentBytes(1, origin, sampleEntries(1, 9, 1))
    torn.fill(0, before.byteLength, before.byteLength + 4)
    writeSegment(folder, 1, torn)
    const expected = [...sampleEntries(1, 4, 1), ...sampleEntries(5, 6, 2)]
    const log = await openSegments(folder)
    await log.append(sampleEntries(5, 6, 2))
    await log.close()
    // Even when the rest of the write appears after all, as it does on a disk that lost a page and found it again.
    writeSegment(folder, 1, segmentBytes(1, origin, sampleEntries(1, 9, 1)))
    assert.deepStrictEqual(textsOf((await findEntries(folder)).entries), textsOf(expected))
  })

  inFolder("with a changed record ends before it, which the durable floor finds", async (folder) => {
    for (let at = headerBytes; at < whole.byteLength; at++) {
      writeSegment(folder, 1, whole)
      changeSegment(folder, 1, (bytes) => void (bytes[at] = (bytes[at] ?? 0) ^ (1 << at % 8)))
      const { check } = await found(folder)
      assert.isTrue(check.problem !== undefined || check.last.index < 5, `byte ${at}`)
    }
  })
})

describe("a segment with another one behind it", () => {
  const middle = segmentBytes(2, pointAt(3, 1), sampleEntries(4, 6, 1))
  const prepare = (folder: string): void => {
    writeSegment(folder, 1, segmentBytes(1, origin, sampleEntries(1, 3, 1)))
    writeSegment(folder, 2, middle)
    writeSegment(folder, 3, segmentBytes(3, pointAt(6, 1), sampleEntries(7, 9, 1)))
  }

  inFolder("is damaged when any byte of it is another one", async (folder) => {
    prepare(folder)
    for (let at = 0; at < middle.byteLength; at++) {
      writeSegment(folder, 2, middle)
      changeSegment(folder, 2, (bytes) => void (bytes[at] = (bytes[at] ?? 0) ^ (1 << at % 8)))
      assert.match(await problemIn(folder), /no whole header|entry [456] is missing/, `byte ${at}`)
    }
  })

  inFolder("is damaged when it is cut or has a hole", async (folder) => {
    prepare(folder)
    for (let length = 0; length < middle.byteLength; length++) {
      writeSegment(folder, 2, middle.subarray(0, length))
      assert.match(await problemIn(folder), /no whole header|entry [456] is missing/, `cut to ${length}`)
    }
    for (let at = headerBytes; at + 40 < middle.byteLength; at += 7) {
      writeSegment(folder, 2, middle)
      changeSegment(folder, 2, (bytes) => bytes.fill(0, at, at + 40))
      assert.match(await problemIn(folder), /entry [456] is missing/, `a hole at ${at}`)
    }
  })

  inFolder("is missed when it is gone", async (folder) => {
    for (
      const [sequence, expected] of [[1, /entry 1 is missing/], [2, /entry 4 is missing, .*3 begins behind 6/]] as const
    ) {
      prepare(folder)
      rmSync(segmentPath(folder, sequence))
      assert.match(await problemIn(folder), expected)
    }
  })

  inFolder("is refused when it is another one's copy", async (folder) => {
    prepare(folder)
    writeSegment(folder, 2, segmentBytes(1, origin, sampleEntries(1, 3, 1)))
    assert.match(await problemIn(folder), /000002: the header is that of segment 1/)
  })

  inFolder("is refused when it holds the entries of another place", async (folder) => {
    prepare(folder)
    writeSegment(folder, 2, segmentBytes(2, pointAt(3, 1), sampleEntries(5, 7, 1)))
    assert.match(await problemIn(folder), /entry 4 is missing, 5 follows/)
    assert.match(await problemIn(folder, pointAt(6, 1)), /none/)
    assert.match(await problemIn(folder, pointAt(5, 1)), /entry 4 is missing, 5 follows/)
  })

  inFolder("is refused when terms go back, or the next one contradicts it", async (folder) => {
    prepare(folder)
    writeSegment(folder, 2, segmentBytes(2, pointAt(3, 1), [sampleEntry(4, 2), ...sampleEntries(5, 6, 1)]))
    assert.match(await problemIn(folder), /entry 5 has term 1 after term 2/)
    writeSegment(folder, 2, segmentBytes(2, pointAt(3, 1), sampleEntries(4, 6, 2)))
    assert.match(await problemIn(folder), /000003 follows entry 6 of term 1, and that entry has term 2/)
    writeSegment(folder, 2, segmentBytes(2, pointAt(3, 2), sampleEntries(4, 6, 2)))
    assert.match(await problemIn(folder), /000002 follows entry 3 of term 2, and that entry has term 1/)
    assert.match(await problemIn(folder, pointAt(3, 1)), /term/)
  })

  inFolder("is refused when another release wrote it", async (folder) => {
    prepare(folder)
    for (const sequence of [2, 3]) {
      changeSegment(folder, sequence, (bytes) => {
        bytes.writeUInt32BE(2, 12)
        bytes.writeUInt32BE(crc32(bytes.subarray(4, headerBytes)), 0)
      })
    }
    assert.match(await problemIn(folder), /000002: a segment of format 2/)
    writeSegment(folder, 2, middle)
    assert.match(await problemIn(folder), /000003: a segment of format 2/)
  })
})

/** A log that leaders cut again and again: of the files, 3, 4 and 5 are void, and 2 counts up to entry 5. */
const cut: ReadonlyArray<readonly [sequence: number, base: LogPoint, entries: ReadonlyArray<Entry>]> = [
  [1, origin, sampleEntries(1, 4, 1)],
  [2, pointAt(4, 1), sampleEntries(5, 8, 1)],
  [3, pointAt(8, 1), sampleEntries(9, 12, 1)],
  [4, pointAt(6, 1), sampleEntries(7, 9, 2)],
  [5, pointAt(9, 2), []],
  [6, pointAt(5, 1), sampleEntries(6, 7, 3)],
  [7, pointAt(7, 3), sampleEntries(8, 11, 3)]
]
const cutLog = [...sampleEntries(1, 5, 1), ...sampleEntries(6, 11, 3)]
const voids = [3, 4, 5]

const writeCut = (folder: string, sequences: ReadonlyArray<number>): void => {
  for (const name of segmentsIn(folder)) rmSync(segmentPath(folder, sequenceOf(name) ?? 0))
  for (const [sequence, base, entries] of cut) {
    if (sequences.includes(sequence)) writeSegment(folder, sequence, segmentBytes(sequence, base, entries))
  }
}

describe("segments that are void", () => {
  inFolder("change nothing, whichever of them are there", async (folder) => {
    for (const there of subsets(voids)) {
      writeCut(folder, [1, 2, ...there, 6, 7])
      const { entries, found: { check, leftovers, nextSequence } } = await findEntries(folder)
      assert.isUndefined(check.problem, there.join())
      assert.deepStrictEqual(textsOf(entries), textsOf(cutLog))
      assert.deepStrictEqual([leftovers, nextSequence], [there, 8])
    }
  })

  inFolder("may be broken behind their headers", async (folder) => {
    writeCut(folder, [1, 2, 3, 4, 5, 6, 7])
    for (const sequence of voids) changeSegment(folder, sequence, (bytes) => bytes.fill(7, headerBytes))
    // Of the one that counts up to 5, so may what is behind that.
    const { byteLength } = segmentBytes(2, pointAt(4, 1), sampleEntries(5, 5, 1))
    changeSegment(folder, 2, (bytes) => bytes.fill(7, byteLength))
    assert.deepStrictEqual(textsOf((await findEntries(folder)).entries), textsOf(cutLog))
  })

  inFolder("are the ones that were written once more, whichever end they have", async (folder) => {
    writeSegment(folder, 1, segmentBytes(1, origin, sampleEntries(1, 3, 1)))
    writeSegment(folder, 4, segmentBytes(4, pointAt(3, 1), sampleEntries(4, 6, 1)))
    const before = segmentBytes(2, pointAt(3, 1), sampleEntries(4, 7, 1))
    for (let length = headerBytes; length <= before.byteLength; length++) {
      writeSegment(folder, 2, before.subarray(0, length))
      const { entries, found: { check, leftovers } } = await findEntries(folder)
      assert.deepStrictEqual([check.problem, leftovers], [undefined, [2]])
      assert.deepStrictEqual(textsOf(entries), textsOf(sampleEntries(1, 6, 1)))
    }
  })

  inFolder("are gone after a start that goes on", async (folder) => {
    writeCut(folder, [1, 2, 3, 4, 5, 6, 7])
    const log = await openSegments(folder)
    await log.append(sampleEntries(12, 12, 3))
    await log.close()
    assert.deepStrictEqual(segmentsIn(folder), [1, 2, 6, 7, 8].map(segmentFile))
    assert.deepStrictEqual(
      textsOf((await findEntries(folder)).entries),
      textsOf([...cutLog, ...sampleEntries(12, 12, 3)])
    )
  })
})

describe("segments that a compaction removed", () => {
  const all = cut.map(([sequence]) => sequence)

  inFolder("change nothing, whichever of them are back", async (folder) => {
    for (let index = 1; index <= cutLog.length; index++) {
      const compacted = pointAt(index, cutLog[index - 1]?.term ?? 0)
      // The last one that counts and begins at or before the point is needed, and what follows.
      const first = cut.findLast(([sequence, { index: base }]) => !voids.includes(sequence) && base <= index)?.[0] ?? 0
      for (const there of subsets(all.filter((sequence) => sequence < first || voids.includes(sequence)))) {
        writeCut(folder, [...there, ...all.filter((sequence) => sequence >= first && !voids.includes(sequence))])
        const { entries, found: { check, leftovers } } = await findEntries(folder, compacted)
        assert.isUndefined(check.problem, `${there.join()} at ${index}`)
        assert.deepStrictEqual(textsOf(entries), textsOf(cutLog.slice(index)), `${there.join()} at ${index}`)
        assert.deepStrictEqual(leftovers.toSorted((a, b) => a - b), there)
      }
    }
  })

  inFolder("change nothing while a reset is under way", async (folder) => {
    for (const there of subsets(all)) {
      writeCut(folder, there)
      const { check, leftovers, segments } = await found(folder, pointAt(5, 3), true)
      assert.deepStrictEqual([check.problem, check.last, segments], [undefined, pointAt(5, 3), []])
      assert.deepStrictEqual(leftovers, there)
    }
  })

  inFolder("leave a log whose first segment begins before the point", async (folder) => {
    writeCut(folder, [6, 7])
    const log = await openSegments(folder, { compacted: pointAt(6, 3) })
    assert.deepStrictEqual(textsOf(await readSegments(log, 7, 20)), textsOf(cutLog.slice(6)))
    // Entries below the point need not be whole, as long as those behind it are found.
    changeSegment(folder, 6, (bytes) => bytes.fill(7, headerBytes, headerBytes + 20))
    assert.match(await problemIn(folder, pointAt(6, 3)), /entry 7 is missing/)
    assert.deepStrictEqual(textsOf((await findEntries(folder, pointAt(7, 3))).entries), textsOf(cutLog.slice(7)))
  })
})
