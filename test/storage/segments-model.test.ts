/**
 * A log in segments against a plain array of entries: appends, truncations, compactions and resets, over many lives. A
 * life ends in good order, by a kill, or by a power loss in the middle of a write, which leaves any part of what no sync
 * had covered and brings removed files back. Whatever was acknowledged is there, and nothing that was removed comes back.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { CodecError } from "../../src/bytes/CodecError.ts"
import { encodeEntries } from "../../src/protocol/EntryRecord.ts"
import type { Entry, LogPoint } from "../../src/raft/Types.ts"
import { LogIndex, origin } from "../../src/raft/Types.ts"
import type { LogWrite } from "../../src/storage/LogStore.ts"
import { headerBytes, segmentFile, sequenceOf } from "../../src/storage/segments/SegmentFormat.ts"
import type { SegmentLog } from "../../src/storage/segments/SegmentLog.ts"
import { SyncPace } from "../../src/storage/SyncPace.ts"
import { sampleEntry, writeOf } from "../../src/testing/LogStoreSuite.ts"
import { Random } from "../simulation/Random.ts"
import { segmentInUse, segmentsIn, usedBytes } from "./LogFormats.ts"
import { findEntries, openSegments, pointAt, textsOf } from "./Segments.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const seeds = 24
const livesOfSeed = 7
const stepsOfLife = 12

/** Sometimes the thread waits for the sync itself, and sometimes the pool does. */
class DrawnPace extends SyncPace {
  private readonly random: Random

  constructor(random: Random) {
    super()
    this.random = random
  }

  override get isFast(): boolean {
    return this.random.chance(0.5)
  }
}

/** What the log is, and what it may be after a power loss that comes now. */
class Model {
  compacted: LogPoint = origin
  entries: ReadonlyArray<Entry> = []
  term = 1

  get lastIndex(): number {
    return this.compacted.index + this.entries.length
  }

  upTo(index: number): ReadonlyArray<Entry> {
    return this.entries.slice(0, Math.max(0, index - this.compacted.index))
  }

  pointAt(index: number): LogPoint {
    if (index === this.compacted.index) return this.compacted
    const entry = this.entries[index - this.compacted.index - 1] as Entry
    return pointAt(index, entry.term)
  }

  compact(index: number): void {
    const point = this.pointAt(index)
    this.entries = this.entries.slice(index - this.compacted.index)
    this.compacted = point
  }

  /** Carries out writes, and gives every log on the way, the one before them first. */
  write(writes: ReadonlyArray<LogWrite>): ReadonlyArray<ReadonlyArray<Entry>> {
    const ways = [this.entries]
    for (const { entries, truncateFrom } of writes) {
      if (truncateFrom !== undefined) ways.push(this.entries = this.upTo(truncateFrom - 1))
      for (const entry of entries) ways.push(this.entries = [...this.entries, entry])
    }
    return ways
  }
}

/** Writes that follow upon the log: entries, a tail that is replaced, or several of these. */
const drawWrites = (random: Random, model: Model): ReadonlyArray<LogWrite> => {
  const writes: Array<LogWrite> = []
  let last = model.lastIndex
  for (let count = random.chance(0.15) ? 3 : 1; count > 0; count--) {
    const truncates = last > model.compacted.index && random.chance(0.3)
    if (truncates) {
      model.term += 1
      last -= 1 + random.below(Math.min(last - model.compacted.index, random.chance(0.2) ? 1_000 : 4))
    }
    const truncateFrom = truncates ? LogIndex(last + 1) : undefined
    const length = truncates && random.chance(0.3) ? 0 : random.chance(0.1) ? 12 : 1 + random.below(3)
    const entries = Array.from({ length }, () => {
      last += 1
      const payload = `${last} in ${model.term}`.padEnd(random.chance(0.1) ? 400 : random.below(40), "-")
      return sampleEntry(last, model.term, payload)
    })
    writes.push(writeOf(entries, { truncateFrom }))
  }
  return writes
}

/** As `EntryStore` does it. */
const carryOut = async (log: SegmentLog, writes: ReadonlyArray<LogWrite>): Promise<void> => {
  for (const { entries, truncateFrom } of writes) {
    if (truncateFrom !== undefined) await log.truncate(LogIndex(truncateFrom - 1))
    if (entries.length > 0) await log.append(entries)
  }
  await log.sync()
}

const compactsTo = (random: Random, { compacted, entries }: Model): number =>
  compacted.index + 1 + random.below(random.chance(0.2) ? entries.length : Math.min(entries.length, 5))

/** Bytes of entries in a segment. */
const bytesOf = (entries: ReadonlyArray<Entry>): number => encodeEntries(entries).byteLength

const checkReads = async (random: Random, log: SegmentLog, model: Model): Promise<void> => {
  const { compacted, entries, lastIndex } = model
  const from = compacted.index + 1 + random.below(entries.length + 1)
  const through = from + random.below(12)
  const limit = random.chance(0.5) ? Number.MAX_SAFE_INTEGER : random.below(500)
  const found = await log.read(LogIndex(from), LogIndex(through), limit)
  if (found instanceof CodecError) return assert.fail(found.message)
  const wanted = model.entries.slice(from - compacted.index - 1, through - compacted.index)
  // One entry at least, and then as many as fit.
  const fits = (count: number): boolean => count <= 1 || bytesOf(wanted.slice(0, count)) <= limit
  assert.isAtLeast(found.length, Math.min(1, wanted.length))
  assert.isTrue(fits(found.length), `${found.length} entries in ${limit} bytes`)
  assert.isTrue(found.length === wanted.length || !fits(found.length + 1), `only ${found.length} in ${limit} bytes`)
  assert.deepStrictEqual(textsOf(found), textsOf(wanted.slice(0, found.length)), `${from}..${through} of ${lastIndex}`)
}

/** Gives parts of what was written back to the disk, and takes others: `bytes` were durable up to `durable`. */
const tear = (random: Random, bytes: Buffer, durable: number): Buffer => {
  const used = bytes.subarray(durable)
  const block = random.pick([1, 16, 64, 512])
  const kept = random.next()
  const fill = random.pick([0, 0, 255, 7])
  for (let at = 0; at < used.byteLength; at += block) {
    if (!random.chance(kept)) used.fill(fill, at, Math.min(at + block, used.byteLength))
  }
  const length = random.chance(0.5) ? bytes.byteLength : durable + random.below(used.byteLength + 1)
  return Buffer.concat([bytes.subarray(0, length), Buffer.alloc(random.chance(0.5) ? 300 : 0)])
}

/** Files that compaction removed: as long as nobody syncs the folder, a power loss may bring them back. */
type Removed = Map<string, Buffer>

const contentsOf = (folder: string): Removed =>
  new Map(segmentsIn(folder).map((name) => [name, readFileSync(join(folder, name))]))

/** What a power loss leaves that comes while the log goes from `before` to `after`, in the place of `after`. */
const losePower = (random: Random, before: string, after: string, removed: Removed): void => {
  const old = segmentsIn(before)
  const newest = segmentInUse(after) ?? ""
  const changed = segmentsIn(after).filter((name) => name <= newest && !(old.includes(name) && name < newest))
  const wasInUse = segmentInUse(before) ?? ""
  const torn = random.pick([
    ...changed,
    ...(old.includes(wasInUse) && existsSync(join(after, wasInUse)) ? [wasInUse] : [])
  ])
  if (torn === undefined) return
  // A header may end with zeros.
  const used = old.includes(torn) ? usedBytes(join(before, torn)) : 0
  const durable = used === 0 ? 0 : Math.max(headerBytes, used)
  for (const name of segmentsIn(after)) if (name > torn) rmSync(join(after, name))
  const written = readFileSync(join(after, torn)).subarray(0, Math.max(usedBytes(join(after, torn)), durable))
  writeFileSync(join(after, torn), tear(random, Buffer.from(written), durable))
  // The next one is made once the header of this one is durable.
  const next = segmentFile((sequenceOf(torn) ?? 0) + 1)
  if (durable > 0 && random.chance(0.5)) writeFileSync(join(after, next), Buffer.alloc(random.below(300)))
  for (const [name, bytes] of removed) if (random.chance(0.3)) writeFileSync(join(after, name), bytes)
}

/** A log, its model, and the folders of its lives. */
class World {
  readonly model = new Model()
  private readonly random: Random
  private readonly root: string
  private folder: string
  private lives = 0

  constructor(random: Random, root: string) {
    this.random = random
    this.root = root
    this.folder = this.newFolder()
  }

  async live(): Promise<void> {
    const { model, random } = this
    const log = await this.start()
    const removed: Removed = new Map()
    for (let step = 0; step < stepsOfLife; step++) {
      await checkReads(random, log, model)
      if (random.chance(0.1)) return this.die(log, removed)
      if (await this.resets(log)) removed.clear()
      else await this.step(log, removed)
    }
    await log.close()
  }

  /** Removes all of the log: what is left is one file, and the next start finds nothing. */
  async end(): Promise<void> {
    const { model } = this
    const log = await this.start()
    await carryOut(log, [writeOf([sampleEntry(model.lastIndex + 1, model.term)])])
    model.write([writeOf([sampleEntry(model.lastIndex + 1, model.term)])])
    model.compact(model.lastIndex)
    await log.removeThrough(model.compacted.index)
    await log.close()
    assert.lengthOf(segmentsIn(this.folder), 1)
    await (await this.start()).close()
  }

  private newFolder(): string {
    this.lives += 1
    const folder = join(this.root, String(this.lives))
    mkdirSync(folder)
    return folder
  }

  private image(): string {
    const image = this.newFolder()
    for (const name of segmentsIn(this.folder)) cpSync(join(this.folder, name), join(image, name))
    return image
  }

  private async start(): Promise<SegmentLog> {
    const { folder, model, random } = this
    const { compacted } = model
    const { entries, found } = await findEntries(folder, compacted)
    assert.isUndefined(found.check.problem)
    assert.deepStrictEqual(textsOf(entries), textsOf(model.entries))
    const pace = new DrawnPace(random)
    const log = await openSegments(folder, {
      compacted,
      segmentBytes: random.pick([1, 200, 512, 4_096]),
      pace,
      enabled: false
    })
    // Each that is left holds an entry, but for the last one.
    const files = segmentsIn(folder).filter((name) => usedBytes(join(folder, name)) > 0)
    assert.lengthOf(files, found.segments.length)
    assert.isAtMost(found.segments.length, entries.length + 2)
    return log
  }

  /** Sometimes a snapshot takes the place of the log, which syncs the folder. */
  private async resets(log: SegmentLog): Promise<boolean> {
    const { model, random } = this
    if (!random.chance(0.05)) return false
    const point = pointAt(model.lastIndex + random.below(9) - Math.min(4, model.lastIndex), model.term += 1)
    await log.restart(point)
    model.compacted = point
    model.entries = []
    return true
  }

  private async step(log: SegmentLog, removed: Removed): Promise<void> {
    const { model, random } = this
    if (model.entries.length > 0 && random.chance(0.2)) {
      model.compact(compactsTo(random, model))
      const before = contentsOf(this.folder)
      const removal = log.removeThrough(model.compacted.index)
      // Entries come meanwhile.
      const writes = random.chance(0.5) ? drawWrites(random, model) : []
      await Promise.all([removal, carryOut(log, writes)])
      model.write(writes)
      const left = segmentsIn(this.folder)
      for (const [name, bytes] of before) if (!left.includes(name)) removed.set(name, bytes)
      return
    }
    const writes = drawWrites(random, model)
    await carryOut(log, writes)
    model.write(writes)
  }

  /** Ends at once, as it is or in the middle of a write. */
  private async die(log: SegmentLog, removed: Removed): Promise<void> {
    const { model, random } = this
    const before = this.image()
    if (random.chance(0.3)) {
      await log.close()
      this.folder = before
      return
    }
    const writes = drawWrites(random, model)
    const ways = model.write(writes)
    await carryOut(log, writes)
    const after = this.image()
    await log.close()
    losePower(random, before, after, removed)
    this.folder = after
    const { entries, found } = await findEntries(after, model.compacted)
    assert.isUndefined(found.check.problem)
    const texts = textsOf(entries).join()
    const way = ways.find((entriesThen) => textsOf(entriesThen).join() === texts)
    if (way === undefined) return assert.fail(`a log that never was: ${texts}; last: ${textsOf(ways.at(-1) ?? [])}`)
    model.entries = way
  }
}

describe("a log in segments", () => {
  for (let seed = 1; seed <= seeds; seed++) {
    it.live(`is a plain array of entries in every life, seed ${seed}`, () =>
      Effect.flatMap(temporaryFolder, (root) =>
        Effect.promise(async () => {
          const world = new World(new Random(seed), root)
          for (let life = 0; life < livesOfSeed; life++) await world.live()
          await world.end()
        })))
  }
})
