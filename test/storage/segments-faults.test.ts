/**
 * Logs in segments against a plain array of entries, over files in memory. In every life something happens at a drawn
 * call that changes a file or a name: the process is killed before it or behind it, or the call fails and the process
 * ends. Most lives end with a power loss, starts among them. Whatever was acknowledged is there in the next life, and
 * the log is one that there was on the way.
 */
import { afterAll, assert, describe, it, vi } from "vitest"
import type { Fault, MemoryFolder } from "./MemoryFiles.ts"
import type { Entry, LogPoint } from "../../src/raft/Types.ts"
import type { LogWrite } from "../../src/storage/LogStore.ts"
import type { SegmentLog } from "../../src/storage/segments/SegmentLog.ts"

const disk = vi.hoisted(() => {
  // Files of one worker share modules: those under test are loaded again, over the files in memory.
  vi.resetModules()
  return { folder: undefined as MemoryFolder | undefined }
})

/** Calls go to the folder of the run. */
const forwarded = vi.hoisted(() => (part: "files" | "promises", names: ReadonlyArray<string>) =>
  Object.fromEntries(names.map((name) => [name, (...parts: ReadonlyArray<unknown>) => {
    const all = disk.folder?.[part] as Record<string, (...parts: ReadonlyArray<unknown>) => unknown>
    return all[name]?.(...parts)
  }]))
)

const fileCalls = vi.hoisted(() => [
  "readdirSync",
  "openSync",
  "closeSync",
  "readSync",
  "writeSync",
  "fsyncSync",
  "fdatasyncSync",
  "fstatSync",
  "statSync",
  "open",
  "ftruncate",
  "fsync",
  "fdatasync"
])

vi.mock("node:fs", async (original) => {
  const { promisify } = await import("node:util")
  const write = (...parts: ReadonlyArray<never>) => {
    const all = disk.folder?.files.write as unknown as Record<symbol, (...parts: ReadonlyArray<never>) => unknown>
    return all[promisify.custom]?.(...parts)
  }
  return {
    ...await original<object>(),
    ...forwarded("files", fileCalls),
    write: Object.assign(() => {}, { [promisify.custom]: write })
  }
})

vi.mock("node:fs/promises", async (original) => ({
  ...await original<object>(),
  ...forwarded("promises", ["open", "rename", "unlink"])
}))

afterAll(() => {
  vi.doUnmock("node:fs")
  vi.doUnmock("node:fs/promises")
  vi.resetModules()
})

const { CodecError } = await import("../../src/bytes/CodecError.ts")
const { addIndex, LogIndex, origin } = await import("../../src/raft/Types.ts")
const { findLog } = await import("../../src/storage/segments/FoundLog.ts")
const { SegmentLog: Log } = await import("../../src/storage/segments/SegmentLog.ts")
const { readEntries } = await import("../../src/storage/segments/SegmentReads.ts")
const { SyncCount } = await import("../../src/storage/SyncCount.ts")
const { SyncPace } = await import("../../src/storage/SyncPace.ts")
const { sampleEntry, writeOf } = await import("../../src/testing/LogStoreSamples.ts")
const { Random } = await import("../simulation/Random.ts")
const { Killed, MemoryFolder: Folder } = await import("./MemoryFiles.ts")

/** The last ones have found what others did not. */
const seeds = [...Array.from({ length: 200 }, (_, i) => i + 1), 1_375, 1_500, 3_147, 11_738]
const livesOfSeed = 14
const stepsOfLife = 10

type Entries = ReadonlyArray<Entry>

const textOf = (entries: Entries): string =>
  entries.map(({ index, payload, term }) => `${index}@${term} ${Buffer.from(payload).toString("latin1")}`).join()

class DrawnPace extends SyncPace {
  /** That of the run, so that a seed is the same run whatever ran before it. */
  random = new Random(1)

  override get isFast(): boolean {
    return this.random.chance(0.5)
  }
}

const pace = new DrawnPace()

interface StartOptions {
  readonly compacted: LogPoint
  readonly resetting: boolean
  readonly segmentBytes: number
}

/** What a start finds, which must be whole, and the log that goes on there once it has taken it over. */
const startOn = async (folder: MemoryFolder, { compacted, resetting, segmentBytes }: StartOptions) => {
  const found = await findLog(folder.path, { compacted, resetting }, segmentBytes)
  assert.isUndefined(found.check.problem)
  const first = addIndex(compacted.index, 1)
  const entries = await readEntries(folder.path, found.segments, first, found.check.last.index, 1_000_000)
  if (entries instanceof CodecError) return assert.fail(entries.message)
  const log = new Log(
    {
      folder: folder.path,
      segmentBytes,
      syncs: { count: new SyncCount(() => undefined), pace, enabled: true },
      inBackground: (work) =>
        void work.catch((cause) => {
          if (!folder.hasFailed && !folder.isGone) throw cause
        })
    },
    found,
    found.check.last
  )
  return { entries, log, takeOver: () => log.takeOver(found) }
}

class Run {
  private readonly random: InstanceType<typeof Random>
  private readonly folder: InstanceType<typeof Folder>
  private readonly segmentBytes: number
  /** The database has this whatever comes. */
  private compacted: LogPoint = origin
  private resetting = false
  /** Every log that may be there. One, as long as a process runs and nothing fails. */
  private ways: ReadonlyArray<Entries> = [[]]
  private term = 1
  /** What was the last to happen, for the message. */
  private history = ""

  constructor(seed: number) {
    this.random = new Random(seed)
    pace.random = new Random(seed)
    this.segmentBytes = this.random.pick([1, 200, 700])
    this.folder = new Folder(this.random)
  }

  get faults(): string {
    return this.history
  }

  async live(): Promise<void> {
    const { folder, random } = this
    const fault = random.pick<Fault>(["kill before", "kill after", "fail"])
    const calls = random.chance(0.3) ? 1 + random.below(8) : 1 + random.below(80)
    this.history = `${fault} at call ${calls}`
    disk.folder = folder
    const killed = folder.begin(calls, fault).then(() => "killed" as const)
    let log: SegmentLog | undefined
    const life = (async () => {
      log = await this.start()
      for (let step = 0; step < stepsOfLife; step++) await this.step(log)
      if (random.chance(0.5)) await log.close()
    })()
    try {
      await Promise.race([life, killed])
    } catch (error) {
      if (!folder.hasFailed || (!(error instanceof Killed) && !/EIO/.test(String(error)))) throw error
      log?.abandon()
    }
    life.catch(() => {})
    await folder.end()
    if (random.chance(0.6)) folder.losePower(random.pick([0, 0.5, 1]))
  }

  private async start(): Promise<SegmentLog> {
    const { compacted, folder, resetting, segmentBytes } = this
    const { entries, log, takeOver } = await startOn(folder, { compacted, resetting, segmentBytes })
    const text = textOf(entries)
    const way = this.ways.find((one) => textOf(one) === text)
    if (way === undefined) {
      return assert.fail(`a log that never was: ${text}; there may be: ${this.ways.map(textOf).join(" or ")}`)
    }
    await takeOver()
    if (resetting) await log.restart(compacted)
    this.resetting = false
    this.ways = [way]
    return log
  }

  private get entries(): Entries {
    return this.ways.at(-1) as Entries
  }

  private get lastIndex(): number {
    return this.compacted.index + this.entries.length
  }

  private async step(log: SegmentLog): Promise<void> {
    const { compacted, entries, random } = this
    await this.read(log)
    if (random.chance(0.06)) {
      const index = this.lastIndex + random.below(5)
      this.compacted = { index: LogIndex(index), term: sampleEntry(index, this.term += 1).term }
      this.resetting = true
      this.ways = [[]]
      await log.restart(this.compacted)
      this.resetting = false
      return
    }
    if (entries.length > 0 && random.chance(0.2)) {
      const count = 1 + random.below(entries.length)
      const { index, term } = entries[count - 1] as Entry
      this.compacted = { index, term }
      this.ways = [entries.slice(count)]
      const removal = log.removeThrough(index)
      // Entries come meanwhile.
      await Promise.all([removal, random.chance(0.5) ? this.write(log) : undefined])
      return
    }
    await (random.chance(0.05) ? log.sync() : this.write(log))
    assert.isAtLeast(this.lastIndex, compacted.index)
  }

  private async write(log: SegmentLog): Promise<void> {
    const writes = this.draw()
    const ways = [this.entries]
    for (const { entries, truncateFrom } of writes) {
      const last = ways.at(-1) as Entries
      const kept = truncateFrom === undefined ? last : last.slice(0, truncateFrom - 1 - this.compacted.index)
      ways.push(kept)
      for (let count = 1; count <= entries.length; count++) ways.push([...kept, ...entries.slice(0, count)])
    }
    this.ways = ways
    for (const { entries, truncateFrom } of writes) {
      if (truncateFrom !== undefined) await log.truncate(LogIndex(truncateFrom - 1))
      if (entries.length > 0) await log.append(entries)
    }
    await log.sync()
    this.ways = [ways.at(-1) as Entries]
  }

  private draw(): ReadonlyArray<LogWrite> {
    const { compacted, random } = this
    let last = this.lastIndex
    return Array.from({ length: random.chance(0.2) ? 2 : 1 }, () => {
      const truncates = last > compacted.index && random.chance(0.3)
      if (truncates) {
        this.term += 1
        last -= 1 + random.below(Math.min(last - compacted.index, 4))
      }
      const truncateFrom = truncates ? LogIndex(last + 1) : undefined
      const entries = Array.from({ length: random.below(truncates ? 3 : 4) }, () => {
        last += 1
        return sampleEntry(last, this.term, `${last} in ${this.term}`.padEnd(random.below(60), "-"))
      })
      return writeOf(entries, { truncateFrom })
    })
  }

  private async read(log: SegmentLog): Promise<void> {
    const { compacted, entries } = this
    const found = await log.read(addIndex(compacted.index, 1), LogIndex(this.lastIndex), 1_000_000)
    if (found instanceof CodecError) return assert.fail(found.message)
    assert.strictEqual(textOf(found), textOf(entries))
  }
}

describe("a log in segments", () => {
  it("loses nothing that was acknowledged, whichever of its calls is the last one or fails", async () => {
    for (const seed of seeds) {
      const run = new Run(seed)
      for (let life = 1; life <= livesOfSeed; life++) {
        try {
          await run.live()
        } catch (error) {
          throw new Error(`seed ${seed}, life ${life}, ${run.faults}: ${String(error)}`, { cause: error })
        }
      }
    }
  }, 120_000)

  it("counts on nothing that a failed sync has left in memory alone", async () => {
    const options: StartOptions = { compacted: origin, resetting: false, segmentBytes: 700 }
    for (let calls = 1, failed = true; failed; calls++) {
      const folder = new Folder(new Random(calls))
      disk.folder = folder
      void folder.begin(calls, "fail")
      const { log, takeOver } = await startOn(folder, options)
      try {
        await takeOver()
        await log.append([1, 2, 3].map((index) => sampleEntry(index, 1)))
        await log.truncate(LogIndex(1))
        await log.sync()
        await log.close()
      } catch (error) {
        assert.include(String(error), "EIO")
        log.abandon()
      }
      failed = folder.hasFailed
      await folder.end()
      // The machine runs on, and the next process counts on what it finds.
      void folder.begin(Infinity, "fail")
      const next = await startOn(folder, options)
      await next.takeOver()
      const last = next.entries.length
      await next.log.append([sampleEntry(last + 1, 2)])
      await folder.end()
      folder.losePower(0)
      void folder.begin(Infinity, "fail")
      const { entries } = await startOn(folder, options)
      assert.strictEqual(textOf(entries), textOf([...next.entries, sampleEntry(last + 1, 2)]), `call ${calls} failed`)
      await folder.end()
    }
  })
})
